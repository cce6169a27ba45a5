"""Least squares on the shares: the textbook's answer, least norm, and doubt where no run went."""

import numpy as np

from mixopt.laws.linear import Linear


def planted(n, d, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    weights, slopes = rng.dirichlet(np.ones(d), n), rng.standard_normal((d, 2))
    return weights, 3.0 + weights @ slopes + noise * rng.standard_normal((n, 2)), slopes


def test_predictions_are_those_of_least_squares():
    weights, losses, _ = planted(40, 5)
    rows = np.random.default_rng(1).dirichlet(np.ones(5), 20)
    textbook = rows @ np.linalg.lstsq(weights, losses)[0]  # shares sum to one: no constant needed
    np.testing.assert_allclose(Linear().fit(weights, losses).predict(rows), textbook, atol=1e-9)


def test_sd_of_the_mean_and_the_noise_are_the_textbook_ones():
    weights, losses, _ = planted(40, 5)
    law, row = Linear().fit(weights, losses), np.full((1, 5), 0.2)
    left = losses - law.predict(weights)
    noise = np.sqrt((left**2).sum(axis=0) / (40 - 5))
    leverage = row @ np.linalg.inv(weights.T @ weights) @ row.T
    np.testing.assert_allclose(law.noise_, noise, rtol=1e-9)
    sd = law.predict(row, return_std=True)[1]
    np.testing.assert_allclose(sd, noise * np.sqrt(1 + leverage), rtol=1e-6)


def test_fewer_runs_than_domains_have_the_slopes_of_least_norm():
    weights, losses, _ = planted(6, 9)
    law = Linear().fit(weights, losses)
    centred = weights - weights.mean(axis=0)
    least = np.linalg.pinv(centred) @ (losses - losses.mean(axis=0))
    np.testing.assert_allclose(law.theta_[:, 1:] * law.spread_[:, None], least.T, atol=1e-9)
    np.testing.assert_allclose(law.predict(weights), losses, atol=1e-9)
    np.testing.assert_allclose(law.noise_, losses.std(axis=0))  # nothing is left to measure it by


def test_equal_columns_share_their_slope():
    weights, losses, _ = planted(40, 4)
    halves = np.hstack([weights[:, :1] / 2, weights[:, :1] / 2, weights[:, 1:]])
    law = Linear().fit(halves, losses)
    np.testing.assert_allclose(law.theta_[:, 1], law.theta_[:, 2], atol=1e-9)
    np.testing.assert_allclose(law.predict(halves), Linear().fit(weights, losses).predict(weights))


def test_rounded_shares_do_not_make_the_sum_of_shares_a_direction():
    weights, losses, slopes = planted(60, 5, noise=0.01)
    law = Linear().fit(weights.round(6), losses)
    np.testing.assert_allclose(law.predict(np.eye(5)), 3.0 + slopes, atol=0.05)


def test_doubt_is_large_where_no_run_went():
    weights, losses, _ = planted(40, 4)
    wider = np.hstack([weights, np.zeros((40, 1))])
    law = Linear().fit(wider, losses)
    inside, outside = law.predict(
        np.array([[0.3, 0.2, 0.3, 0.2, 0.0], [0, 0, 0, 0, 1.0]]), None, True
    )[1]
    assert (outside > 5 * losses.std(axis=0)).all()
    assert (inside < losses.std(axis=0)).all()


def test_gradient_is_the_slope_of_every_row():
    weights, losses, _ = planted(40, 3)
    law = Linear().fit(weights, losses)
    rise = law.predict(np.array([[0.6, 0.2, 0.2]])) - law.predict(np.array([[0.2, 0.6, 0.2]]))
    slopes = law.gradient(weights[:2])
    np.testing.assert_allclose(0.4 * (slopes[:1, :, 0] - slopes[:1, :, 1]), rise, atol=1e-9)
    np.testing.assert_array_equal(slopes[0], slopes[1])
