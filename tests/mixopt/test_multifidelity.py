"""Multi-fidelity process: closed forms, learning curves, and units by shared mixtures."""

from dataclasses import replace

import numpy as np

from mixopt.multifidelity import (
    MultiFidelity,
    Points,
    Settings,
    disagree,
    gains_by_run,
    units,
)


def settings(**changes):
    values = {
        "length": np.ones(1),
        "linear": 1.0,
        "matern": 1.0,
        "rho": np.array([1.0, 1.0]),
        "delta": np.array([0.1, 0.0]),
        "noise": np.array([0.01, 0.01]),
        "run": 0.0,
    }
    return Settings(**{**values, **changes})


def law_of(points, **changes):
    return MultiFidelity(points, settings(**changes), np.zeros(2), np.ones(2))


def test_one_point_in_closed_form():
    """mean = k y / (k + noise), variance = k - k^2 / (k + noise), at the point itself."""
    at = np.array([[0.5, 0.5]])
    law = law_of(Points(at, np.array([1]), np.array([2.0]), np.array([0])))
    prior = 1.0 * (1.0 + 2e-6) + 1.0 + 1.0  # linear, Matern, level
    mean, covariance = law.posterior(at, np.array([1]))
    noise = 0.01 + 1e-8
    np.testing.assert_allclose(mean, 2.0 * prior / (prior + noise), rtol=1e-9)
    np.testing.assert_allclose(covariance[0, 0], prior - prior**2 / (prior + noise), rtol=1e-6)


def test_points_of_a_learning_curve_shrink_what_is_unknown_at_its_end():
    """The more points of the curve were seen, the less is unknown at the final step."""
    at = np.array([[0.3, 0.7]])
    spread = []
    for count in range(1, 5):
        rows = np.repeat(np.array([[0.35, 0.65]]), count, axis=0)
        points = Points(rows, np.zeros(count, int), np.ones(count), np.zeros(count, int))
        spread.append(law_of(points, run=0.05).posterior(at, np.array([1]))[1][0, 0])
    assert (np.diff(spread) < 0).all()


def test_the_run_that_goes_on_to_its_end_is_known_the_better_the_more_of_its_curve_was_seen():
    """Earlier points of a kind of their own, then the variance at the end of the same mixture."""
    at, spread = np.array([[0.35, 0.65]]), []
    for count in range(6):
        rows = np.repeat(at, count + 1, axis=0)
        kinds = np.r_[np.ones(1, int), np.zeros(count, int)]
        points = Points(rows, kinds, np.ones(count + 1), np.zeros(count + 1, int))
        spread.append(law_of(points, run=0.05).posterior(at, np.array([1]))[1][0, 0])
    assert (np.diff(spread) < 0).all(), spread


def test_points_of_one_run_say_less_than_runs_of_their_own():
    at, rows = np.array([[0.3, 0.7]]), np.repeat(np.array([[0.35, 0.65]]), 4, axis=0)
    kinds, values = np.ones(4, int), np.ones(4)
    one, four = (
        law_of(Points(rows, kinds, values, run), run=0.2).posterior(at, np.array([1]))[1][0, 0]
        for run in (np.zeros(4, int), np.arange(4))
    )
    assert four < one


def test_the_correlation_of_sizes_is_learned():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 24)
    kinds = np.r_[np.zeros(18, int), np.ones(6, int)]
    g = np.sqrt(weights[:, 0])
    rho = []
    for sign in (1.0, -1.0):
        values = np.where(kinds == 1, g, sign * g + 3.0)
        weights[18:] = weights[:6]
        values[18:] = np.sqrt(weights[18:, 0])
        points = Points(weights, kinds, values, np.arange(24))
        rho.append(MultiFidelity.fit(points, 2).settings.rho[0])
    assert rho[0] > 0.9
    assert rho[1] < 0.6  # the prior is 1 +- .3


def test_units_come_from_shared_mixtures():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 10)
    weights = np.vstack([weights, weights[:4]])
    kinds = np.r_[np.zeros(10, int), np.ones(4, int)]
    values = np.r_[np.arange(10.0), 5.0 + 2.0 * np.arange(4.0)]
    centre, spread = units(Points(weights, kinds, values, np.arange(14)), 2)
    assert centre.tolist() == [1.5, 8.0]
    np.testing.assert_allclose(spread[1], 2 * spread[0])


def test_more_runs_of_the_top_leave_what_shared_mixtures_say_of_units():
    """The top's further runs gather at its optimum; a constant between sizes stays one."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 14)
    weights[10:14] = weights[:4]
    values = np.r_[np.arange(10.0), 5.0 + np.arange(4.0)]
    further = np.vstack([weights, rng.dirichlet(np.ones(3), 6)])
    kinds = np.r_[np.zeros(10, int), np.ones(10, int)]
    more = np.r_[values, np.full(6, 5.0)]
    centre, spread = units(Points(further, kinds, more, np.arange(20)), 2)
    np.testing.assert_allclose(spread[0], spread[1])
    np.testing.assert_allclose(centre[1] - centre[0], 5.0)


def test_shared_mixtures_that_did_about_as_well_tell_no_unit():
    """Top runs gather at the optimum, where small runs differ by nothing but noise."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 10)
    weights = np.vstack([weights, weights[:4]])
    kinds = np.r_[np.zeros(10, int), np.ones(4, int)]
    values = np.r_[np.full(4, 1.0) + 1e-3 * np.arange(4), np.arange(2.0, 8.0), np.arange(4.0)]
    centre, spread = units(Points(weights, kinds, values, np.arange(14)), 2)
    np.testing.assert_allclose(spread[0], values[:10].std())
    np.testing.assert_allclose(centre[0], values[:10].mean())


