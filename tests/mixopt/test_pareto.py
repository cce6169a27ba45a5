"""Pareto sets: a front that is known, nobody beaten, corners, and trades that add up."""

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.laws.ridge import Ridge
from mixopt.objective import Objective
from mixopt.pareto import pareto_set
from mixopt.problem import Problem
from mixopt.proposers.exact import Exact
from mixopt.space import Domain, Space
from mixopt.testing import planted_losses, table_of

SPACE = Space([Domain(name) for name in ("a", "b", "c")])


def problem_of(seed=0, space=SPACE):
    weights = space.uniform(40, np.random.default_rng(seed))
    table = table_of(weights, planted_losses(weights))
    return Problem(space, table, Ridge().fit(weights, table.losses))


def only(column, kind="relative"):
    return Objective(f"m{column}", kind, problem_of().table.metrics, np.eye(3)[column], np.ones(3))


def test_the_front_runs_from_the_domain_of_one_to_that_of_the_other():
    problem = problem_of()
    front = pareto_set(problem, {"a": only(0), "b": only(1)}, np.random.default_rng(0))
    assert len(front.rows) >= 4
    assert (np.diff(front.rows[:, 0]) < 0).all()
    assert (np.diff(front.rows[:, 1]) > 0).all()
    assert (np.diff(front.losses[:, 0]) > 0).all()
    assert (np.diff(front.losses[:, 1]) < 0).all()


@pytest.mark.parametrize(("seed", "kind"), [(1, "relative"), (2, "worst"), (3, "absolute")])
def test_no_sample_beats_a_point_everywhere(seed, kind):
    problem = problem_of(seed)
    goals = {"a": only(0, kind), "b": only(1)}
    rng = np.random.default_rng(seed)
    front = pareto_set(problem, goals, rng)
    assert SPACE.contains(front.rows).all()
    reference = problem.law.predict(SPACE.reference[None])[0]
    samples = problem.law.predict(SPACE.uniform(2000, rng))
    values = np.stack([goal.value(samples, reference) for goal in goals.values()], axis=1)
    spread = values.std(axis=0)
    beaten = (values[:, None] < front.losses - 0.02 * spread).all(axis=2)
    assert not beaten.any()


def test_the_ends_are_the_optima_of_each():
    problem = problem_of()
    goals = {"a": only(0), "b": only(1), "c": only(2)}
    front = pareto_set(problem, goals, np.random.default_rng(0))
    for o, goal in enumerate(goals.values()):
        own = Problem(SPACE, problem.table, problem.law, goal)
        row = Exact().propose(own, 1, np.random.default_rng(1))
        reference = problem.law.predict(SPACE.reference[None])[0]
        best = goal.value(problem.law.predict(row), reference)[0]
        assert front.losses[:, o].min() == pytest.approx(best, abs=1e-3)


def test_trades_are_differences_to_the_best_of_what_is_given_up():
    problem = problem_of()
    front = pareto_set(problem, {"a": only(0), "b": only(1)}, np.random.default_rng(0))
    best = front.losses.min(axis=0)
    trades = front.trades()
    assert {trade.lost for trade in trades} == {"a", "b"}
    for trade in trades:
        assert trade.lost != trade.won
        column = "ab".index(trade.lost)
        assert trade.cost == pytest.approx(front.losses[trade.point, column] - best[column])
        assert trade.gain > 0


def test_there_are_no_more_points_than_people_can_weigh():
    goals = {"a": only(0), "b": only(1), "c": only(2)}
    assert 4 <= len(pareto_set(problem_of(), goals, np.random.default_rng(0)).rows) <= 7


def test_groups_and_caps_hold_on_the_front():
    space = Space([Domain("a", maximum=0.4), Domain("b", maximum=0.5), Domain("c")])
    front = pareto_set(problem_of(0, space), {"a": only(0), "b": only(1)}, np.random.default_rng(0))
    assert space.contains(front.rows).all()


def test_one_objective_has_nothing_to_trade():
    with pytest.raises(DataError, match="two objectives"):
        pareto_set(problem_of(), {"a": only(0)}, np.random.default_rng(0))
