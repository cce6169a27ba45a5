"""Functions of the user's own: what they may ask, and what they may say."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from mixopt.errors import ConfigError, DataError
from proxies.config import resolve
from proxies.model import initial, stack
from proxies.plugins import OwnMetric, load_metric
from proxies.scorer import Scorer, measure_own

CONFIG = resolve(
    {
        "preset": "tiny",
        "tokens": 1000,
        "sizes": {"width": 16, "heads": 2, "hidden": 8, "experts": 4, "context": 24},
    },
    257,
)


@pytest.fixture
def scorer(toy_data):
    return Scorer(stack([initial(CONFIG, 1)], torch.device("cpu")), CONFIG, toy_data)


def test_what_a_scorer_knows(scorer):
    assert scorer.domains == ("sea", "web")
    assert (scorer.context, scorer.device.type) == (24, "cpu")
    assert scorer.encode("ab") == [97, 98]
    first, second = scorer.nats([[1, 2, 3], [4, 5]])
    assert (first.shape, second.shape) == ((2,), (1,))
    assert np.isfinite(first).all()


@pytest.mark.parametrize("row", [[1], [1] * 26, [1, 257], [-1, 2]])
def test_rows_that_cannot_be_scored(scorer, row):
    with pytest.raises(DataError, match="row 1: expected"):
        scorer.nats([[1, 2], row])


def test_tokens_without_their_tokenizer_encode_nothing(scorer):
    manifest = {**scorer.data.manifest, "tokenizer": {"has_text": False}}
    with pytest.raises(DataError, match="without their tokenizer"):
        replace(scorer, data=replace(scorer.data, manifest=manifest)).encode("a")


def test_numbers_of_any_kind_are_told_and_others_marked(scorer):
    own = OwnMetric("m:f", lambda _: {"task/a": np.float32(0.5), "task/b:c": float("inf")})
    told = measure_own([own], scorer)
    assert told.metrics == {"task/a": 0.5}
    assert told.marks == ("not_a_number:task/b:c",)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3, "expected a mapping"),
        ({"bpb/web": 1.0}, "expected a name like"),
        ({"task/": 1.0}, "expected a name like"),
        ({1: 1.0}, "expected a name like"),
        ({"task/a": None}, "'task/a' is no number"),
        ({"task/taken": 1.0}, "was measured already"),
    ],
)
def test_what_is_no_metric_is_refused(scorer, value, told):
    with pytest.raises(DataError, match=told):
        measure_own([OwnMetric("m:f", lambda _: value)], scorer, taken=["task/taken"])


def test_two_functions_may_not_share_a_name(scorer):
    one = OwnMetric("m:f", lambda _: {"task/a": 1.0})
    with pytest.raises(DataError, match="m:f: 'task/a' was measured already"):
        measure_own([one, one], scorer)


def test_functions_are_imported_by_name(tmp_path, monkeypatch):
    (tmp_path / "own_metric_module.py").write_text("def measure(scorer): return {}\nnumber = 3\n")
    (tmp_path / "own_metric_broken.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_metric("own_metric_module:measure").measure(None) == {}
    for name in ("own_metric_module:none", "own_metric_module:number"):
        with pytest.raises(ConfigError, match="has no function"):
            load_metric(name)
    with pytest.raises(ConfigError, match=r"no module 'own_metric_absent'.*PYTHONPATH"):
        load_metric("own_metric_absent:measure")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        load_metric("own_metric_broken:measure")
    sys.modules.pop("own_metric_module")