def test_a_run_that_is_known_gains_nothing():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 6)
    points = Points(weights, np.ones(6, int), weights[:, 0], np.arange(6))
    law = law_of(points, noise=np.array([1e-8, 1e-8]))
    pool = rng.dirichlet(np.ones(3), 50)
    known = gains_by_run(law, pool, weights[:1], np.array([1]))[0]
    fresh = gains_by_run(law, pool, pool[:20], np.ones(20, int)).max()
    assert known < 1e-3 * fresh
    assert fresh > 0


def test_left_out_points_are_what_the_process_of_the_others_predicts():
    """A run is left out with all points of its curve, and its own noise is part of the variance."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 6)
    weights[5] = weights[4]
    kinds, run = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 1, 2, 3, 4, 4])
    points = Points(weights, kinds, rng.standard_normal(6), run)
    law = law_of(points, run=0.05)
    mean, variance = law.left_out(np.array([3, 5]))
    for place, (row, kept) in enumerate(((3, [0, 1, 2, 4, 5]), (5, [0, 1, 2, 3]))):
        part = Points(weights[kept], kinds[kept], points.values[kept], run[kept])
        told, spread = law_of(part, run=0.05).posterior(weights[[row]], kinds[[row]])
        np.testing.assert_allclose(mean[place], told[0], rtol=1e-7)
        np.testing.assert_allclose(variance[place], spread[0, 0] + 0.06, rtol=1e-6)


def test_means_are_those_of_the_posterior():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 6)
    law = law_of(Points(weights, np.ones(6, int), weights[:, 0], np.arange(6)))
    kinds = np.array([0, 1, 1])
    np.testing.assert_allclose(
        law.mean(weights[:3] ** 2, kinds), law.posterior(weights[:3] ** 2, kinds)[0]
    )


def test_cheaper_runs_mislead_where_they_turn_the_order_round_and_not_where_they_agree():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 12)
    weights = np.vstack([weights, weights[[0, 3, 6, 9]]])
    kinds = np.r_[np.zeros(12, int), np.ones(4, int)]
    truth = (np.sqrt(weights) @ [1.0, 0.5, 0.1]) ** 2
    noise = 0.01 * rng.standard_normal(16)
    for sign, expected in ((1.0, False), (-1.0, True)):
        values = np.where(kinds == 1, truth, sign * truth + 3.0) + noise
        law = MultiFidelity.fit(Points(weights, kinds, values, np.arange(16)), 2)
        assert disagree(law) is expected


def test_settings_are_a_peak_of_the_posterior_density():
    """No small step of any setting of a fit explains the points better: gradients are right."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 24)
    kinds, run = np.r_[np.zeros(16, int), np.ones(8, int)], np.arange(24)
    run[20:] = run[:4]
    values = (np.sqrt(weights) @ [1.0, 0.4, 0.1]) ** 2 + 0.3 * kinds
    points = Points(weights, kinds, values + 0.02 * rng.standard_normal(24), run)
    law = MultiFidelity.fit(points, 2)
    peak = log_posterior(law, law.settings)
    assert law.settings.rho[0] < 1.99  # inside the bounds
    for name in ("length", "linear", "matern", "delta", "noise", "run"):
        for factor in (0.9, 1.1):
            value = getattr(law.settings, name)
            moves = [
                np.where(np.arange(np.size(value)) == i, factor, 1.0) for i in range(np.size(value))
            ]
            for move in moves:
                moved = value * move if np.ndim(value) else float(value * move[0])
                assert log_posterior(law, replace(law.settings, **{name: moved})) <= peak + 1e-3, (
                    name
                )


def log_posterior(law, settings):
    """ln p(values, settings) up to a constant, from the covariance and the priors as written."""
    points = law.points
    other = MultiFidelity(points, settings, law.centre, law.spread)
    z = (points.values - law.centre[points.kind]) / law.spread[points.kind]
    fit = -0.5 * z @ other.alpha - np.log(np.diag(other.factor)).sum()
    logs = (
        (np.log(settings.length), 1.0, 1.0),
        (np.log([settings.linear, settings.matern]), 0.0, 1.5),
        (settings.rho[:-1], 1.0, 0.3),
        (np.log(settings.delta[:-1]), np.log(0.1), 1.0),
        (np.log(settings.noise), -4.0, 2.0),
        (np.log([settings.run]), -5.0, 1.5),
    )
    return fit - 0.5 * sum((((value - mean) / sd) ** 2).sum() for value, mean, sd in logs)
