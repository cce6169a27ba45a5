"""Runs: ids by what a run is, and a table whose lines merge in any order and survive death."""

import json
import multiprocessing
import os
import resource
import signal
import time
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.runs import Run, RunWriter, merged, read_runs

PLAN = Run(
    schedule=((1.0, {"web": 0.75, "code": 0.25}),),
    seed=3,
    proxy={"preset": "tiny", "tokens": 1000, "training": {"clip": 1.0}},
    data="d1",
    name="0001",
    origin="spacefill",
    seed_block=1,
)


def lines_of(folder):
    paths = sorted(folder.glob("*.jsonl"))
    return [line for path in paths for line in path.read_text().splitlines()]


def write(folder, *runs):
    with RunWriter(folder) as writer:
        writer.append(runs)


# identity


def test_an_id_is_what_a_run_is_and_not_what_came_of_it():
    done = replace(
        PLAN,
        name="other",
        origin="else",
        round=4,
        scale=(1.0, 2.0, 3.0),
        seed_block=0,
        metrics={"bpb/web": 1.0},
        cost={"flops": 1.0},
        attempt=2,
        time=5.0,
    )
    assert done.id == PLAN.id


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": ((1.0, {"web": 0.74, "code": 0.26}),)},
        {"schedule": ((0.5, {"web": 0.75, "code": 0.25}), (0.5, {"code": 1.0}))},
        {"seed": 4},
        {"proxy": {"preset": "tiny", "tokens": 1001, "training": {"clip": 1.0}}},
        {"data": "d2"},
        {"parent": ("abc", 10)},
        {"schedule": None, "controller": {"name": "odm"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_that_changes_training_changes_the_id(change):
    assert replace(PLAN, **change).id != PLAN.id


@pytest.mark.parametrize(
    "mixture",
    [
        {"code": 0.25, "web": 0.75},
        {"web": 0.75, "code": 0.25, "books": 0},
        {"web": 0.75, "code": 0.25, "books": 1e-12},
        {"web": 0.75 + 1e-13, "code": 0.25},
    ],
    ids=["order", "zero", "dust", "rounding"],
)
def test_one_mixture_written_in_two_ways_is_one_run(mixture):
    assert replace(PLAN, schedule=((1, mixture),)).id == PLAN.id


def test_whole_numbers_are_the_numbers_they_equal():
    one = replace(PLAN, schedule=((1, {"web": 1}),))
    assert one.id == replace(PLAN, schedule=((1.0, {"web": 1.0}),)).id


# one line


def test_a_line_gives_the_run_back():
    run = replace(PLAN, metrics={"bpb/web": 1.25}, scale=(1.0, 2.0, 3.0), parent=("abc", 7))
    assert Run.from_line(run.line(), "here") == run


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "not a run"),
        ("[1]", "not a run"),
        ('{"id": "x"}', "not a run"),
        ('{"id": "x", "seed": 1, "schedule": 5}', "not a run"),
        ('{"id": "x", "seed": 1, "schedule": [[1.0, {"web": "much"}]]}', "not a run"),
        ('{"id": "x", "sead": 1}', "did you mean 'seed'"),
        ('{"id": "x", "seed": 1, "schema": 99}', "please upgrade"),
        ('{"id": "x", "seed": 1, "schedule": [[1.0, {"web": 1.0}]]}', "edited by hand or damaged"),
    ],
)
def test_a_wrong_line_is_one_sentence_with_its_place(line, message):
    with pytest.raises(DataError, match=message) as caught:
        Run.from_line(line, "file:7")
    assert str(caught.value).startswith("file:7: ")


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"low"', "null"])
def test_a_metric_is_a_finite_number(value):
    line = replace(PLAN, metrics={"bpb/web": 1.5}).line().replace("1.5", value)
    with pytest.raises(DataError, match="finite number"):
        Run.from_line(line, "here")


def test_nan_is_not_written_either(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path, replace(PLAN, metrics={"bpb/web": float("nan")}))
    assert lines_of(tmp_path) == []


# merging

outcomes = st.fixed_dictionaries(
    {
        "attempt": st.integers(0, 3),
        "time": st.sampled_from([0.0, 1.0, 2.0]),
        "error": st.sampled_from([None, "failed", "diverged: early"]),
        "metrics": st.dictionaries(st.sampled_from("abc"), st.floats(0, 9), max_size=2),
        "origin": st.sampled_from(["", "sobol"]),
    }
)


@given(st.lists(outcomes, min_size=1, max_size=4))
def test_the_order_of_lines_does_not_matter(changes):
    lines = [replace(PLAN, **change) for change in changes]
    results = {merged(order).line() for order in permutations(lines)}
    assert len(results) == 1


@given(st.lists(outcomes, min_size=1, max_size=4))
def test_a_line_read_twice_changes_nothing(changes):
    lines = [replace(PLAN, **change) for change in changes]
    assert merged([*lines, *lines]) == merged(lines)


@given(st.lists(outcomes, min_size=2, max_size=4))
def test_no_measured_metric_is_lost(changes):
    lines = [replace(PLAN, **change) for change in changes]
    names = {name for line in lines for name in line.metrics}
    assert set(merged(lines).metrics) == names


def test_metrics_beat_an_error_and_an_error_beats_a_plan():
    failed = replace(PLAN, error="out of memory", attempt=5, time=9.0)
    done = replace(PLAN, metrics={"a": 1.0}, attempt=1, time=1.0)
    assert merged([failed, PLAN]).status == "failed"
    assert merged([failed, done, PLAN]).status == "finished"


