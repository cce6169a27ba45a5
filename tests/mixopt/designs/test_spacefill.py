"""SpaceFill: no place of the space is far from what it plans, and laws learn more from it."""

import numpy as np
import pytest

from mixopt.designs.dirichlet import Dirichlet
from mixopt.designs.spacefill import SpaceFill, candidates
from mixopt.problem import Problem
from mixopt.space import Domain, Space

SPACE = Space([Domain(f"d{j}", tokens=2.0**-j) for j in range(6)], target_tokens=2.0).widened()
DESIGN = SpaceFill(pool=1000, targets=300)


def doubt(points, length):
    """Mean posterior sd of a Gaussian process over the space, after noisy runs at `points`."""
    places = np.sqrt(candidates(SPACE, 1000, np.random.default_rng(9)))
    at = np.sqrt(points)

    def kernel(one, other):
        far = np.sqrt(10 * np.maximum(1 - one @ other.T, 0)) / length
        return one @ other.T + (1 + far + far**2 / 3) * np.exp(-far)

    runs = kernel(at, at) + 0.01 * np.eye(len(at))
    between = kernel(places, at)
    explained = np.einsum("ki,ki->k", between, np.linalg.solve(runs, between.T).T)
    return np.sqrt(np.maximum(2.0 - explained, 0)).mean()


@pytest.mark.parametrize("length", [0.7, 1.0, 2.0, 4.0])
def test_less_doubt_is_left_than_after_draws_whatever_the_length(length):
    rng = np.random.default_rng(0)
    ours = doubt(DESIGN.plan(Problem(SPACE), 24, rng), length)
    usual = np.concatenate([rng.dirichlet(np.full(6, a), 6) for a in (1.0, 0.5, 1.0, 3.0)])
    for rival in (
        Dirichlet().plan(Problem(SPACE), 24, rng),
        SPACE.uniform(24, rng),
        SPACE.project(usual),
    ):
        assert ours < 0.95 * doubt(rival, length)


def test_the_worst_covered_place_is_nearer_than_to_draws():
    """Distance in sqrt(w) to the nearest point planned."""
    places = np.sqrt(candidates(SPACE, 3000, np.random.default_rng(0)))

    def hole(points):
        return ((places[:, None] - np.sqrt(points)[None]) ** 2).sum(axis=2).min(axis=1).max()

    def median(make):
        return np.median([hole(make(np.random.default_rng(seed))) for seed in range(5)])

    ours = median(lambda rng: DESIGN.plan(Problem(SPACE), 24, rng))
    assert ours < median(lambda rng: Dirichlet().plan(Problem(SPACE), 24, rng))
    assert ours < median(lambda rng: SPACE.uniform(24, rng))


def test_long_designs_are_built_in_slices():
    design = SpaceFill(pool=200, targets=100, slice=16)
    points = design.plan(Problem(SPACE), 40, np.random.default_rng(0))
    assert len(np.unique(points.round(6), axis=0)) == 40
