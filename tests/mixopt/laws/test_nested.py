"""Nested extrapolation: exact power laws give exact targets; too few points are said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.laws.base import Info
from mixopt.laws.edl import EDL
from mixopt.laws.nested import Nested, carried, power_law

TOKENS = np.array([1e8, 2e8, 4e8])
SIZES = np.array([1e6, 3e6, 9e6])
TARGET = np.array([100e6, 100e6, 100e8])
ROWS = np.random.default_rng(2).dirichlet(np.ones(3), 20)


def two_stage(weights: np.ndarray, scales: np.ndarray, spread: float = 0.0) -> np.ndarray:
    """E + A N^-a + B N^-a D^-b with coefficients, and for a spread exponents, of the mixture."""
    a, b = 0.3 + spread * weights[:, :1], 0.4 - spread * weights[:, 1:2]
    e, top, gain = 1 + weights[:, :2], 0.5 + weights[:, 1:], 0.5 + weights[:, ::2]
    n, t = scales[:, 1:2] / 1e6, scales[:, 2:] / 1e8
    return e + (top + gain * t**-b) * n**-a


def runs(mixtures: int = 12, spread: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    grid = np.array([[n, n, t] for n in SIZES for t in TOKENS])
    weights = np.repeat(rng.dirichlet(np.ones(3), mixtures), len(grid), axis=0)
    scales = np.tile(grid, (mixtures, 1))
    return weights, two_stage(weights, scales, spread), scales


@pytest.mark.parametrize(("shared", "spread"), [(True, 0.0), (False, 0.0), (False, 0.1)])
def test_exact_power_laws_give_the_exact_target(shared, spread):
    weights, losses, scales = runs(spread=spread)
    points = np.log(scales[:, [2, 1]])
    mixtures, values = carried(weights, losses, points, np.log(TARGET[[2, 1]]), shared)
    actual = two_stage(mixtures, np.tile(TARGET, (len(mixtures), 1)), spread)
    np.testing.assert_allclose(values, actual, rtol=1e-5)


def test_the_law_is_the_law_of_the_values_at_the_target():
    weights, losses, scales = runs(mixtures=20)
    law = Nested(law="edl").fit(weights, losses, Info(scales=scales))
    mixtures = np.unique(weights, axis=0)
    there = EDL().fit(mixtures, two_stage(mixtures, np.tile(TARGET, (20, 1))))
    np.testing.assert_allclose(law.predict(ROWS, TARGET), there.predict(ROWS), rtol=1e-3)


def test_what_was_measured_at_the_target_is_not_extrapolated():
    weights, losses, scales = runs()
    odd = losses.copy()
    odd[scales[:, 1] < 9e6] += np.random.default_rng(0).standard_normal((72, 2))
    largest = np.log([4e8, 9e6])
    points = np.log(scales[:, [2, 1]])
    clean, noisy = (carried(weights, part, points, largest, True)[1] for part in (losses, odd))
    np.testing.assert_array_equal(clean, noisy)


@given(st.floats(0.1, 1.5), st.integers(0, 1000))
def test_power_law_beyond_its_points(exponent, seed):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, 3, 4)) + np.arange(4)
    e, top = rng.uniform(1, 2, (5, 1)), rng.uniform(0.5, 2, (5, 1))
    table = e + top * np.exp(-exponent * x)
    for shared in (True, False):
        found = power_law(x, table, 9.0, shared)
        np.testing.assert_allclose(found, (e + top * np.exp(-exponent * 9.0))[:, 0], atol=1e-4)


def test_two_points_are_enough_beside_curves_that_tell_the_exponent():
    x = np.log([1.0, 2.0, 4.0, 8.0])
    table = 1 + np.array([[1.0], [2.0]]) * np.exp(-0.5 * x)
    table[1, [0, 3]] = np.nan
    np.testing.assert_allclose(power_law(x, table, np.log(16), True), [1.25, 1.5], rtol=1e-6)
    alone = power_law(x, table, np.log(16), False)
    assert np.isfinite(alone[0])
    assert np.isnan(alone[1])


def test_too_few_scales_are_said():
    weights, losses, scales = runs()
    two = (scales[:, 1] < 9e6) & (scales[:, 2] == 1e8)
    law = Nested(law="edl").fit(weights[two], losses[two], Info(scales=scales[two]))
    with pytest.raises(DataError, match="at 3 sizes or numbers of tokens"):
        law.predict(ROWS, (9e6, 9e6, 1e8))


def test_interior_scales_are_read_too():
    weights, losses, scales = runs()
    law = Nested(law="edl").fit(weights, losses, Info(scales=scales))
    middle = np.array([5e6, 5e6, 3e8])
    actual = two_stage(ROWS, np.tile(middle, (20, 1)))
    error = np.abs(law.predict(ROWS, middle) - actual).max(axis=0)
    assert (error < 0.3 * actual.std(axis=0)).all()
