"""Ridge: leave-one-out in closed form, and the Bayesian sd."""

import numpy as np

from mixopt.laws import ridge
from mixopt.laws.ridge import Ridge
from mixopt.testing import planted_runs


def test_closed_form_leave_one_out_is_the_brute_force_one():
    rng = np.random.default_rng(0)
    weights, losses = planted_runs(15, 3, rng)
    z = (losses[:, 0] - losses[:, 0].mean()) / losses[:, 0].std()
    design, penalty = ridge._features(weights), ridge._penalty(3, 0.3)
    squares = []
    for i in range(15):
        kept = np.arange(15) != i
        fit = ridge._solve(design[kept], z[kept], penalty)
        squares.append((z[i] - design[i] @ fit.theta) ** 2)
    closed = ridge._left_out(design[:, 1:], z, np.array([0.3]))
    np.testing.assert_allclose(closed[0], np.mean(squares), rtol=1e-9)


def test_pure_noise_is_shrunk_to_the_mean():
    rng = np.random.default_rng(1)
    weights, losses = rng.dirichlet(np.ones(8), 20), rng.standard_normal((20, 1))
    predicted = Ridge().fit(weights, losses).predict(rng.dirichlet(np.ones(8), 50))
    assert predicted.std() < 0.3 * losses.std()


def test_a_law_linear_in_the_root_is_exact():
    rng = np.random.default_rng(2)
    weights, rows = rng.dirichlet(np.ones(4), 30), rng.dirichlet(np.ones(4), 30)
    slopes = np.array([[1.0], [-2.0], [0.5], [0.0]])
    law = Ridge().fit(weights, 3.0 + np.sqrt(weights) @ slopes)
    np.testing.assert_allclose(law.predict(rows), 3.0 + np.sqrt(rows) @ slopes, atol=1e-4)


def test_sd_of_draws_is_the_predicted_sd():
    rng = np.random.default_rng(3)
    law = Ridge().fit(*planted_runs(40, 4, rng))
    rows = rng.dirichlet(np.ones(4), 8)
    _, sd = law.predict(rows, return_std=True)
    draws = law.sample(rows, 3000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.08)
