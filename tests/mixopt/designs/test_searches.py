"""Searches: points apart, limits, pending runs, bad tables, and better than chance on a bowl."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.designs import make_design
from mixopt.designs.climb import Climb, halving
from mixopt.designs.search import measured
from mixopt.errors import DataError
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.base import distance
from mixopt.proposers.simulate import dirichlet_rows
from mixopt.space import Constraint, Domain, Space
from mixopt.testing import planted_losses, table_of

SEARCHES = {
    "edl_greedy": {"first": "sobol", "pool": 400},
    "edl_ts": {"first": "sobol", "pool": 400},
    "edl_gp_ts": {"first": "sobol", "pool": 400},
    "climb": {"samples": 1000},
    "verify": {"first": "sobol"},
}


@pytest.fixture(params=sorted(SEARCHES))
def search(request):
    return make_design(request.param, SEARCHES[request.param])


def space_of(d, **settings):
    return Space([Domain(f"d{j}") for j in range(d)], **settings)


def problem_of(space, n, seed=0, losses=planted_losses, noise=0.0):
    rng = np.random.default_rng(seed)
    weights = space.uniform(n, rng)
    values = losses(weights) + noise * rng.standard_normal((n, 1))
    table = table_of(weights, values)
    return Problem(space, table, objective=objective_of(values.shape[1]))


def objective_of(m):
    metrics = tuple(f"loss/domain{i}" for i in range(m))
    return Objective("mean", "relative", metrics, np.ones(m))


def test_a_batch_is_apart_from_itself_and_from_what_is_pending(search):
    space = space_of(4)
    problem = problem_of(space, 20)
    pending = space.uniform(3, np.random.default_rng(9))
    rows = search.plan(replace(problem, pending=pending), 5, np.random.default_rng(0))
    for i, row in enumerate(rows):
        others = np.concatenate([np.delete(rows, i, axis=0), pending])
        assert distance(space, others, row).min() >= 0.1 - 1e-9


def test_limits_hold(search):
    tokens = {"d0": 1e6, "d1": 3e6, "d2": 9e6, "d3": 9e6}
    space = Space(
        [Domain(name, tokens=count) for name, count in tokens.items()],
        target_tokens=2e7,
        constraints=[Constraint("g", {"d0": 1.0, "d3": 1.0}, minimum=0.3, maximum=0.5)],
    ).widened(2.0)
    rows = search.plan(problem_of(space, 24), 4, np.random.default_rng(0))
    assert space.contains(rows, tol=1e-8).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-9)


def test_the_same_generator_gives_the_same_batch(search):
    problem = problem_of(space_of(3), 16, noise=0.01)
    one, other = (search.plan(problem, 3, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_few_runs_are_said_and_the_space_is_covered(search):
    space = space_of(4)
    plan = search.detailed(problem_of(space, 2), 3, np.random.default_rng(0))
    assert not plan.searched
    assert "2 of the 4 mixtures" in plan.notes[0]
    assert search.detailed(problem_of(space, 12), 3, np.random.default_rng(0)).searched


def test_equal_metrics_leave_nothing_to_search_for(search):
    problem = problem_of(space_of(3), 12, losses=lambda w: np.full((len(w), 2), 3.0))
    plan = search.detailed(problem, 3, np.random.default_rng(0))
    assert not plan.searched
    assert "nothing to search for" in plan.notes[0]


def test_unmeasured_and_repeated_runs_are_no_trouble(search):
    problem = problem_of(space_of(3), 16)
    table = problem.table
    assert table is not None
    losses = table.losses.copy()
    losses[:3, 0] = np.nan
    doubled = replace(table, losses=losses).select(np.r_[np.arange(16), np.arange(8)])
    rows = search.plan(replace(problem, table=doubled), 3, np.random.default_rng(0))
    assert np.isfinite(rows).all()


def test_a_table_without_an_objective_is_refused(search):
    problem = replace(problem_of(space_of(3), 12), objective=None)
    with pytest.raises(DataError, match="no objective"):
        search.plan(problem, 2, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["edl_greedy", "edl_ts", "edl_gp_ts", "climb", "random"])
def test_only_candidates_are_planned_and_none_twice(name):
    space, rng = space_of(4), np.random.default_rng(1)
    pool = space.uniform(40, rng)
    table = table_of(pool[:10], planted_losses(pool[:10]))
    problem = Problem(space, table, objective=objective_of(3), candidates=pool)
    rows = make_design(name, SEARCHES.get(name, {})).plan(problem, 30, rng)
    found = np.abs(rows[:, None] - pool[None]).max(axis=2).argmin(axis=1)
    np.testing.assert_allclose(rows, pool[found])
    assert sorted(found) == list(range(10, 40))


@pytest.mark.parametrize("name", ["edl_greedy", "edl_ts", "edl_gp_ts"])
def test_the_best_of_a_pool_is_found_sooner_than_by_chance(name):
    space, took = space_of(5), []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        pool = space.uniform(100, rng)
        values = planted_losses(pool)
        best = int(objective_of(3).value(values, values[0]).argmin())
        took.append(evaluations(name, space, pool, values, best, rng))
    assert np.median(took) < 20, took  # chance: 50


def evaluations(name, space, pool, values, best, rng):
    """Runs, one at a time after 6 random ones, until the best of the pool was run."""
    run = rng.permutation(len(pool))[:6].tolist()
    while best not in run:
        table = table_of(pool[run], values[run])
        problem = Problem(space, table, objective=objective_of(3), candidates=pool)
        row = make_design(name).plan(problem, 1, rng)[0]
        run.append(int(np.abs(pool - row).max(axis=1).argmin()))
    return len(run)


def test_climb_begins_as_regmix_does():
    space = space_of(6)
    one = Climb().plan(Problem(space), 8, np.random.default_rng(3))
    regmix = make_design("dirichlet").plan(Problem(space), 8, np.random.default_rng(3))
    np.testing.assert_array_equal(one, regmix)


def test_rounds_of_climb():
    assert halving(112, 3) == [64, 32, 16]
    assert sum(halving(13, 4)) == 13
    assert min(halving(4, 4)) == 1


def test_climb_beats_one_round_of_as_many_runs():
    """A quadratic of 20 domains, 64 + 32 + 16 runs against 112 at once, paired over seeds."""
    space, wins, seeds = space_of(20), 0, 30
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        centre = rng.dirichlet(np.full(20, 0.3))
        once = reached(space, centre, [112], rng)
        wins += bool(reached(space, centre, halving(112, 3), rng) < once)
    assert wins >= 20  # sign test, 5 %


def reached(space, centre, rounds, rng):
    """The best run, or the pick of the trees if that is better."""

    def losses(weights):
        return 2.0 + ((weights - centre) ** 2).sum(axis=1, keepdims=True)

    weights, problem = np.empty((0, 20)), Problem(space)
    for count in rounds:
        weights = np.vstack([weights, Climb(samples=2000).plan(problem, count, rng)])
        problem = Problem(space, table_of(weights, losses(weights)), objective=objective_of(1))
    rows, known = dirichlet_rows(space, 2000, rng), measured(problem)
    assert known is not None
    pick = rows[Climb().predicted(known, rows, rng).argmin()]
    return losses(np.vstack([weights, pick])).min()
