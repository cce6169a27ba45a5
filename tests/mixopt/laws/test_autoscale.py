"""AutoScale: recovery over tokens, units that do not matter, and the extrapolation of amounts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.laws import autoscale
from mixopt.laws.autoscale import AutoScale, extrapolated
from mixopt.laws.base import Info, Law
from mixopt.testing import planted_runs

HEIGHT, POWER = np.array([2.0, 3.0]), np.array([0.2, 0.5])
KNOWN = np.array([0.05, 0.3, 0.1, 0.02])
POWERS = np.array([[0.5, 0.1], [0.2, 0.4], [0.3, 0.3], [0.1, 0.6]])


def curve(amounts):
    return 2.0 + ((amounts + KNOWN)[:, :, None] ** -POWERS).sum(axis=1)


def scales(tokens):
    return np.column_stack([np.full((len(tokens), 2), 1e6), tokens])


def test_slopes_by_theta_match_differences():
    rng = np.random.default_rng(0)
    weights, theta = rng.dirichlet(np.ones(3), 5), autoscale._starts(3, 2, 0)
    slopes = autoscale._slopes(weights, theta)
    for p in range(theta.shape[1]):
        step = 1e-6 * np.eye(theta.shape[1])[p]
        rise = autoscale._values(weights, theta + step) - autoscale._values(weights, theta - step)
        np.testing.assert_allclose(slopes[:, :, p], rise / 2e-6, rtol=1e-6, atol=1e-9)


def test_three_runs_a_parameter_recover_the_predictions():
    rng = np.random.default_rng(1)
    weights, rows = rng.dirichlet(np.ones(4), 30), rng.dirichlet(np.ones(4), 200)
    error = AutoScale().fit(weights, curve(weights)).predict(rows) - curve(rows)
    assert (np.abs(error) < 1e-3 * curve(rows).std(axis=0)).all()


def test_runs_of_two_sizes_predict_a_third():
    rng = np.random.default_rng(2)
    weights, rows = rng.dirichlet(np.ones(4), 40), rng.dirichlet(np.ones(4), 50)
    tokens = 1e9 * np.tile([1.0, 1.0, 4.0], 14)[:40]
    law = AutoScale().fit(weights, curve(weights * tokens[:, None] / 1e9), Info(scales(tokens)))
    np.testing.assert_allclose(law.predict(rows), curve(rows), atol=1e-3)
    np.testing.assert_allclose(
        law.predict(rows, np.array([1e6, 1e6, 9e9])), curve(9 * rows), atol=5e-3
    )
    each = law.predict(rows, scales(np.linspace(1e9, 9e9, 50)))
    np.testing.assert_allclose(each, curve(np.linspace(1, 9, 50)[:, None] * rows), atol=5e-3)


def test_the_unit_of_tokens_does_not_matter():
    rng = np.random.default_rng(3)
    weights, losses = planted_runs(30, 4, rng)
    tokens, rows = np.repeat([1e9, 3e9], 15), rng.dirichlet(np.ones(4), 10)
    one, two = (
        AutoScale().fit(weights, losses, Info(scales(unit * tokens))) for unit in (1.0, 1e-3)
    )
    np.testing.assert_allclose(
        two.predict(rows, scales(np.full(10, 5e6))), one.predict(rows, scales(np.full(10, 5e9)))
    )


def test_draws_and_simulated_runs_know_the_scale():
    rng = np.random.default_rng(4)
    weights = rng.dirichlet(np.ones(4), 40)
    tokens = 1e9 * np.tile([1.0, 1.0, 16.0], 14)[:40]
    losses = curve(weights * tokens[:, None] / 1e9) + 0.01 * rng.standard_normal((40, 2))
    law = AutoScale().fit(weights, losses, Info(scales(tokens)))
    rows, large = weights[:5], scales(np.full(5, 16e9))
    mean, sd = law.predict(rows, large, return_std=True)
    draws = law.sample(rows, 2000, rng, large)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.15 * float(sd.max()))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.15)
    again = law.simulated(rng)
    assert np.corrcoef(again[:, 0], losses[:, 0])[0, 1] > 0.95


def test_without_tokens_other_scales_are_refused():
    rng = np.random.default_rng(5)
    law = AutoScale().fit(*planted_runs(30, 3, rng))
    with pytest.raises(DataError, match="training tokens"):
        law.predict(rng.dirichlet(np.ones(3), 2), scales(np.full(2, 1e9)))


def test_gradient_matches_the_numeric_one():
    rng = np.random.default_rng(6)
    law = AutoScale().fit(*planted_runs(40, 4, rng))
    rows = rng.dirichlet(np.full(4, 4.0), 6)
    np.testing.assert_allclose(law.gradient(rows), Law.gradient(law, rows), rtol=1e-4, atol=1e-7)


def best_amounts(multiplier):
    """Amounts that minimise sum_j a_j N_j^-g_j at a multiplier of the total."""
    return (HEIGHT * POWER / multiplier) ** (1.0 / (1.0 + POWER))


def test_extrapolated_amounts_are_the_published_example():  # methods.md T7
    found = extrapolated(best_amounts(1e-3), best_amounts(1e-4))
    np.testing.assert_allclose(found, [6839.9, 2823.1], rtol=1e-5)
    np.testing.assert_allclose(found, best_amounts(1e-5), rtol=1e-12)


@given(st.floats(0.05, 0.5), st.integers(1, 5))
@settings(deadline=None)
def test_extrapolation_is_exact_for_power_laws_at_any_distance(step, times):
    found = extrapolated(best_amounts(1.0), best_amounts(step), times)
    np.testing.assert_allclose(found, best_amounts(step ** (times + 1)), rtol=1e-9)


def test_a_domain_never_falls_under_a_fifth():
    np.testing.assert_allclose(extrapolated([100.0, 10.0, 0.0], [1.0, 30.0, 0.0]), [0.2, 90.0, 0.0])


@pytest.mark.parametrize("pair", [([1.0], [1.0, 2.0]), ([-1.0], [1.0]), ([0.0], [1.0])])
def test_amounts_that_have_no_growth_are_refused(pair):
    with pytest.raises(DataError, match="tokens"):
        extrapolated(*pair)
