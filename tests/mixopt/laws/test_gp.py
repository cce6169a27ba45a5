"""The Gaussian process: closed forms of its posterior, its slopes, and its part of many runs."""

import numpy as np
import pytest

from mixopt.laws import gp as module
from mixopt.laws.gp import GP
from mixopt.testing import planted_losses, planted_runs


def test_the_posterior_is_the_textbook_one():
    rng = np.random.default_rng(0)
    weights, losses = planted_runs(20, 3, rng)
    rows = rng.dirichlet(np.ones(3), 6)
    law = GP().fit(weights, losses)
    mean, sd = law.predict(rows, return_std=True)
    for i, theta in enumerate(law.theta_):
        centre, spread, noise = losses[:, i].mean(), losses[:, i].std(), np.exp(theta[-1])
        k, rows_k = written_out(theta, weights, weights), written_out(theta, rows, weights)
        inverse = np.linalg.inv(k + noise * np.eye(20))
        expected = rows_k @ inverse @ (losses[:, i] - centre)
        taken = np.diag(rows_k @ inverse @ rows_k.T)
        variance = np.diag(written_out(theta, rows, rows)) - taken
        np.testing.assert_allclose(mean[:, i], centre + expected, atol=1e-5)
        np.testing.assert_allclose(sd[:, i], spread * np.sqrt(variance), rtol=1e-2)


def written_out(theta, left, right):
    """The covariance of mixtures, entry by entry."""
    lengths, (linear, matern) = np.exp(theta[:-3]), np.exp(theta[-3:-1])
    k = np.empty((len(left), len(right)))
    for i, a in enumerate(np.sqrt(left + 1e-6)):
        for j, b in enumerate(np.sqrt(right + 1e-6)):
            r = np.sqrt(5 * np.sum(((a - b) / lengths) ** 2))
            k[i, j] = 1 + linear * a @ b + matern * (1 + r + r**2 / 3) * np.exp(-r)
    return k


def test_the_slope_of_the_likelihood_is_its_slope():
    rng = np.random.default_rng(1)
    roots, z = module._roots(rng.dirichlet(np.ones(4), 15)), rng.standard_normal(15)
    centre, sd = module._prior(4)
    theta = centre + 0.5 * rng.standard_normal(7)
    value, slope = module._negative_log_posterior(theta, roots, z, centre, sd)
    for j, step in enumerate(1e-5 * np.eye(7)):
        up, _ = module._negative_log_posterior(theta + step, roots, z, centre, sd)
        down, _ = module._negative_log_posterior(theta - step, roots, z, centre, sd)
        np.testing.assert_allclose(slope[j], (up - down) / 2e-5, rtol=1e-4, atol=1e-6 * abs(value))


def test_relabelled_domains_swap_their_length_scales():
    rng = np.random.default_rng(2)
    weights, losses = planted_runs(50, 4, rng, metrics=2)
    order = np.array([2, 0, 3, 1])
    straight, swapped = GP().fit(weights, losses), GP().fit(weights[:, order], losses)
    np.testing.assert_allclose(swapped.theta_[:, :4], straight.theta_[:, order], atol=0.02)
    rows = rng.dirichlet(np.ones(4), 20)
    np.testing.assert_allclose(
        swapped.predict(rows[:, order]), straight.predict(rows), atol=1e-3 * losses.std()
    )


def test_it_sees_a_domain_of_which_too_much_harms():
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), 60)

    def truth(w):
        return (3 - w[:, 0] + 4 * np.maximum(w[:, 0] - 0.45, 0))[:, None]

    law = GP().fit(weights, truth(weights))
    rows = np.array([[0.45, 0.3, 0.25], [0.9, 0.05, 0.05]])
    assert np.diff(law.predict(rows)[:, 0])[0] > 0.5 * np.diff(truth(rows)[:, 0])[0]


def test_draws_have_the_posterior_mean_and_sd():
    rng = np.random.default_rng(4)
    law = GP().fit(*planted_runs(25, 3, rng, noise=0.02))
    rows = rng.dirichlet(np.ones(3), 8)
    mean, sd = law.predict(rows, return_std=True)
    draws = law.sample(rows, 4000, rng)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=4 * float(sd.max()) / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.25)  # waves are near, not equal


def test_a_part_of_the_runs_says_nearly_what_all_say():
    rng = np.random.default_rng(5)
    weights, losses = planted_runs(400, 4, rng, noise=0.02)
    rows = rng.dirichlet(np.ones(4), 50)
    whole, part = GP().fit(weights, losses), GP(exact_runs=200, part_runs=150).fit(weights, losses)
    assert whole.notes() == ()
    assert part.notes()[0].startswith("gp: settings from 150 of 400 runs")
    error = np.sqrt(np.mean((part.predict(rows) - planted_losses(rows)) ** 2, axis=0))
    best = np.sqrt(np.mean((whole.predict(rows) - planted_losses(rows)) ** 2, axis=0))
    assert (error < 2 * best + 0.005).all()
    mean, sd = part.predict(rows, return_std=True)
    assert (np.abs(mean - planted_losses(rows)) < 5 * sd).all()
    draws = part.sample(rows, 500, rng)
    np.testing.assert_allclose(draws.std(axis=0).mean(), sd.mean(), rtol=0.3)


def test_some_of_the_runs_are_learned_anew():
    rng = np.random.default_rng(6)
    weights, losses = planted_runs(60, 3, rng)
    rows = np.arange(45)
    warm = GP().fit(weights, losses).on(rows)
    cold = GP().fit(weights[rows], losses[rows])
    np.testing.assert_allclose(
        warm.predict(weights[45:]), cold.predict(weights[45:]), atol=0.1 * losses.std()
    )


@pytest.mark.parametrize("n", [1, 2])
def test_one_run_or_two_are_enough_for_an_answer(n):
    weights = np.random.default_rng(7).dirichlet(np.ones(3), n)
    mean, sd = GP().fit(weights, np.arange(1.0, n + 1)[:, None]).predict(weights, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
