"""Properties of every registered proposer on random problems, and never worse than samples."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.laws import make_law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers import PROPOSERS, make_proposer
from mixopt.proposers.base import distance
from mixopt.proposers.exact import certificate
from mixopt.proposers.experts import Experts
from mixopt.proposers.goal import Goal
from mixopt.registry import load
from mixopt.space import Constraint, Domain, Space
from mixopt.testing import planted_losses, table_of

FEW = {"exact": {"samples": 256, "starts": 2}, "simulate": {"samples": 1000, "best": 16}}
FEW["simulate_iterated"] = {"samples": 300, "rounds": 4}


def random_problem(seed: int) -> Problem:
    """Three to five domains with caps, a group and a constraint that bind or do not."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(3, 6))
    sizes = rng.uniform(0.5, 3.0, d)
    domains = [Domain(f"d{j}", tokens=size, maximum=0.9) for j, size in enumerate(sizes)]
    group = Constraint("group", {"d0": 1.0, "d1": 1.0}, maximum=float(rng.uniform(0.5, 0.9)))
    line = Constraint("line", {"d2": 1.0, "d0": -1.0}, minimum=-0.6)
    space = Space(domains, target_tokens=0.6 * float(sizes.sum()), constraints=[group, line])
    weights = np.vstack([rng.dirichlet(np.ones(d), 8 * d), np.eye(d)])
    table = table_of(weights, planted_losses(weights))
    law = make_law("ridge").fit(weights, table.losses)
    goal = Objective("j", "relative", table.metrics, np.ones(3))
    experts = Experts(np.log(rng.uniform(0.01, 1, (30, d))), np.arange(30) // 3, np.ones(30))
    return Problem(space, table, law, goal, experts)


@pytest.mark.parametrize("method", sorted(PROPOSERS))
@settings(max_examples=3)
@given(seed=st.integers(0, 10_000))
def test_rows_are_legal_distinct_rounded_and_repeat(method, seed):
    problem = random_problem(seed)
    proposer = make_proposer(method, FEW.get(method))
    rows, again = (proposer.propose(problem, 3, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(rows, again)
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=0, atol=1e-9)
    assert problem.space.contains(rows, 1e-8).all()
    for i, row in enumerate(rows[1:], start=1):
        assert distance(problem.space, rows[:i], row).min() > 1e-3


@pytest.mark.parametrize("method", sorted(PROPOSERS))
def test_a_law_is_asked_by_those_that_say_so(method):
    problem = random_problem(0)
    proposer = make_proposer(method, FEW.get(method))
    if not proposer.needs_law:
        without = proposer.propose(replace(problem, law=None), 1, np.random.default_rng(0))
        with_it = proposer.propose(problem, 1, np.random.default_rng(0))
        np.testing.assert_array_equal(without, with_it)


@pytest.mark.parametrize(
    "law", ["edl", "gp", "loglinear", "quadratic", pytest.param("regmix", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["relative", "absolute"])
def test_exact_is_never_worse_than_the_best_of_100000_samples(law, kind):
    rng = np.random.default_rng(4)
    weights = rng.dirichlet(np.ones(4), 40)
    table = table_of(weights, planted_losses(weights) + 0.002 * rng.standard_normal((40, 3)))
    space = Space([Domain("a", maximum=0.5), Domain("b"), Domain("c"), Domain("d", maximum=0.4)])
    fitted = make_law(law).fit(weights, table.losses)
    goal = Objective("j", kind, table.metrics, np.ones(3), table.losses.std(axis=0))
    problem = Problem(space, table, fitted, goal)
    row = make_proposer("exact").propose(problem, 1, np.random.default_rng(0))
    half = np.random.default_rng(9).dirichlet(np.full(4, 0.7), 50_000)
    samples = np.vstack([space.uniform(50_000, np.random.default_rng(8)), space.project(half)])
    found = Goal.of(problem)
    rounding = 1e-3  # shares of 1e-4, in s_J
    assert found.values(row)[0] <= found.values(samples).min() + rounding


def test_a_certificate_bounds_what_any_sample_can_gain():
    rng = np.random.default_rng(5)
    weights = rng.dirichlet(np.ones(4), 40)
    table = table_of(weights, planted_losses(weights))
    space = Space([Domain(name) for name in "abcd"])
    fitted = make_law("edl").fit(weights, table.losses)
    assert fitted.convex
    goal = Objective("j", "absolute", table.metrics, np.ones(3), table.losses.std(axis=0))
    problem = Problem(space, table, fitted, goal)
    row = make_proposer("exact").propose(problem, 1, rng)
    gap = certificate(problem, row[0])
    assert gap is not None
    assert 0 <= gap < 0.01
    values = Goal.of(problem).objective_values(np.vstack([row, space.uniform(20_000, rng)]))
    assert values[0] - values[1:].min() <= gap + 1e-9
    ratios = replace(problem, objective=replace(goal, kind="relative"))
    assert certificate(ratios, row[0]) is None


def test_every_proposer_is_of_its_contract():
    for name in PROPOSERS:
        assert isinstance(load(PROPOSERS, "proposer", name).needs_law, bool)
