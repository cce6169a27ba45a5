"""Dirichlet: RegMix's sampler where limits are loose, and sparse as it is known to be."""

import numpy as np

from mixopt.designs.dirichlet import Dirichlet
from mixopt.problem import Problem
from mixopt.space import Domain, Space


def plan(space, count, **settings):
    return Dirichlet(**settings).plan(Problem(space), count, np.random.default_rng(0))


def test_the_mean_is_the_tempered_prior():
    tokens = np.array([64.0, 16.0, 4.0, 1.0])
    space = Space([Domain(f"d{j}", tokens=t, minimum=0.0) for j, t in enumerate(tokens)])
    rows = plan(space, 4000, weakest=1.0, strongest=5.0)
    wanted = np.sqrt(tokens) / np.sqrt(tokens).sum()
    np.testing.assert_array_less(
        np.abs(rows.mean(axis=0) - wanted), 4 * rows.std(axis=0) / np.sqrt(len(rows))
    )


def test_weak_strengths_are_sparse_and_small_shares_zero():
    space = Space([Domain(f"d{j}") for j in range(10)])
    rows = plan(space, 300)
    assert 0.3 < (rows == 0).mean() < 0.9
    assert rows[rows > 0].min() >= 2e-4


def test_points_over_a_cap_are_drawn_again():
    """Where half of the draws break a cap, the others stay what they were: no pile on the cap."""
    space = Space([Domain("a"), Domain("b", maximum=0.3), Domain("c")])
    rows = plan(space, 500)
    assert ((rows[:, 1] > 0.299) & (rows[:, 1] <= 0.3)).mean() < 0.02
