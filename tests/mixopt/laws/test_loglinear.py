"""Log-linear law: recovery, gauge, closed-form optima, robustness."""

import numpy as np
import pytest

from mixopt.laws import loglinear
from mixopt.laws.base import Law
from mixopt.laws.loglinear import LogLinear
from mixopt.testing import planted_runs


def planted(d, metrics, rng):
    """Slopes (d, metrics) and the law 2 + exp(.3 + w . a)."""
    slopes = 1.5 * rng.standard_normal((d, metrics))
    return slopes, lambda w: 2.0 + np.exp(0.3 + w @ slopes)


def test_slopes_by_theta_match_differences():
    rng = np.random.default_rng(0)
    shares, theta = loglinear._centred(rng.dirichlet(np.ones(3), 5)), rng.standard_normal((2, 5))
    slopes = loglinear._slopes(shares, theta)
    for p in range(5):
        step = 1e-6 * np.eye(5)[p]
        rise = loglinear._values(shares, theta + step) - loglinear._values(shares, theta - step)
        np.testing.assert_allclose(slopes[:, :, p], rise / 2e-6, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("d", [3, 8, 17])
def test_three_runs_a_parameter_recover_the_predictions(d):  # methods.md 3.2 (e), 3.9
    rng = np.random.default_rng(d)
    _, law = planted(d, 3, rng)
    weights, rows = rng.dirichlet(np.ones(d), 3 * (d + 1)), rng.dirichlet(np.ones(d), 200)
    found = LogLinear().fit(weights, law(weights)).predict(rows)
    np.testing.assert_allclose(found, law(rows), rtol=0, atol=1e-5)


def test_slopes_sum_to_zero_whatever_was_planted():
    rng = np.random.default_rng(1)
    slopes, law = planted(4, 2, rng)
    weights = rng.dirichlet(np.ones(4), 30)
    found = LogLinear().fit(weights, law(weights)).theta_[:, 2:]
    np.testing.assert_allclose(found.sum(axis=1), 0.0, atol=1e-9)
    np.testing.assert_allclose(found, (slopes - slopes.mean(axis=0)).T, atol=1e-3)


def test_two_parametrisations_of_one_law_have_one_proposal(solve):  # methods.md T19
    rng = np.random.default_rng(2)
    slopes = np.array([[-2.0, 0.5], [0.3, -3.0], [-1.0, -1.0]])
    weights = rng.dirichlet(np.ones(3), 15)
    scale = np.array([0.7, 1.3])
    one = LogLinear().fit(weights, 1.0 + scale * np.exp(weights @ slopes))
    shifted = 1.0 + scale * np.exp(-5.0) * np.exp(weights @ (slopes + 5.0))
    two = LogLinear().fit(weights, shifted)
    rows = [solve(law).row for law in (one, two)]
    np.testing.assert_allclose(two.theta_, one.theta_, atol=1e-4)
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-6)
    assert rows[0].max() < 0.9


def test_two_tasks_have_their_closed_form_optimum(solve):  # methods.md T1
    weights = np.random.default_rng(3).dirichlet(np.ones(2), 9)
    law = LogLinear().fit(weights, np.exp(-np.array([2.0, 4.0]) * weights))
    solution = solve(law)
    np.testing.assert_allclose(solution.row, [0.55114, 0.44886], atol=2e-5)
    assert solution.certified
    assert solution.gap < 1e-6


def test_a_rescale_of_the_metrics_leaves_the_proposal(solve):  # methods.md T23
    rng = np.random.default_rng(4)
    weights, losses = planted_runs(40, 4, rng)
    one = LogLinear().fit(weights, losses)
    two = LogLinear().fit(weights, 1000.0 * losses + 50.0)
    np.testing.assert_allclose(solve(two, 1000.0).row, solve(one).row, atol=1e-6)


def test_one_wild_run_changes_little():
    rng = np.random.default_rng(5)
    _, law = planted(4, 1, rng)
    weights, rows = rng.dirichlet(np.ones(4), 40), rng.dirichlet(np.ones(4), 100)
    losses = law(weights) + 0.02 * rng.standard_normal((40, 1))
    wild = losses.copy()
    wild[7] += 6.0 * losses.std()
    huber, squares = (LogLinear(delta=delta).fit(weights, wild) for delta in (0.1, 100.0))
    errors = [np.abs(fit.predict(rows) - law(rows)).mean() for fit in (huber, squares)]
    assert errors[0] < 0.5 * errors[1]


def test_pure_noise_is_shrunk_to_the_mean():
    rng = np.random.default_rng(6)
    weights, losses = rng.dirichlet(np.ones(8), 40), rng.standard_normal((40, 1))
    predicted = LogLinear().fit(weights, losses).predict(rng.dirichlet(np.ones(8), 50))
    assert predicted.std() < 0.6 * losses.std()


def test_a_straight_line_is_no_trouble():
    rng = np.random.default_rng(7)
    weights, rows = rng.dirichlet(np.ones(3), 20), rng.dirichlet(np.ones(3), 50)
    losses = 3.0 + weights @ [[1.0], [0.0], [-1.0]]
    predicted = LogLinear().fit(weights, losses).predict(rows)
    np.testing.assert_allclose(predicted, 3.0 + rows @ [[1.0], [0.0], [-1.0]], atol=0.01)


def test_gradient_matches_the_numeric_one_off_the_simplex():
    rng = np.random.default_rng(8)
    law = LogLinear().fit(*planted_runs(40, 4, rng))
    rows = rng.dirichlet(np.full(4, 4.0), 6)
    np.testing.assert_allclose(law.gradient(rows), Law.gradient(law, rows), rtol=1e-4, atol=1e-7)


def test_sd_of_draws_is_the_predicted_sd():
    rng = np.random.default_rng(9)
    law = LogLinear().fit(*planted_runs(32, 4, rng))
    rows = rng.dirichlet(np.ones(4), 8)
    _, sd = law.predict(rows, return_std=True)
    draws = law.sample(rows, 3000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.1)
