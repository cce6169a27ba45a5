"""mfbo: sizes that agree are hardly paid for at the top, sizes that disagree send the budget up."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.designs import make_design
from mixopt.designs.mfbo import MFBO
from mixopt.errors import DataError
from mixopt.fidelity import Fidelity, fidelity_index
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.testing import table_of

SPACE = Space([Domain(f"d{j}") for j in range(3)])
SIZES = (Fidelity("small", "small", 1.0), Fidelity("large", "large", 10.0))
GOAL = Objective("mean", "absolute", ("loss/domain0",), np.ones(1), scale=np.ones(1))
FAST = {"first": "random", "starts": 4, "pool": 60}


def bowl(weights, centre):
    return 2.0 + ((np.sqrt(weights) - np.sqrt(centre)) ** 2).sum(axis=1)


def searched(rng, centre, low, budget, sizes=SIZES):
    """Runs by mfbo, one at a time, until the budget is spent: (weights, kinds, values)."""
    weights = SPACE.uniform(6, rng)
    kinds = np.zeros(6, dtype=np.int64)
    functions = [low, lambda rows: bowl(rows, centre)][-len(sizes) :]
    values = functions[0](weights)
    design = MFBO(**FAST)
    while True:
        table = replace(
            table_of(weights, values[:, None]), cohorts=tuple(sizes[kind].cohort for kind in kinds)
        )
        problem = Problem(SPACE, table, objective=GOAL, fidelities=sizes)
        plan = design.detailed(problem, 1, rng)
        assert plan.fidelity is not None
        kind = int(plan.fidelity[0])
        spent = sum(sizes[one].cost for one in kinds) + sizes[kind].cost
        if spent > budget:
            return problem, kinds
        value = functions[kind](plan.rows)
        weights = np.vstack([weights, plan.rows])
        kinds, values = np.append(kinds, kind), np.append(values, value)


def regret(problem, centre, rng):
    return float(bowl(MFBO(**FAST).recommend(problem, rng)[None], centre)[0] - 2.0)


def test_a_size_that_is_off_by_a_constant_stands_for_the_top():
    """T16 at 1:10: four runs of five are cheap, and the optimum is the top's."""
    found, cheap = [], []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        centre = rng.dirichlet(np.full(3, 2.0))
        problem, kinds = searched(rng, centre, lambda rows, c=centre: bowl(rows, c) + 0.7, 60.0)
        cheap.append(float((kinds == 0).mean()))
        found.append(regret(problem, centre, rng))
    assert np.mean(cheap) >= 0.8, cheap
    assert max(found) < 0.03, found


def test_a_size_that_turns_the_order_round_is_left():
    """T17 at 1:10: the budget goes up."""
    shares, found = [], []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        centre = rng.dirichlet(np.full(3, 2.0))
        off = rng.dirichlet(np.full(3, 0.3))
        problem, kinds = searched(rng, centre, lambda rows, c=off: 4.0 - bowl(rows, c), 140.0)
        cost = np.array([size.cost for size in SIZES])[kinds]
        shares.append(cost[kinds == 1].sum() / cost.sum())
        found.append(regret(problem, centre, rng))
    assert np.mean(shares) > 0.6, shares
    assert max(found) < 0.05, found


def test_first_a_round_of_cheap_runs_then_three_at_the_top():
    rng = np.random.default_rng(0)
    plan = MFBO(**FAST).detailed(Problem(SPACE, fidelities=SIZES), 5, rng)
    assert plan.fidelity is None
    centre = np.array([0.5, 0.3, 0.2])
    weights = SPACE.uniform(8, rng)
    table = replace(table_of(weights, bowl(weights, centre)[:, None]), cohorts=("small",) * 8)
    problem = Problem(SPACE, table, objective=GOAL, fidelities=SIZES)
    plan = MFBO(**FAST).detailed(problem, 3, rng)
    assert plan.searched
    assert plan.fidelity is not None
    assert plan.fidelity.tolist() == [1, 1, 1]
    values = bowl(plan.rows, centre)
    assert values[0] < values[2]


def test_one_size_is_refused_with_what_to_do():
    rng = np.random.default_rng(0)
    weights = SPACE.uniform(8, rng)
    table = table_of(weights, weights[:, :1])
    with pytest.raises(DataError, match=r"\[confirm\]"):
        make_design("mfbo").plan(Problem(SPACE, table, objective=GOAL), 2, rng)


def test_runs_find_their_size_by_the_first_word_of_their_cohort():
    table = table_of(np.eye(3), np.ones((3, 1)))
    table = replace(table, cohorts=("large 1e6/1e6/1e7 abc", "small", "other"))
    assert fidelity_index(table, SIZES).tolist() == [1, 0, -1]
