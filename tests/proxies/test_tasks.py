"""Tasks: what is read of a file, what fits into a context, and what is scored."""

import json
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from mixopt.errors import DataError
from proxies.config import resolve
from proxies.data import Data
from proxies.model import initial, stack
from proxies.own_metrics import own_metrics, score_task
from proxies.plugins import OwnMetric
from proxies.row_nats import row_nats
from proxies.tasks import encode_texts, fit_task, read_tasks

CONFIG = resolve(
    {
        "preset": "tiny",
        "tokens": 1000,
        "sizes": {"width": 16, "heads": 2, "hidden": 8, "experts": 4, "context": 24},
    },
    257,
)
ITEMS = [
    {"prompt": "the tide turns", "completion": " slowly"},
    {"prompt": "", "completion": "gulls"},
    {"prompt": "GET ", "completion": "é/index"},
]


@pytest.fixture
def weights():
    return stack([initial(CONFIG, seed) for seed in (1, 2)], torch.device("cpu"))


def written(folder, items):
    lines = [item if isinstance(item, str) else json.dumps(item) for item in items]
    (folder / "task.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def read(folder, items, data):
    (task,) = read_tasks({"sea": "task.jsonl"}, written(folder, items), data)
    return task


def test_bits_per_byte_are_a_ratio_of_sums_over_the_completions(tmp_path, toy_data, weights):
    windows = fit_task(read(tmp_path, ITEMS, toy_data), 24, toy_data.token_bytes)
    found = score_task(weights, CONFIG, windows)
    total = np.zeros(2)
    for item in ITEMS:
        prompt, completion = (list(item[key].encode()) for key in ("prompt", "completion"))
        (nats,) = row_nats(weights, CONFIG, [np.array([toy_data.eos, *prompt, *completion])])
        total += nats[:, len(prompt) :].sum(1)
    size = sum(len(item["completion"].encode()) for item in ITEMS)
    np.testing.assert_allclose(found, total / (log(2) * size), rtol=1e-6)
    assert found[0] != found[1]


def test_rows_padded_on_the_right_score_as_they_do_alone(weights):
    rng = np.random.default_rng(0)
    rows = [rng.integers(257, size=size) for size in rng.integers(2, 26, 60)]
    together = row_nats(weights, CONFIG, rows)
    for row, nats in zip(rows, together):
        assert nats.shape == (2, len(row) - 1)
        (alone,) = row_nats(weights, CONFIG, [row])
        np.testing.assert_allclose(nats, alone, rtol=1e-4, atol=1e-5)


def test_what_stands_after_a_token_changes_nothing_for_it(weights):
    row = np.arange(20)
    (whole,), (part,) = (row_nats(weights, CONFIG, [rows]) for rows in (row, row[:9]))
    np.testing.assert_allclose(whole[:, :8], part, rtol=1e-4, atol=1e-5)


def test_a_long_prompt_loses_its_beginning(tmp_path, toy_data):
    long = [{"prompt": "x" * 100 + "tail", "completion": "done"}]
    windows = fit_task(read(tmp_path, long, toy_data), 24, toy_data.token_bytes)
    (row,) = windows.rows
    assert bytes(row.astype(np.uint8)) == b"x" * 17 + b"taildone"
    assert (windows.scored.tolist(), windows.bytes.tolist(), windows.cut) == ([4], [4], 0)


def test_a_long_completion_loses_its_end_and_is_counted(tmp_path, toy_data):
    long = [{"prompt": "p", "completion": "c" * 100}, *ITEMS]
    windows = fit_task(read(tmp_path, long, toy_data), 24, toy_data.token_bytes)
    assert bytes(windows.rows[0].astype(np.uint8)) == b"p" + b"c" * 24
    assert (windows.scored[0], windows.bytes[0], windows.cut) == (24, 24, 1)


def test_marks_and_metrics_of_members(tmp_path, toy_data, weights):
    task = read(tmp_path, [{"prompt": "p", "completion": "c" * 100}], toy_data)
    functions = [OwnMetric("m:f", lambda scorer: {"task/bad": float("nan"), "task/one": 1})]
    told, dead = own_metrics(weights, CONFIG, toy_data, [task], functions, [True, False])
    assert set(told.metrics) == {"task/sea", "task/one"}
    assert told.marks == ("task_cut:sea=1", "not_a_number:task/bad")
    assert dead == ({}, ())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "task.jsonl:2: not JSON"),
        ("[1]", "task.jsonl:2: expected an object"),
        ({"prompt": "a"}, "task.jsonl:2: expected text in 'completion', it is missing"),
        ({"completion": "a"}, "task.jsonl:2: expected text in 'prompt', it is missing"),
        ({"prompt": 3, "completion": "a"}, "task.jsonl:2: expected text in 'prompt', got 3"),
        ({"prompt": "a", "completion": ""}, "task.jsonl:2: 'completion' is empty"),
        ('{"prompt": "\\ud800", "completion": "a"}', "task.jsonl:2: 'prompt' is not UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path, toy_data, line, told):
    with pytest.raises(DataError, match=told):
        read(tmp_path, [ITEMS[0], line], toy_data)


def test_files_that_are_no_task(tmp_path, toy_data):
    with pytest.raises(DataError, match="does not exist"):
        read_tasks({"sea": "none.jsonl"}, tmp_path, toy_data)
    with pytest.raises(DataError, match="is empty"):
        read(tmp_path, [""], toy_data)
    (tmp_path / "task.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_tasks({"sea": "task.jsonl"}, tmp_path, toy_data)


def test_tokens_without_their_tokenizer_have_no_tasks(tmp_path, toy_data):
    foreign = replace(toy_data, manifest=dict(toy_data.manifest))
    foreign.manifest["tokenizer"] = {**toy_data.manifest["tokenizer"], "has_text": False}
    with pytest.raises(DataError, match="without their tokenizer"):
        read_tasks({"sea": "task.jsonl"}, written(tmp_path, ITEMS), foreign)
    assert read_tasks({}, tmp_path, foreign) == ()


def test_texts_become_the_tokens_of_the_corpus(toy_data: Data):
    first, second = encode_texts(["ab", "é"], toy_data)
    assert (first.tolist(), second.tolist()) == ([97, 98], [195, 169])
