"""Searches on tables as they come: repeated, flat, shuffled, late, many runs, many domains."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("botorch")

from mixopt.designs import make_design
from mixopt.designs.search import measured
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.base import distance
from mixopt.space import Domain, Space
from mixopt.testing import planted_losses, table_of

SEARCHES = {
    "bo": {"first": "random", "pool": 60},
    "edl_greedy": {"first": "random", "pool": 200},
}


@pytest.fixture(params=sorted(SEARCHES))
def search(request):
    return make_design(request.param, SEARCHES[request.param])


def space_of(d):
    return Space([Domain(f"d{j}") for j in range(d)])


def problem_of(d, n, losses=planted_losses, m=None):
    space = space_of(d)
    weights = space.uniform(n, np.random.default_rng((d, n)))
    values = losses(weights)[:, :m]
    names = tuple(f"loss/domain{i}" for i in range(values.shape[1]))
    goal = Objective("mean", "relative", names, np.ones(len(names)))
    return Problem(space, table_of(weights, values), objective=goal)


def test_runs_of_one_mixture_over_and_over_are_one_place(search):
    problem = problem_of(3, 12)
    assert problem.table is not None
    thrice = problem.table.select(np.tile(np.arange(12), 3))
    plan = search.detailed(replace(problem, table=thrice), 2, np.random.default_rng(0))
    assert plan.searched
    for row in plan.rows:
        assert distance(problem.space, thrice.weights, row).min() > 1e-3


def test_equal_metrics_leave_bo_nothing_to_search_for():
    problem = problem_of(3, 12, lambda rows: np.full((len(rows), 2), 3.0))
    plan = make_design("bo", SEARCHES["bo"]).detailed(problem, 2, np.random.default_rng(0))
    assert not plan.searched
    assert "nothing to search for" in plan.notes[0]


def test_the_order_in_which_runs_arrive_changes_nothing_they_say():
    problem = problem_of(4, 16)
    assert problem.table is not None
    shuffled = problem.table.select(np.random.default_rng(1).permutation(16))
    best = []
    for table in (problem.table, shuffled):
        known = measured(replace(problem, table=table))
        assert known is not None
        best.append(known.table.weights[known.values.argmin()])
    np.testing.assert_array_equal(*best)


def test_a_run_that_arrives_late_was_pending_before_and_is_evidence_now(search):
    """The third run of the last batch is late: its place is taken, before and after it arrives."""
    problem = problem_of(3, 14)
    assert problem.table is not None
    late = problem.table.weights[[11]]
    before = replace(problem, table=problem.table.select(np.delete(np.arange(14), 11)))
    early = search.plan(replace(before, pending=late), 2, np.random.default_rng(0))
    after = search.plan(problem, 2, np.random.default_rng(0))
    for row in early:
        assert distance(problem.space, late, row)[0] >= 0.1 - 1e-9
    for row in after:
        assert distance(problem.space, late, row)[0] > 1e-3


@pytest.mark.parametrize(("d", "n"), [(3, 2000), (500, 40)])
def test_thousands_of_runs_and_hundreds_of_domains(d, n):
    problem = problem_of(d, n, m=1)
    design = make_design("bo", {"first": "random", "pool": 40, "most": 100, "starts": 10})
    plan = design.detailed(problem, 1, np.random.default_rng(0))
    assert plan.searched
    assert problem.space.contains(plan.rows, 1e-8).all()


def test_a_list_of_mixtures_that_are_all_taken_gives_replicates():
    problem = problem_of(3, 6)
    assert problem.table is not None
    taken = replace(problem, candidates=problem.table.weights)
    for name in ("random", "edl_greedy"):
        rows = make_design(name, SEARCHES.get(name, {})).plan(taken, 3, np.random.default_rng(0))
        assert distance(problem.space, problem.table.weights, rows[0]).min() == 0
