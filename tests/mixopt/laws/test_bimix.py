"""BiMix: the formula, recovery, the closed-form optimum, logarithms and domains left out."""

import numpy as np
import pytest

from mixopt.laws import bimix
from mixopt.laws.base import Law
from mixopt.laws.bimix import BiMix
from mixopt.testing import planted_runs


def test_curve_is_the_formula():
    theta = np.log([np.exp(0.7), 0.01, 0.3, 0.2, 0.5, 0.1])
    shares = np.array([[0.3, 0.7], [0.0, 1.0]])
    powers = [0.6, 2.0] * (shares + 0.01) ** [-0.5, -0.1]
    np.testing.assert_allclose(
        bimix._values(shares, theta[None])[0], 0.7 - 2.6 + powers.sum(axis=1), rtol=1e-12
    )


def test_slopes_by_theta_match_differences():
    rng = np.random.default_rng(0)
    weights, theta = rng.dirichlet(np.ones(3), 5), bimix._starts(3, 2, 0)
    slopes = bimix._slopes(weights, theta)
    for p in range(theta.shape[1]):
        step = 1e-6 * np.eye(theta.shape[1])[p]
        rise = bimix._values(weights, theta + step) - bimix._values(weights, theta - step)
        np.testing.assert_allclose(slopes[:, :, p], rise / 2e-6, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("d", [6, 10])
def test_three_runs_a_parameter_recover_the_predictions(d):
    rng = np.random.default_rng(d)
    height, power = rng.uniform(0.05, 0.5, (d, 2)), rng.uniform(0.1, 0.6, (d, 2))

    def law(w):
        return 2.0 + (height * (w + 1e-3)[:, :, None] ** -power).sum(axis=1)

    weights, rows = rng.dirichlet(np.ones(d), 3 * (d + 1)), rng.dirichlet(np.ones(d), 200)
    error = BiMix().fit(weights, law(weights)).predict(rows) - law(rows)
    assert (np.sqrt(np.mean(error**2, axis=0)) < 1e-4 * law(rows).std(axis=0)).all()


@pytest.mark.parametrize("power", [0.3, 0.7])
def test_equal_powers_have_their_closed_form_optimum(solve, power):  # methods.md 3.10
    height = np.array([0.1, 0.3, 0.05, 0.2])
    weights = np.random.default_rng(1).dirichlet(np.ones(4), 40)
    solution = solve(BiMix().fit(weights, (height * weights**-power).sum(axis=1, keepdims=True)))
    best = height ** (1.0 / (1.0 + power))
    np.testing.assert_allclose(solution.row, best / best.sum(), atol=2e-4)
    assert solution.certified
    assert solution.gap < 1e-6


def test_a_logarithm_is_the_limit_and_no_trouble():
    rng = np.random.default_rng(2)
    weights, rows = rng.dirichlet(np.ones(3), 30), rng.dirichlet(np.full(3, 3.0), 50)

    def law(w):
        return 5.0 - np.log(w) @ [[0.3], [0.1], [0.02]]

    error = BiMix().fit(weights, law(weights)).predict(rows) - law(rows)
    assert np.abs(error).max() < 0.01 * law(rows).std()


def test_runs_that_leave_a_domain_out_have_finite_losses():
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.full(4, 0.3), 40)
    weights = np.where(weights < 0.05, 0.0, weights)
    weights /= weights.sum(axis=1, keepdims=True)
    losses = 2.0 + (weights + 0.02) ** -0.4 @ [[0.5], [0.3], [0.1], [0.0]]
    law = BiMix().fit(weights, losses)
    np.testing.assert_allclose(law.predict(weights), losses, atol=1e-3 * losses.std())
    assert np.isfinite(law.gradient(np.eye(4))).all()


def test_gradient_matches_the_numeric_one():
    rng = np.random.default_rng(4)
    law = BiMix().fit(*planted_runs(40, 4, rng))
    rows = rng.dirichlet(np.full(4, 4.0), 6)
    np.testing.assert_allclose(law.gradient(rows), Law.gradient(law, rows), rtol=1e-4, atol=1e-7)
