"""Recalibrated law: a few anchors carry the small scale's law to a larger one, and say how well."""

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.laws import make_law
from mixopt.laws.base import Info
from mixopt.laws.edl import EDL
from mixopt.laws.recalibrated import Recalibrated
from mixopt.testing import planted_losses

SMALL, LARGE = np.array([1e6, 1e6, 1e9]), np.array([60e6, 60e6, 1e9])
D, M = 5, 6


def large_losses(weights: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Lines of the small scale's losses, and 2 % of their spread that no line takes along."""
    slopes = 0.8 + 0.3 * np.sin(np.arange(M))
    small = planted_losses(weights, M)
    waves = np.sin(9 * weights @ np.arange(1, D + 1)[:, None] + np.arange(M))
    return 0.4 + slopes * small + 0.01 * waves


def runs(anchors: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Info]:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(D), 60 + anchors)
    losses = planted_losses(weights, M)
    losses[60:] = large_losses(weights[60:])
    scales = np.vstack([np.tile(SMALL, (60, 1)), np.tile(LARGE, (anchors, 1))])
    return weights, losses + 0.003 * rng.standard_normal(losses.shape), Info(scales=scales)


ROWS = np.random.default_rng(9).dirichlet(np.ones(D), 80)


def test_four_anchors_lower_the_error_and_keep_the_small_scale():
    weights, losses, info = runs(4)
    law = Recalibrated().fit(weights, losses, info)
    plain = EDL().fit(weights[:60], losses[:60])
    np.testing.assert_array_equal(law.predict(ROWS, SMALL), plain.predict(ROWS))
    actual = large_losses(ROWS)
    ours, theirs = (np.abs(one.predict(ROWS) - actual).mean() for one in (law, plain))
    assert ours < 0.2 * theirs
    objective = actual.mean(axis=1)
    ranks = [np.corrcoef(one.predict(ROWS).mean(axis=1), objective)[0, 1] for one in (law, plain)]
    assert ranks[0] > ranks[1]


def test_intervals_at_the_larger_scale_cover():
    inside, objective = [], []
    for seed in range(10):
        law = Recalibrated().fit(*runs(6, seed))
        mean, sd = law.predict(ROWS, return_std=True)
        actual = large_losses(ROWS)
        inside.append(np.abs(actual - mean) < 1.645 * sd)
        draws = law.sample(ROWS, 300, np.random.default_rng(0)).mean(axis=2)
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        objective.append((low < actual.mean(axis=1)) & (actual.mean(axis=1) < high))
    assert 0.85 < np.mean(inside) < 0.99
    assert np.mean(objective) > 0.85


def test_draws_have_the_predicted_sd():
    law = Recalibrated().fit(*runs(6))
    sd = law.predict(ROWS, return_std=True)[1]
    draws = law.sample(ROWS, 2000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.12)


def test_replicates_of_an_anchor_count_once():
    weights, losses, info = runs(4)
    assert info.scales is not None
    twice = np.concatenate([np.arange(64), np.arange(60, 64)])
    once = Recalibrated().fit(weights, losses, info)
    again = Recalibrated().fit(
        weights[twice], losses[twice], info._replace(scales=info.scales[twice])
    )
    np.testing.assert_allclose(again.predict(ROWS), once.predict(ROWS), rtol=1e-9)


def test_fewer_than_four_mixtures_are_refused():
    with pytest.raises(DataError, match="at least 4 mixtures at a second scale, got 3"):
        Recalibrated().fit(*runs(3))


def test_scales_without_anchors_are_refused():
    law = Recalibrated().fit(*runs(5))
    with pytest.raises(DataError, match="run anchors there"):
        law.predict(ROWS, (1e9, 1e9, 1e9))


def test_any_law_can_be_carried():
    law = Recalibrated(law="ridge").fit(*runs(5))
    assert set(law.parts()) == {"ridge"}
    small = make_law("ridge").fit(*(part[:60] for part in runs(5)[:2]))
    line = law.targets[0].line
    np.testing.assert_allclose(law.predict(ROWS), line.mean(small.predict(ROWS)))
