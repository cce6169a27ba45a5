"""What a table cannot teach: unexplored directions are named, repetition that costs is noticed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.blind_spots import REPETITION_LEVEL, repetition_missed, unexplored


def test_a_swarm_that_fills_the_space_leaves_nothing_unexplored():
    weights = np.random.default_rng(0).dirichlet(np.ones(6), 40)
    assert unexplored(weights) == ((), (), ())
    assert unexplored(np.hstack([weights, weights[::-1]]), phases=2) == ((), (), ())


def test_domains_that_moved_together_are_named():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(4), 30)
    tied = np.column_stack([0.3 * shares[:, 0], shares[:, 1:], 0.7 * shares[:, 0]])
    assert unexplored(tied).together == ((0, 4),)


def test_domains_that_never_moved_are_named_apart():
    shares = np.random.default_rng(2).dirichlet(np.ones(3), 30)
    rows = np.column_stack([np.zeros(30), 0.8 * shares, np.full(30, 0.2)])
    assert unexplored(rows) == ((0,), (4,), ())


def test_too_few_mixtures_are_not_called_ties():
    weights = np.random.default_rng(3).dirichlet(np.ones(8), 6)
    assert unexplored(weights).together == ()


@given(st.integers(0, 10_000))
def test_relabelled_domains_are_named_alike(seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(4), 20)
    tied = np.column_stack([0.5 * shares[:, 0], 0.5 * shares[:, 0], shares[:, 1:]])
    order = rng.permutation(5)
    found = unexplored(tied[:, order]).together
    assert sorted(order[list(found[0])].tolist()) == [0, 1]


def study(seed, cost, n=48):
    """Residuals of runs that lose `cost` for each epoch of domain 0 beyond one."""
    rng = np.random.default_rng([5, seed])
    epochs = 6 * rng.dirichlet(np.ones(4), n)
    residuals = cost * np.maximum(epochs[:, 0] - 1, 0) + 0.1 * rng.standard_normal(n)
    return residuals, epochs, rng


def test_repetition_that_costs_is_found_where_it_is():
    chances = repetition_missed(*study(0, 0.1))
    assert chances[0] < REPETITION_LEVEL
    assert (chances[1:] > REPETITION_LEVEL).all()


def test_repetition_that_costs_nothing_is_seldom_blamed():
    blamed = [(repetition_missed(*study(seed, 0.0)) < 0.05).any() for seed in range(200)]
    assert np.mean(blamed) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_repetition_that_helps_is_no_complaint():
    assert (repetition_missed(*study(1, -0.1)) > 0.5)[0]


@pytest.mark.parametrize("epochs", [np.nan, 0.5])
def test_without_known_repetition_nothing_is_said(epochs):
    residuals, known, rng = study(2, 0.1)
    assert (repetition_missed(residuals, np.full_like(known, epochs), rng) == 1).all()
    assert (repetition_missed(np.full_like(residuals, np.nan), known, rng) == 1).all()
