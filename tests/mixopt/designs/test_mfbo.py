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
NOISE = 0.003
FAST = {"first": "random", "starts": 4, "pool": 60}


def bowl(weights, centre):
    return 2.0 + ((np.sqrt(weights) - np.sqrt(centre)) ** 2).sum(axis=1)


def searched(rng, centre, low, budget, sizes=SIZES, batch=1):
    """Runs by mfbo, a batch at a time, until the budget is spent: the problem, kinds and notes."""
    weights = SPACE.uniform(6, rng)
    kinds = np.zeros(6, dtype=np.int64)
    functions = [low, lambda rows: bowl(rows, centre)][-len(sizes) :]
    values = functions[0](weights) + NOISE * rng.standard_normal(6)
    design = MFBO(**FAST)
    while True:
        table = replace(
            table_of(weights, values[:, None]), cohorts=tuple(sizes[kind].cohort for kind in kinds)
        )
        problem = Problem(SPACE, table, objective=GOAL, fidelities=sizes)
        plan = design.detailed(problem, batch, rng)
        assert plan.fidelity is not None
        new = np.append(kinds, plan.fidelity)
        if sum(sizes[one].cost for one in new) > budget:
            return problem, kinds, plan.notes
        found = [functions[kind](row[None])[0] for row, kind in zip(plan.rows, plan.fidelity)]
        found += NOISE * rng.standard_normal(len(found))
        weights, kinds, values = np.vstack([weights, plan.rows]), new, np.append(values, found)


def regret(problem, centre, rng):
    return float(bowl(MFBO(**FAST).recommend(problem, rng)[None], centre)[0] - 2.0)


def test_a_size_that_is_off_by_a_constant_stands_for_the_top():
    """T16 at 1:10: four runs of five are cheap, and the optimum is the top's."""
    found, cheap = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        centre = rng.dirichlet(np.full(3, 2.0))
        low = lambda rows, c=centre: bowl(rows, c) + 0.7  # noqa: E731
        problem, kinds, notes = searched(rng, centre, low, 100.0)
        assert notes == ()
        cheap.append(float((kinds == 0).mean()))
        found.append(regret(problem, centre, rng))
    assert np.mean(cheap) >= 0.8, cheap
    assert max(found) < 0.03, found


def test_a_size_that_turns_the_order_round_is_left():
    """T17 at 1:10: the budget goes up."""
    rng = np.random.default_rng(0)
    centre = rng.dirichlet(np.full(3, 2.0))
    problem, kinds, _ = searched(rng, centre, lambda rows: 4.0 - bowl(rows, centre), 140.0, batch=3)
    cost = np.array([size.cost for size in SIZES])[kinds]
    assert cost[kinds == 1].sum() / cost.sum() > 0.9
    assert regret(problem, centre, rng) < 0.02


def test_where_cheap_runs_mislead_the_top_alone_is_asked_and_the_plan_says_so():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 12)
    weights = np.vstack([weights, weights[[0, 3, 6, 9]]])
    kinds = np.r_[np.zeros(12, int), np.ones(4, int)]
    truth = (np.sqrt(weights) @ [1.0, 0.5, 0.1]) ** 2 + 0.01 * rng.standard_normal(16)
    values = np.where(kinds == 1, truth, 3.0 - truth)
    cohorts = tuple(SIZES[kind].cohort for kind in kinds)
    table = replace(table_of(weights, values[:, None]), cohorts=cohorts)
    problem = Problem(SPACE, table, objective=GOAL, fidelities=SIZES)
    plan = MFBO(**FAST).detailed(problem, 2, rng)
    assert plan.fidelity is not None
    assert plan.fidelity.tolist() == [1, 1]
    assert "at the top alone" in plan.notes[0]


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
    away = np.abs(plan.rows[:, None] - weights[None]).max(axis=2)
    assert (away.min(axis=1) < 1e-12).all()  # of mixtures that the small size ran: shared units


def test_one_size_is_refused_with_what_to_do():
    rng = np.random.default_rng(0)
    weights = SPACE.uniform(8, rng)
    table = table_of(weights, weights[:, :1])
    with pytest.raises(DataError, match=r"\[confirm\]"):
        make_design("mfbo").plan(Problem(SPACE, table, objective=GOAL), 2, rng)


def test_points_before_the_end_are_seen_and_never_planned():
    """One size whose runs measured at half of their tokens: full runs or shorter ones are next."""
    rng = np.random.default_rng(0)
    kinds = (
        Fidelity("short", "short", 0.5),
        Fidelity("half way", "one@0.5", 0.5, planned=False),
        Fidelity("whole", "one", 1.0),
    )
    centre, weights = np.array([0.5, 0.3, 0.2]), SPACE.uniform(6, rng)
    values = bowl(weights, centre)
    table = table_of(np.vstack([weights, weights]), np.append(values, values + 0.5)[:, None])
    table = replace(table, ids=table.ids[:6] * 2, cohorts=("one",) * 6 + ("one@0.5",) * 6)
    problem = Problem(SPACE, table, objective=GOAL, fidelities=kinds)
    plan = MFBO(**FAST).detailed(problem, 4, rng)
    assert plan.searched
    assert plan.fidelity is not None
    assert set(plan.fidelity.tolist()) <= {0, 2}
    assert regret(problem, centre, rng) < 0.1


def test_runs_find_their_size_by_the_first_word_of_their_cohort():
    table = table_of(np.eye(3), np.ones((3, 1)))
    table = replace(table, cohorts=("large 1e6/1e6/1e7 abc", "small", "other"))
    assert fidelity_index(table, SIZES).tolist() == [1, 0, -1]
