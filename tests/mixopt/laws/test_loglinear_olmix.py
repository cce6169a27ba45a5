"""Olmix's settings: its starts, its units, the same law as `loglinear` where both can follow."""

import numpy as np

from mixopt.laws import loglinear_olmix
from mixopt.laws.base import Info
from mixopt.laws.loglinear import LogLinear
from mixopt.laws.loglinear_olmix import LogLinearOlmix
from mixopt.testing import planted_runs


def test_starts_are_the_published_ones():
    starts = loglinear_olmix._starts(4, 2, 10, 30, 42)
    assert starts.shape == (300, 5)
    np.testing.assert_allclose(np.unique(np.log(starts[:, 0]).round(9)), np.linspace(-2, 1.5, 10))
    others = np.delete(starts[:, 1:], 2, axis=1)
    assert 0 <= others.min() < others.max() <= 0.1
    assert others.max() > 0.09
    assert -1 <= starts[:, 3].min() < -0.9
    assert starts[:, 3].max() <= 0
    assert (loglinear_olmix._starts(4, -1, 10, 30, 42)[:, 1:] >= 0).all()


def test_a_law_without_an_offset_is_recovered():  # methods.md 3.2 (e)
    rng = np.random.default_rng(0)
    slopes = np.array([[-0.2, 0.9], [0.8, -0.5], [0.4, 0.7], [1.0, 0.2]])
    weights, rows = rng.dirichlet(np.ones(4), 15), rng.dirichlet(np.ones(4), 100)
    info = Info(own=np.array([0, 1]))
    law = LogLinearOlmix().fit(weights, 1.5 + np.exp(weights @ slopes), info)
    np.testing.assert_allclose(law.predict(rows), 1.5 + np.exp(rows @ slopes), atol=1e-4)


def test_the_gauge_free_form_and_the_other_propose_the_same(solve):  # methods.md T19
    rng = np.random.default_rng(1)
    slopes = np.array([[-2.0, 0.5], [0.3, -3.0], [-1.0, -1.0]])
    weights = rng.dirichlet(np.ones(3), 15)
    losses = 1.0 + np.exp(weights @ slopes)
    rows = [solve(law.fit(weights, losses)).row for law in (LogLinearOlmix(), LogLinear())]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-4)


def test_constants_mean_something_in_one_unit_only():
    rng = np.random.default_rng(2)
    weights, losses = planted_runs(30, 3, rng, noise=0.05)
    rows = rng.dirichlet(np.ones(3), 20)
    one, two = (LogLinearOlmix().fit(weights, unit * losses).predict(rows) for unit in (1.0, 10.0))
    assert LogLinearOlmix.published
    assert np.abs(two / 10.0 - one).max() > 1e-3 * losses.std()


def test_predictions_stay_above_zero_where_losses_do_not():
    rng = np.random.default_rng(3)
    weights, losses = planted_runs(30, 3, rng)
    law = LogLinearOlmix().fit(weights, losses - 10.0)
    assert (law.predict(weights) > 0).all()
    assert (law.noise_ > 5.0).all()
