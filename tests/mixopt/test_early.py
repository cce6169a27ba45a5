"""Early: metrics at a share of a run's tokens become points of a kind of their own."""

import numpy as np
import pytest

from mixopt.early import cohort_at, shares, with_early
from mixopt.runs import Run
from mixopt.space import Domain, Space
from mixopt.table import join

SPACE = Space([Domain("a"), Domain("b")])


def run(share, metrics, **fields):
    mixture = {"a": share, "b": 1.0 - share}
    return Run(((1.0, mixture),), 1, {"tokens": 100}, metrics=metrics, **fields)


def test_points_before_the_end_share_the_run_and_have_its_tokens_so_far():
    early = {"bpb/a": 1.0, "bpb/b": 2.0, "bpb@0.5/a": 1.5, "bpb@0.5/b": 2.5, "bpb@0.25/b": 3.0}
    runs = [run(0.3, early, scale=(10.0, 5.0, 100.0)), run(0.6, {"bpb/a": 1.1, "bpb/b": 2.1})]
    table = join(runs, SPACE)
    found = with_early(table, runs)
    assert table.metrics == ("bpb/a", "bpb/b")
    assert found.ids == (runs[0].id, runs[1].id, runs[0].id, runs[0].id)
    np.testing.assert_equal(found.losses[2:], [[np.nan, 3.0], [1.5, 2.5]])
    np.testing.assert_equal(found.scales[2:, 2], [25.0, 50.0])
    np.testing.assert_equal(found.weights[2:], np.tile(table.weights[0], (2, 1)))
    assert found.cohorts[3] == cohort_at(table.cohorts[0], 0.5)
    assert found.cohorts[3] != found.cohorts[2] != table.cohorts[0]


def test_rising_metrics_are_turned_as_at_the_end():
    runs = [run(0.3, {"task/x": 0.7, "task@0.5/x": 0.6})]
    table = join(runs, SPACE, directions={"task/x": "up"})
    assert with_early(table, runs).losses[:, 0].tolist() == [-0.7, -0.6]


@pytest.mark.parametrize("name", ["bpb@test/a", "bpb@0/a", "bpb@1/a", "bpb@nan/a", "router/load"])
def test_other_metrics_are_no_early_points(name):
    runs = [run(0.3, {"bpb/a": 1.0, name: 1.5})]
    table = join(runs, SPACE)
    assert shares(runs) == ()
    assert len(with_early(table, runs)) == 1


def test_failed_runs_measured_nothing_early():
    assert shares([run(0.3, {}, error="diverged: early")]) == ()
