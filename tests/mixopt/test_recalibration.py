"""Recalibration: exact lines, slopes shrunk to their median, intervals that cover, anchors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.recalibration import recalibrate, spread_anchors


def world(
    rng: np.random.Generator, anchors: int, metrics: int = 8, spread: float = 0.15
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Small-scale predictions and larger losses of some anchors, then of 200 other mixtures."""
    slope = 0.8 + spread * rng.standard_normal(metrics)
    small = rng.standard_normal((anchors + 200, metrics))
    big = 1.0 + slope * small + 0.1 * rng.standard_normal(small.shape)
    return small[:anchors], big[:anchors], small[anchors:], big[anchors:]


def test_exact_lines_are_exact():
    rng = np.random.default_rng(0)
    small, slope = rng.standard_normal((5, 3)), np.array([0.5, 0.9, 1.3])
    line = recalibrate(small, 2 + slope * small)
    np.testing.assert_allclose(line.slope, slope)
    np.testing.assert_allclose(line.mean(small), 2 + slope * small)
    np.testing.assert_allclose(line.tau, 0.0, atol=1e-12)


@pytest.mark.parametrize("anchors", [4, 6, 12])
def test_intervals_cover_ninety_percent(anchors):
    inside = []
    for seed in range(150):
        small, big, rows, actual = world(np.random.default_rng(seed), anchors)
        line = recalibrate(small, big)
        sd = line.sd(rows, np.zeros(rows.shape))
        inside.append(np.abs(line.mean(rows) - actual) < 1.645 * sd)
    assert 0.85 < np.mean(inside) < 0.97


def test_noise_of_the_small_scale_widens_by_the_slope():
    small, big, rows, _ = world(np.random.default_rng(0), 8)
    line = recalibrate(small, big)
    without, with_it = (line.sd(rows, np.full(rows.shape, sd)) for sd in (0.0, 0.5))
    np.testing.assert_allclose(with_it**2 - without**2, np.tile((0.5 * line.slope) ** 2, (200, 1)))


def test_slopes_of_few_noisy_anchors_lie_near_their_median():
    ours, raw = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        small, big, _, _ = world(rng, 4, spread=0.0)
        line = recalibrate(small, big)
        own = [np.polyfit(x, y, 1)[0] for x, y in zip(small.T, big.T)]
        ours.append(np.mean((line.slope - 0.8) ** 2))
        raw.append(np.mean((np.array(own) - 0.8) ** 2))
    assert np.mean(ours) < 0.5 * np.mean(raw)


def test_slopes_that_differ_are_kept_where_anchors_tell_them():
    rng = np.random.default_rng(1)
    small = rng.standard_normal((30, 6))
    slope = np.array([0.2, 0.5, 0.8, 1.1, 1.4, 1.7])
    line = recalibrate(small, slope * small + 0.05 * rng.standard_normal(small.shape))
    np.testing.assert_allclose(line.slope, slope, atol=0.05)


@pytest.mark.parametrize(("spread", "most"), [(0.0, 0.75), (0.4, 1.15)])
def test_shrinkage_pays_where_slopes_are_alike_and_costs_little_where_not(spread, most):
    ours, raw = [], []
    for seed in range(100):
        small, big, rows, actual = world(np.random.default_rng(seed), 4, spread=spread)
        lines = [np.polyfit(x, y, 1) for x, y in zip(small.T, big.T)]
        plain = np.stack([np.polyval(line, row) for line, row in zip(lines, rows.T)], axis=1)
        ours.append(np.mean((recalibrate(small, big).mean(rows) - actual) ** 2))
        raw.append(np.mean((plain - actual) ** 2))
    assert np.mean(ours) < most * np.mean(raw)


def test_a_metric_that_some_anchors_did_not_measure():
    small, big, _, _ = world(np.random.default_rng(2), 8)
    big[:3, 1] = np.nan
    line = recalibrate(small, big)
    np.testing.assert_array_equal(line.anchors, [8, 5, 8, 8, 8, 8, 8, 8])
    assert np.isnan(line.residuals[:3, 1]).all()
    assert np.isfinite(line.slope).all()
    big[:5, 1] = np.nan
    with pytest.raises(DataError, match="got 3: run 1 more"):
        recalibrate(small, big)


def test_three_mixtures_are_refused():
    small, big, _, _ = world(np.random.default_rng(3), 3)
    with pytest.raises(DataError, match="predict at proxy scale"):
        recalibrate(small, big)
    with pytest.raises(DataError, match="got 0"):
        recalibrate(small[:0], big[:0])


def test_a_constant_metric_and_a_constant_prediction():
    small, big, rows, _ = world(np.random.default_rng(4), 6)
    big[:, 0], small[:, 1], rows[:, 1] = 3.0, 2.0, 2.0
    line = recalibrate(small, big)
    np.testing.assert_allclose(line.mean(rows)[:, 1], big[:, 1].mean())
    assert np.isfinite(line.sd(rows, np.zeros(rows.shape))).all()
    flat = recalibrate(np.ones((5, 2)), big[:5, :2])
    np.testing.assert_allclose(flat.mean(np.ones((1, 2)))[0], big[:5, :2].mean(axis=0))


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
def test_units_and_order_do_not_matter(seed, unit, shift):
    rng = np.random.default_rng(seed)
    small, big, rows, _ = world(rng, 6, metrics=4)
    line = recalibrate(small, big)
    scaled = recalibrate(unit * small + shift, unit * big + shift)
    np.testing.assert_allclose(
        scaled.mean(unit * rows + shift), unit * line.mean(rows) + shift, atol=1e-6
    )
    order, metrics = rng.permutation(6), rng.permutation(4)
    shuffled = recalibrate(small[order][:, metrics], big[order][:, metrics])
    np.testing.assert_allclose(shuffled.mean(rows[:, metrics]), line.mean(rows)[:, metrics])
    np.testing.assert_allclose(shuffled.tau, line.tau[metrics])


@given(st.integers(4, 60), st.integers(1, 12), st.integers(0, 100))
def test_anchors_are_distinct_and_one_in_each_equal_part_of_the_order(candidates, count, seed):
    predicted = np.random.default_rng(seed).standard_normal(candidates)
    count = min(count, candidates)
    chosen = spread_anchors(predicted, count)
    assert len(set(chosen.tolist())) == count
    places = np.sort(np.argsort(np.argsort(predicted))[chosen])
    assert (places >= np.arange(count) * candidates // count).all()
    assert (places <= (np.arange(1, count + 1) * candidates - 1) // count).all()


def test_what_is_to_be_kept_comes_first_and_once():
    predicted = np.arange(10.0)
    assert spread_anchors(predicted, 3, keep=[7, 7]).tolist() == [7, 2, 6]
    assert spread_anchors(predicted, 1, keep=[4, 5]).tolist() == [4]


def test_too_few_candidates_are_an_error():
    with pytest.raises(DataError, match="at least 4 candidates"):
        spread_anchors(np.arange(3.0), 4)
