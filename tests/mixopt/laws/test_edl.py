"""EDL: the formula, its gradient, recovery of planted curves, and draws that match the sd."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mixopt.laws import edl
from mixopt.laws.base import Law
from mixopt.laws.edl import EDL
from mixopt.testing import planted_losses, planted_runs

DATA = Path(os.environ.get("MIXOPT_DATA", Path(__file__).parents[4] / "shared" / "data" / "regmix"))


def test_curve_is_the_formula():
    theta = np.array([1.5, np.log(0.2), np.log(0.7), np.log(2.0), np.log(0.5), np.log(0.6)])
    shares = np.array([[0.3, 0.7]])
    expected = 1.5 + (0.2 + 2.0 * 0.300001**0.6 + 0.5 * 0.700001**0.6) ** -0.7
    np.testing.assert_allclose(edl._curve(edl._log_shares(shares), theta), expected, rtol=1e-12)


def test_slopes_by_theta_match_differences():
    rng = np.random.default_rng(0)
    log_q, theta = edl._log_shares(rng.dirichlet(np.ones(3), 5)), edl._start(3, 0)
    slopes = edl._slopes(log_q, theta)
    for p in range(len(theta)):
        step = np.zeros(len(theta))
        step[p] = 1e-6
        rise = edl._curve(log_q, theta + step) - edl._curve(log_q, theta - step)
        np.testing.assert_allclose(slopes[:, p], rise / 2e-6, rtol=1e-6, atol=1e-9)


def test_gradient_matches_the_numeric_one_off_the_simplex():
    rng = np.random.default_rng(1)
    law = EDL().fit(*planted_runs(40, 4, rng))
    rows = rng.dirichlet(np.full(4, 4.0), 6)
    np.testing.assert_allclose(law.gradient(rows), Law.gradient(law, rows), rtol=1e-4, atol=1e-6)


def test_prior_rows_are_the_published_ones():
    rows, targets = edl._prior(2)
    theta = np.array([0.0, -1.0, 0.3, 1.0, -3.0, -0.8])
    expected = [1, 1, 1.0, -1, 1, -1, 0.3, -0.1]
    np.testing.assert_allclose(rows @ theta - targets, expected, atol=1e-12)


def test_planted_curves_are_recovered_from_few_runs():
    rng = np.random.default_rng(2)
    rows = rng.dirichlet(np.ones(6), 300)
    actual = planted_losses(rows)
    law = EDL().fit(*planted_runs(24, 6, rng, noise=0.001))
    error = np.sqrt(np.mean((law.predict(rows) - actual) ** 2, axis=0))
    assert (error < 0.15 * actual.std(axis=0)).all()


def test_residual_sd_finds_the_noise():
    found = [
        EDL().fit(*planted_runs(60, 3, np.random.default_rng(seed), noise=0.02)).noise_
        for seed in range(6)
    ]
    np.testing.assert_allclose(np.mean(found), 0.02, rtol=0.15)


def test_sd_of_draws_is_the_predicted_sd():
    rng = np.random.default_rng(3)
    law = EDL().fit(*planted_runs(32, 4, rng))
    rows = rng.dirichlet(np.ones(4), 8)
    _, sd = law.predict(rows, return_std=True)
    draws = law.sample(rows, 3000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.08)


def test_a_draw_is_one_function_whatever_rows_are_asked():
    rng = np.random.default_rng(4)
    law = EDL().fit(*planted_runs(32, 4, rng))
    rows = rng.dirichlet(np.ones(4), 8)
    whole = law.sample(rows, 5, np.random.default_rng(0))
    part = law.sample(rows[3:5], 5, np.random.default_rng(0))
    np.testing.assert_allclose(part, whole[:, 3:5], rtol=0, atol=1e-12)


def test_near_mixtures_share_their_error_and_far_ones_do_not():
    rng = np.random.default_rng(5)
    law = EDL().fit(*planted_runs(64, 3, rng))
    rows = np.array([[0.30, 0.30, 0.40], [0.31, 0.30, 0.39], [0.02, 0.95, 0.03]])
    draws = law.sample(rows, 2000, rng)[:, :, 0]
    correlation = np.corrcoef(draws.T)
    assert correlation[0, 1] > 0.9
    assert abs(correlation[0, 2]) < 0.6


def test_intervals_cover_new_runs():
    inside = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        law = EDL().fit(*planted_runs(40, 4, rng, noise=0.01))
        rows, losses = planted_runs(100, 4, rng, noise=0.01)
        mean, sd = law.predict(rows, return_std=True)
        inside.append(np.abs(losses - mean) < 1.645 * sd)
    assert 0.85 < np.mean(inside) < 0.97


def test_metrics_with_common_noise_are_drawn_together():
    rng = np.random.default_rng(6)
    weights, losses = planted_runs(60, 3, rng, noise=0.0)
    common = 0.03 * rng.standard_normal((60, 1))
    law = EDL().fit(weights, losses + common)
    draws = law.sample(rng.dirichlet(np.ones(3), 1), 2000, rng)[:, 0]
    assert np.corrcoef(draws.T)[0, 1] > 0.5


@pytest.mark.skipif(not DATA.is_dir(), reason=f"RegMix's tables are not in {DATA}")
def test_a_quarter_of_regmix_runs_ranks_its_test_mixtures():
    weights, losses = _regmix("train_mixture_1m"), _regmix("train_pile_loss_1m", "pile_cc")
    rows, actual = _regmix("test_mixture_1m"), _regmix("test_pile_loss_1m", "pile_cc")
    some = np.random.default_rng(128000).permutation(len(weights))[:128]
    law = EDL().fit(weights[some] / weights[some].sum(axis=1, keepdims=True), losses[some])
    predicted = law.predict(rows / rows.sum(axis=1, keepdims=True))
    assert spearmanr(predicted[:, 0], actual[:, 0]).statistic >= 0.985


def _regmix(name: str, like: str = "") -> np.ndarray:
    frame = pd.read_csv(DATA / f"{name}.csv", index_col="index")
    return frame[[column for column in frame.columns if like in column]].to_numpy()
