"""Quadratic law: known polynomials are recovered with their optima, inside and at a vertex."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt.laws.base import Law
from mixopt.laws.quadratic import Quadratic
from mixopt.testing import planted_runs

D = 5


@pytest.fixture
def polynomial():
    """Slopes b (d,) and a positive definite C (d, d)."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((D, D))
    return 0.3 * rng.standard_normal(D), root @ root.T / D


def values(weights, linear, form):
    return 3.0 + weights @ linear + np.einsum("ki,ij,kj->k", weights, form, weights)


def fitted(linear, form):
    weights = np.random.default_rng(1).dirichlet(np.ones(D), 60)
    return Quadratic().fit(weights, values(weights, linear, form)[:, None])


def test_a_convex_polynomial_has_its_optimum(polynomial, solve):  # methods.md 3.20
    linear, form = polynomial
    best = minimize(
        lambda w: values(w[None], linear, form)[0],
        np.full(D, 1 / D),
        jac=lambda w: linear + 2 * form @ w,
        bounds=[(0, 1)] * D,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-15},
    )
    assert (best.x > 0.01).sum() >= 2
    row = solve(fitted(linear, form)).row
    np.testing.assert_allclose(row, best.x, atol=1e-6)
    slope = linear + 2 * form @ row
    assert slope @ row - slope.min() < 1e-6


def test_a_concave_polynomial_has_its_best_vertex(polynomial, solve):  # methods.md 3.20
    linear, form = polynomial
    row = solve(fitted(linear, -form)).row
    np.testing.assert_allclose(row, np.eye(D)[np.argmin(linear - np.diag(form))], atol=1e-9)


def test_predictions_are_recovered_from_as_many_runs_as_terms(polynomial):
    rng = np.random.default_rng(2)
    weights, rows = rng.dirichlet(np.ones(D), D * (D + 1) // 2 + 6), rng.dirichlet(np.ones(D), 100)
    law = Quadratic().fit(weights, values(weights, *polynomial)[:, None])
    np.testing.assert_allclose(law.predict(rows)[:, 0], values(rows, *polynomial), atol=1e-4)


def test_gradient_matches_the_numeric_one():
    rng = np.random.default_rng(3)
    law = Quadratic().fit(*planted_runs(40, 4, rng))
    rows = rng.dirichlet(np.full(4, 4.0), 6)
    np.testing.assert_allclose(law.gradient(rows), Law.gradient(law, rows), rtol=1e-6, atol=1e-6)


def test_harm_from_too_much_is_seen():
    rng = np.random.default_rng(4)
    weights = rng.dirichlet(np.ones(3), 60)
    losses = 2.0 + (weights[:, :1] - 0.4) ** 2 + 0.005 * rng.standard_normal((60, 1))
    law = Quadratic().fit(weights, losses)
    low, best, high = law.predict(np.array([[0.05, 0.5, 0.45], [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]]))
    assert best < low
    assert best < high
