"""Jobs are done once, by whoever is there, and found again by what they depend on."""

import os
import time

import numpy as np
import pytest

from mixopt.errors import DataError, PausedError
from proxies import work
from proxies.work import Job, Workshop, name_of


def square(value):
    return {"found": np.array([value * value]), "by": np.array([os.getpid()])}


def slow_square(value):
    time.sleep(0.02 * value)  # the first are the last to finish
    return square(value)


def fail(value):
    raise DataError(f"no {value}")


def die(value):
    os._exit(1)


def jobs(values, function=square, size=1):
    return [Job(function, (value,), value, size) for value in values]


def run(folder, groups, workers=1, report=None):
    with Workshop(folder, workers, report or (lambda *_: None)) as workshop:
        return [list(results) for results in workshop.run("stage", groups)]


def found(results):
    return [[int(one["found"][0]) for one in own] for own in results]


def test_results_come_in_order_and_are_not_made_again(tmp_path):
    groups = [jobs([3, 1]), [], jobs([2])]
    assert found(run(tmp_path, groups)) == [[9, 1], [], [4]]
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(written) == 3
    assert found(run(tmp_path, groups)) == [[9, 1], [], [4]]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == written


def test_processes_share_the_work_and_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "WORTH", 1)
    results = run(tmp_path, [jobs([6, 5, 4, 3, 2, 1], slow_square)], workers=2)
    assert found(results) == [[36, 25, 16, 9, 4, 1]]
    assert os.getpid() not in {int(one["by"][0]) for one in results[0]}


def test_little_work_is_done_here(tmp_path):
    results = run(tmp_path, [jobs([1, 2])], workers=8)
    assert {int(one["by"][0]) for one in results[0]} == {os.getpid()}


def test_progress_begins_with_what_was_done_before(tmp_path):
    heard = []
    run(tmp_path, [jobs([1, 2], size=10)])
    run(tmp_path, [jobs([1, 2, 3], size=10)], report=lambda *told: heard.append(told))
    assert heard == [("stage", 20, 30), ("stage", 30, 30)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_is_raised_and_the_others_are_kept(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(work, "WORTH", 1)
    with pytest.raises(DataError, match="no 7"):
        run(tmp_path, [jobs([1, 2]) + jobs([7], fail)], workers)
    assert len(list(tmp_path.rglob("*.npz"))) == 2


def test_a_process_that_dies_can_be_gone_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "WORTH", 1)
    with pytest.raises(PausedError, match="run the same command again"):
        run(tmp_path, [jobs([7, 8], die)], 2)


def test_a_kept_array_is_named_by_its_content(tmp_path):
    workshop = Workshop(tmp_path, 1, lambda *_: None)
    values = np.arange(5)
    path = workshop.keep("five", values)
    assert path.name == f"five-{name_of(values)}.npy"
    assert (np.load(path) == values).all()
    assert workshop.keep("five", values + 1) != path
