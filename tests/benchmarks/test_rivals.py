"""Rivals: each finds a known optimum from a swarm, inside the limits, and says the same again."""

from functools import partial

import numpy as np
import pytest

from mixopt.baselines import baselines
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.table import Table

NAMES = ("web", "code", "books")
BEST = np.array([0.2, 0.5, 0.3])


@pytest.fixture(scope="module")
def problem():
    """64 runs of a mean that is lowest at BEST; code has a cap of 0.6."""
    tokens = [6e8, 1.5e8, 2.5e8]
    domains = [Domain(name, tokens=count) for name, count in zip(NAMES, tokens)]
    space = Space(domains, target_tokens=1e9)
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 64)
    # a share's worth is its slope at BEST: the sum is flat there on the simplex
    losses = 1.5 + np.exp(-4.0 * (rows - BEST)) / 4.0
    n = len(rows)
    table = Table(
        ids=tuple(str(i) for i in range(n)),
        names=("",) * n,
        weights=rows,
        losses=losses,
        metrics=tuple(f"bpb/{name}" for name in NAMES),
        directions=np.ones(3),
        scales=np.full((n, 3), np.nan),
        seed_block=np.full(n, -1),
        round=np.zeros(n, dtype=np.int64),
        origins=("design:random",) * n,
        cohorts=("",) * n,
        own=np.arange(3),
        tokens=np.array(tokens),
    )
    objective = Objective("mean", "relative", table.metrics, np.full(3, 1 / 3))
    return Problem(space, table, None, objective)


@pytest.fixture
def methods(benchmark):
    rivals = benchmark("rivals")
    return {**rivals.METHODS, "regmix": partial(rivals.regmix, samples=4000)}


@pytest.mark.parametrize("name", ["regmix", "olmix", "climb"])
def test_a_rival_comes_near_the_optimum_inside_the_limits(problem, methods, name):
    row = methods[name](problem, np.random.default_rng(0))
    assert problem.space.contains(row[None], tol=1e-8).all()
    natural = baselines(problem.space, {})["natural"].row
    assert np.abs(row - BEST).sum() < 0.35
    assert np.abs(row - BEST).sum() < np.abs(natural - BEST).sum()
    assert (methods[name](problem, np.random.default_rng(0)) == row).all()


def test_olmix_is_drawn_to_the_prior_as_its_paper_draws(benchmark, problem):
    """With a penalty of 0.05 nats the answer lies between the optimum and the prior."""
    rivals = benchmark("rivals")
    row = rivals.olmix(problem, np.random.default_rng(0))
    free = rivals.Exact().propose(rivals._with_law(problem, "loglinear_olmix"), 1, _rng())[0]
    prior = problem.space.reference
    assert np.abs(row - prior).sum() < np.abs(free - prior).sum()


def _rng():
    return np.random.default_rng(0)