def test_the_higher_attempt_wins_then_the_later_time():
    first = replace(PLAN, metrics={"a": 1.0, "b": 1.0}, attempt=1, time=9.0)
    second = replace(PLAN, metrics={"a": 2.0}, attempt=2, time=1.0)
    later = replace(PLAN, metrics={"a": 3.0}, attempt=2, time=2.0)
    assert merged([second, first]).metrics == {"a": 2.0, "b": 1.0}
    assert merged([later, second, first]).metrics == {"a": 3.0, "b": 1.0}


def test_a_metric_keeps_its_own_sd_only():
    first = replace(PLAN, metrics={"a": 1.0, "b": 1.0}, metrics_sd={"a": 0.1, "b": 0.2}, attempt=1)
    second = replace(PLAN, metrics={"a": 2.0}, attempt=2)
    assert merged([first, second]).metrics_sd == {"b": 0.2}


def test_a_bare_result_takes_its_name_and_origin_from_the_plan():
    bare = Run(schedule=PLAN.schedule, seed=3, proxy=PLAN.proxy, data="d1", metrics={"a": 1.0})
    run = merged([PLAN, bare])
    assert (run.name, run.origin, run.seed_block, run.metrics) == (
        "0001",
        "spacefill",
        1,
        {"a": 1.0},
    )


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "planned"),
        ({"error": "boom"}, "failed"),
        ({"error": "diverged: at step 3"}, "diverged"),
        ({"metrics": {"a": 1.0}}, "finished"),
        ({"metrics": {"a": 1.0}, "error": "late"}, "finished"),
    ],
)
def test_status(change, status):
    assert replace(PLAN, **change).status == status


# files


def test_lines_of_one_run_merge_across_files(tmp_path):
    write(tmp_path, PLAN, replace(PLAN, seed=4, name="0002"))
    write(tmp_path, replace(PLAN, metrics={"a": 1.0}, attempt=1))
    runs = read_runs(tmp_path)
    assert [run.name for run in runs] == ["0001", "0002"]
    assert [run.status for run in runs] == ["finished", "planned"]


def test_a_missing_folder_is_an_empty_table(tmp_path):
    assert read_runs(tmp_path / "none") == []


def test_every_writer_has_a_file_of_its_own_and_an_idle_one_has_none(tmp_path):
    with RunWriter(tmp_path) as one, RunWriter(tmp_path) as two, RunWriter(tmp_path) as idle:
        one.append(PLAN)
        two.append(PLAN)
        idle.append([])
        one.append(PLAN)
    assert sorted(len(path.read_text().splitlines()) for path in tmp_path.iterdir()) == [1, 2]


def test_a_torn_last_line_is_skipped_with_a_warning_wherever_it_tore(tmp_path):
    write(tmp_path, PLAN, replace(PLAN, seed=4))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first + 1, len(whole) - 1, 7):
        path.write_bytes(whole[:end])
        with pytest.warns(UserWarning, match=":2: a torn last line was skipped"):
            assert [run.seed for run in read_runs(tmp_path)] == [3]


def test_a_last_line_that_misses_its_end_only_is_read(tmp_path):
    (tmp_path / "by_hand.jsonl").write_text(PLAN.line())
    assert [run.id for run in read_runs(tmp_path)] == [PLAN.id]


def test_a_damaged_line_in_the_middle_is_an_error_not_a_gap(tmp_path):
    text = PLAN.line()
    (tmp_path / "a.jsonl").write_text(f"{text}\n{text[:30]}\n{text}\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not a run"):
        read_runs(tmp_path)


def test_undecodable_bytes_are_one_sentence(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(PLAN.line().encode() + b"\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not UTF-8"):
        read_runs(tmp_path)


def _fill(folder, limit, queue) -> None:
    """Write runs until the disk is full, go on once more, then with room again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    writer, written = RunWriter(folder), 0
    try:
        while True:
            writer.append(replace(PLAN, seed=written))
            written += 1
    except DataError as error:
        message = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.append(replace(PLAN, seed=written))
    queue.put((written, message))


@pytest.mark.parametrize("limit", [5, 1000, 2048])
def test_a_full_disk_loses_nothing_that_was_written(tmp_path, limit):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_fill, args=(tmp_path, limit, queue))
    process.start()
    written, message = queue.get(timeout=30)
    process.join()
    assert "could not be written" in message
    assert "\n" not in message
    assert sorted(run.seed for run in read_runs(tmp_path)) == list(range(written + 1))


def _write_for_ever(folder) -> None:
    with RunWriter(folder) as writer:
        for seed in range(10**6):
            writer.append([replace(PLAN, seed=2 * seed), replace(PLAN, seed=2 * seed + 1)])


@pytest.mark.filterwarnings("ignore:.*torn last line")
def test_a_killed_writer_leaves_a_table_without_gaps(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(tmp_path,))
    process.start()
    while not any(path.stat().st_size > 20_000 for path in tmp_path.iterdir()):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    seeds = sorted(run.seed for run in read_runs(tmp_path))
    assert seeds == list(range(len(seeds)))


def test_a_line_is_readable_by_anything_that_reads_json(tmp_path):
    write(tmp_path, PLAN)
    (line,) = lines_of(tmp_path)
    values = json.loads(line)
    assert next(iter(values)) == "id"
    assert values["schedule"] == [[1.0, {"web": 0.75, "code": 0.25}]]
    assert values["schema"] == 1
