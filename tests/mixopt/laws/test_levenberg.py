"""Levenberg-Marquardt: scipy's minimum, bounds, many starts, noise and left-out runs."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt.laws.levenberg import Curve, descend, every, fit_curve, refit_curve
from mixopt.laws.levenberg import _left_out_error as left_out_error

SQUARES = 1e6
"""A delta that no residual reaches."""


def decay(x, width=3.0, lower=-20.0):
    """f = c + exp(b - a x) of x (n, 1), prior N(0, width^2) on b and a."""

    def values(theta):
        return theta[:, :1] + np.exp(theta[:, 1:2] - theta[:, 2:] @ x.T)

    def slopes(theta):
        steep = np.exp(theta[:, 1:2] - theta[:, 2:] @ x.T)
        return np.stack([np.ones_like(steep), steep, -steep * x[:, 0]], axis=2)

    bounds = np.array([-np.inf, lower, lower]), np.array([np.inf, 20.0, 20.0])
    return Curve(values, slopes, np.eye(2, 3, k=1) / width, np.zeros(2), *bounds)


def straight(x, width=1.0):
    """f = c + b . x, prior N(0, width^2) on b."""
    p = x.shape[1] + 1
    design = np.hstack([np.ones((len(x), 1)), x])
    return Curve(
        lambda theta: theta @ design.T,
        lambda theta: np.broadcast_to(design, (len(theta), *design.shape)),
        np.eye(p - 1, p, k=1) / width,
        np.zeros(p - 1),
        np.full(p, -np.inf),
        np.full(p, np.inf),
    )


def data(seed=0, n=30, noise=0.05):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 2, (n, 1))
    return x, -1.0 + np.exp(0.5 - 1.5 * x[:, 0]) + noise * rng.standard_normal(n)


def cost(curve, z, theta, sigma, delta):
    apart = np.abs(curve.values(theta[None])[0] - z)
    huber = np.where(apart <= delta, apart**2 / 2, delta * (apart - delta / 2))
    return huber.sum() + sigma**2 / 2 * ((curve.rows @ theta - curve.targets) ** 2).sum()


@pytest.mark.parametrize("delta", [0.03, 10.0])
def test_the_minimum_is_the_one_of_a_general_solver(delta):
    x, z = data()
    curve = decay(x)
    theta, found = descend(curve, z, np.array([[0.0, 0.0, 0.0]]), 0.3, delta, 200)
    best = minimize(lambda t: cost(curve, z, t, 0.3, delta), theta[0], method="BFGS", tol=1e-9)
    np.testing.assert_allclose(found[0], best.fun, rtol=1e-6)
    np.testing.assert_allclose(found[0], cost(curve, z, theta[0], 0.3, delta), rtol=1e-12)


def test_starts_together_end_where_they_end_alone():
    x, z = data()
    starts = np.random.default_rng(1).standard_normal((5, 3))
    together, costs = descend(decay(x), z, starts, 0.3, 0.5, 12)
    for start, end, value in zip(starts, together, costs):
        alone, own = descend(decay(x), z, start[None], 0.3, 0.5, 12)
        np.testing.assert_allclose(alone[0], end, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(own[0], value, rtol=1e-9)


def test_bounds_hold_and_the_rest_is_the_best_inside_them():
    x, z = data()
    curve = decay(x)
    curve = curve._replace(upper=np.array([np.inf, 20.0, 1.0]))  # the free optimum has a = 1.5
    theta, found = descend(curve, z, np.array([[0.0, 0.0, 0.5]]), 0.3, 0.5, 200)
    assert theta[0, 2] == 1.0
    best = minimize(
        lambda t: cost(curve, z, np.append(t, 1.0), 0.3, 0.5), theta[0, :2], method="BFGS"
    )
    np.testing.assert_allclose(found[0], best.fun, rtol=1e-6)


def test_left_out_error_is_the_brute_force_one_with_replicates():
    rng = np.random.default_rng(2)
    x = np.repeat(rng.standard_normal((8, 2)), [1, 3, 1, 2, 1, 1, 2, 1], axis=0)
    groups = np.repeat(np.arange(8), [1, 3, 1, 2, 1, 1, 2, 1])
    z = x @ [0.5, -0.2] + 0.3 * rng.standard_normal(len(x))
    fit = fit_curve(straight, x, z, np.zeros((1, 3)), (1.0,), SQUARES)
    sigma = fit.sigma
    squares = np.empty(len(z))
    for group in range(8):
        kept = groups != group
        theta = descend(straight(x[kept]), z[kept], np.zeros((1, 3)), sigma, SQUARES, 50)[0]
        squares[~kept] = (z[~kept] - straight(x[~kept]).values(theta)[0]) ** 2
    whole = descend(straight(x), z, np.zeros((1, 3)), sigma, SQUARES, 50)[0][0]
    found = left_out_error(straight(x), z, fit._replace(theta=whole), groups)
    np.testing.assert_allclose(found, squares.mean(), rtol=1e-6)


def test_the_width_is_the_one_that_predicts_left_out_runs():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 8))
    steep, flat = 5.0 * x[:, 0], np.zeros(40)
    noise = 0.5 * rng.standard_normal(40)
    found = [
        fit_curve(straight, x, z, np.zeros((1, 9)), (0.01, 10.0), SQUARES).theta[1]
        for z in (steep + noise, flat + noise)
    ]
    assert abs(found[0] - 5.0) < 0.5
    assert abs(found[1]) < 0.02


def test_noise_is_found_with_the_fit():
    sigma = [
        fit_curve(decay, *data(seed, 60), np.zeros((1, 3)), (3.0,), 1.0).sigma for seed in range(8)
    ]
    np.testing.assert_allclose(np.mean(sigma), 0.05, rtol=0.1)


def test_a_refit_keeps_noise_and_prior_and_follows_the_values():
    x, z = data()
    fit = fit_curve(decay, x, z, np.zeros((1, 3)), (0.7,), 1.0)
    same = refit_curve(decay(x, 99.0), z, fit, 1.0)
    np.testing.assert_allclose(same.theta, fit.theta, atol=1e-3)
    moved = refit_curve(decay(x, 99.0), z + 2.0, fit, 1.0)
    np.testing.assert_allclose(moved.theta, same.theta + np.array([2.0, 0.0, 0.0]), atol=1e-3)
    assert moved.sigma == fit.sigma
    np.testing.assert_array_equal(moved.penalty, fit.penalty)


def test_thousands_of_runs_are_thinned_where_settings_are_chosen():
    assert len(range(1000)[every(1000)]) == 1000
    assert 1024 < len(range(10_000)[every(10_000)]) <= 2048
    x, z = data(n=5000)
    fit = fit_curve(decay, x, z, np.zeros((1, 3)), (3.0,), 1.0)
    np.testing.assert_allclose(fit.theta, [-1.0, 0.5, 1.5], atol=0.05)
