"""TiKMiX, R&B and ADO: closed forms, orderings, and text that cannot be learned."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt.online.ado import ADO, fit_curves
from mixopt.online.base import Feedback
from mixopt.online.budget import Budget
from mixopt.online.rb import RB, gram_step
from mixopt.online.tikmix import TiKMiX, around, by_regression, direct

# TiKMiX


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_diagonal_is_balanced_whatever_its_scale(scale):
    found = direct(scale * np.diag([5.0, 1.0, 0.2]), np.array([0.5, 0.3, 0.2]), False)
    np.testing.assert_allclose(found, 1 / 3, atol=1e-4)


def test_where_only_the_prior_is_feasible_it_is_returned():
    prior = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(direct(np.diag([5.0, 1.0, 0.2]), prior), prior, atol=1e-4)


def test_equal_domains_get_equal_shares():
    influence = np.array([[1.0, 1.0, 0.3], [0.2, 0.2, 0.9]])
    found = direct(influence, np.full(3, 1 / 3), False)
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def objective(w, scaled):
    p = scaled @ w
    return p.std() - p.sum() + w @ np.log(np.maximum(w, 1e-300))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_no_worse_than_the_papers_solver(seed):
    rng = np.random.default_rng(seed)
    influence, prior = rng.uniform(0, 1, (4, 5)), rng.dirichlet(np.full(5, 3.0))
    scaled = influence / influence.max(axis=1, keepdims=True)
    slsqp = minimize(
        objective,
        np.full(5, 0.2),
        (scaled,),
        "SLSQP",
        bounds=[(1e-9, 1.0)] * 5,
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1.0},
            {"type": "ineq", "fun": lambda w: scaled @ (w - prior)},
        ],
        tol=1e-12,
    )
    found = direct(influence, prior)
    assert (scaled @ (found - prior) >= -1e-4).all()
    assert objective(found, scaled) <= slsqp.fun + 1e-3


def test_the_regression_finds_what_an_additive_influence_misses():
    """Two domains that teach only together: trained mixtures show it, single domains do not."""
    prior, rng = np.full(3, 1 / 3), np.random.default_rng(0)
    mixtures = around(prior, 2.0, 40, rng)
    drops = 4.0 * mixtures[:, :1] * mixtures[:, 1:2]
    found = by_regression(mixtures, drops, prior, prior, 2.0, rng)
    assert found[2] < 0.28
    assert 4.0 * found[0] * found[1] > 4.0 / 9 + 0.05


def test_mixtures_around_the_prior_are_shares():
    rows = around(np.array([0.9, 0.1, 0.0]), 2.0, 16, np.random.default_rng(0))
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    assert len(np.unique(rows.round(9), axis=0)) == 16


def test_the_regression_asks_for_its_runs():
    controller = TiKMiX(Budget.of(["a", "b"]), form="regression", runs=6, steps=3)
    assert controller.needs == {"influence", "eval_loss", "probe_loss"}
    rows, steps = controller.probes()
    assert (rows.shape, steps) == ((6, 2), 3)
    assert TiKMiX(Budget.of(["a", "b"])).probes() is None


# R&B


def test_rb_on_orthogonal_gradients():
    moved = gram_step(np.array([1.0, 0.0]), np.eye(2), 1.5)
    assert moved[0] == pytest.approx(np.exp(1.5) / (1 + np.exp(1.5)))


def test_rb_is_uniform_for_equal_rows():
    np.testing.assert_allclose(gram_step(np.array([0.7, 0.3]), np.ones((2, 2)), 2.0), 0.5)


def test_rb_prefers_what_is_there_twice():
    """Orthogonal domains, one of which has a copy: both copies stand above the others."""
    gradients = np.eye(3)[[0, 0, 1, 2]]
    moved = gram_step(np.full(4, 0.25), gradients @ gradients.T, 1.0)
    assert moved[0] == pytest.approx(moved[1])
    assert moved[0] > moved[2] == pytest.approx(moved[3])


def test_rb_moves_a_run():
    controller = RB(Budget.of(["a", "b"], prior={"a": 0.9, "b": 0.1}), start="prior")
    told = Feedback(20, 100, 20, np.array([18.0, 2.0]), np.ones(2), gram=np.eye(2))
    controller.observe(told)
    assert 0.5 < controller.weights()[0] < 0.9


# ADO


def test_ado_fits_a_power_law_with_a_floor():
    n = np.geomspace(50, 50_000, 50)[:, None]
    truth = np.array([[1.5, 2.0], [10.0, 5.0], [0.4, 0.3]])
    losses = truth[0] + truth[1] * n ** -truth[2]
    eps, beta, alpha = fit_curves(np.tile(n, 2), losses, np.ones(50))
    slope = alpha * beta * n[-1] ** (-alpha - 1)
    wanted = truth[2] * truth[1] * n[-1] ** (-truth[2] - 1)
    np.testing.assert_allclose(slope, wanted, rtol=0.2)
    assert (eps < losses.min(axis=0)).all()


def test_ado_knows_no_law_for_too_few_points_and_no_slope_for_a_curve_that_rises():
    n = np.geomspace(10, 1000, 20)[:, None]
    assert fit_curves(n, 3.0 + 0.1 * n**0.3, np.ones(20))[1:, 0].tolist() == [0.0, 0.0]
    assert np.isnan(fit_curves(n[:3], 3.0 + n[:3] ** -0.5, np.ones(3))).all()
    holes = np.full((20, 1), np.nan)
    assert np.isnan(fit_curves(n, holes, np.ones(20))).all()


def test_ado_leaves_noise_to_those_who_can_learn():
    """`noise` has the highest loss and does not fall; `web` still falls."""
    controller = ADO(Budget.of(["web", "noise"]), every=1, begin=0.1)
    drawn = np.zeros(2)
    for step in range(1, 200):
        drawn = drawn + 1000 * controller.weights()
        losses = np.array([2.0 + 30.0 * max(drawn[0], 1.0) ** -0.3, 8.0 - 1e-9 * drawn[1]])
        controller.observe(Feedback(step, 200, 1000 * step, drawn, losses))
    assert controller.weights()[0] > 0.6


def test_ado_keeps_a_curve_of_bounded_length():
    controller = ADO(Budget.of(["a", "b"]), every=1, refit=1000)
    for step in range(1, 1000):
        told = Feedback(step, 1000, step, step * np.ones(2), np.array([3.0, 3.0 - step * 1e-3]))
        controller.observe(told)
    state = controller.state()["learned"]
    assert state["_losses"]["shape"][0] < 128
    assert sum(state["_counts"]["values"]) == 999
