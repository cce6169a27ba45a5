"""Uniform sampling: the moments that a uniform distribution has, by each of the three ways."""

import numpy as np
import pytest

from mixopt import sampling
from mixopt.space import Constraint, Domain, Space

COUNT = 4000


def plain(d, **limits):
    return Space([Domain(f"d{j}", **limits) for j in range(d)])


def assert_mean(rows, mean, sd):
    """Within 4 standard errors."""
    np.testing.assert_array_less(np.abs(rows.mean(axis=0) - mean), 4 * sd / np.sqrt(len(rows)))


WAYS = {
    "drawn": lambda space, rng: sampling.uniform(space.polytope, COUNT, rng),
    "pair_sweeps": lambda space, rng: sampling._pair_sweeps(
        space.polytope, np.tile(space.polytope.interior, (COUNT, 1)), rng
    ),
    "hit_and_run": lambda space, rng: sampling._hit_and_run(
        space.polytope, np.tile(space.polytope.interior, (COUNT, 1)), rng
    ),
}


@pytest.mark.parametrize("d", [2, 3, 7])
@pytest.mark.parametrize("way", sorted(WAYS))
def test_moments_of_the_plain_simplex(way, d):
    """Dirichlet(1, ..., 1): mean 1 / d, variance (d - 1) / (d^2 (d + 1)), covariance below zero."""
    rows = WAYS[way](plain(d), np.random.default_rng(1))
    variance = (d - 1) / (d * d * (d + 1))
    assert_mean(rows, 1 / d, np.sqrt(variance))
    np.testing.assert_allclose(rows.var(axis=0), variance, rtol=0.15)
    covariance = np.cov(rows.T)[0, 1]
    assert covariance == pytest.approx(-1 / (d * d * (d + 1)), rel=0.25)


@pytest.mark.parametrize("way", sorted(WAYS))
def test_moments_of_a_cut_interval(way):
    """Two domains, one within .2 to .3: uniform on an interval."""
    space = Space([Domain("a", minimum=0.2, maximum=0.3), Domain("b")])
    share = WAYS[way](space, np.random.default_rng(2))[:, 0]
    assert_mean(share[:, None], 0.25, 0.1 / np.sqrt(12))
    assert share.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.05)


def test_moments_of_a_cut_triangle():
    """Three domains with a + b <= .02: a uniform triangle, where the mean is its centroid."""
    space = Space(
        [Domain("a"), Domain("b"), Domain("c")],
        constraints=[Constraint("few", {"a": 1.0, "b": 1.0}, maximum=0.02)],
    )
    rows = space.uniform(COUNT, np.random.default_rng(3))
    sd = 0.02 / np.sqrt(18)
    assert_mean(rows, np.array([0.02 / 3, 0.02 / 3, 1 - 0.04 / 3]), np.array([sd, sd, sd]))
    np.testing.assert_allclose(rows[:, :2].std(axis=0), sd, rtol=0.05)


def test_tight_caps_agree_with_thinned_draws():
    """Where caps leave 2 % of the simplex, chains agree with draws that are thrown away."""
    space = plain(6, maximum=0.3)
    rows = space.uniform(COUNT, np.random.default_rng(4))
    rng = np.random.default_rng(5)
    drawn = rng.dirichlet(np.ones(6), 400_000)
    drawn = drawn[(drawn <= 0.3).all(axis=1)]
    assert_mean(rows, drawn.mean(axis=0), drawn.std(axis=0) * 1.2)
    np.testing.assert_allclose(rows.std(axis=0), drawn.std(axis=0), rtol=0.06)


@pytest.mark.parametrize(
    "space",
    [
        plain(1),
        plain(2, maximum=0.5),
        Space([Domain("a", tokens=1.0), Domain("b", tokens=1.0)], target_tokens=8.0),
        Space(
            [Domain(f"d{j}", tokens=10.0**j) for j in range(8)],
            target_tokens=4e7,
            phases=[0.6, 0.4],
            constraints=[Constraint("c", {"d6": 1.0, "d5": -1.0}, maximum=0.1)],
        ),
        Space(
            [Domain(name) for name in "abcd"],
            constraints=[
                Constraint("same", {"a": 1.0, "b": 1.0}, 0.5, 0.5),
                Constraint("half", {"c": 2.0, "b": 1.0}, maximum=0.4),
            ],
        ),
    ],
    ids=["one domain", "one point", "capped point", "schedule", "equality"],
)
def test_rows_are_legal_and_repeatable(space):
    rows = space.uniform(30, np.random.default_rng(6))
    assert rows.shape == (30, space.width)
    assert space.polytope.excess(rows).max() <= 1e-9
    np.testing.assert_array_equal(rows, space.uniform(30, np.random.default_rng(6)))


def test_no_rows_at_all():
    assert plain(3).uniform(0, np.random.default_rng(0)).shape == (0, 3)
