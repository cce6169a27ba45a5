"""Noise of seeds: textbook formulas, honest degrees of freedom, shrunk block effects."""

import numpy as np
import pytest

from mixopt.noise import anchor_noise, remove_block_effects
from mixopt.testing import planted_losses, table_of


def swarm(rng, blocks=4, anchors=2, singles=6, sigma=0.1, block_sd=0.3, d=3):
    """A table of `singles` mixtures and of anchors in every block, with their true losses."""
    rows = rng.dirichlet(np.ones(d), singles + anchors)
    where = [*range(singles), *np.repeat(np.arange(singles, singles + anchors), blocks).tolist()]
    block = np.array([*(np.arange(singles) % blocks), *np.tile(np.arange(blocks), anchors)])
    truth = planted_losses(rows)[where]
    effects = block_sd * rng.standard_normal((blocks, 3))
    losses = truth + effects[block] + sigma * rng.standard_normal(truth.shape)
    return table_of(rows[where], losses, block), truth


def test_two_anchors_give_half_the_variance_of_their_difference():
    table, _ = swarm(np.random.default_rng(0))
    noise = anchor_noise(table, table.losses)
    assert noise is not None
    first, second = table.losses[6:10], table.losses[10:14]
    np.testing.assert_allclose(
        noise.sigma_int, np.sqrt(np.var(first - second, axis=0, ddof=1) / 2), rtol=1e-9
    )
    pooled = (np.var(first, axis=0, ddof=1) + np.var(second, axis=0, ddof=1)) / 2
    np.testing.assert_allclose(noise.sigma_run, np.sqrt(pooled), rtol=1e-9)
    assert noise.df_int.tolist() == [3, 3, 3]
    assert noise.df_run.tolist() == [6, 6, 6]


def test_three_degrees_of_freedom_mean_a_wide_interval():
    table, _ = swarm(np.random.default_rng(0))
    noise = anchor_noise(table, table.losses)
    assert noise is not None
    ratio = noise.interval_int / noise.sigma_int[:, None]
    np.testing.assert_allclose(ratio, np.tile([0.62, 2.92], (3, 1)), atol=0.01)


def test_noise_is_unbiased_and_its_interval_covers():
    squares, covered = [], []
    for seed in range(300):
        table, _ = swarm(np.random.default_rng(seed), singles=1)
        noise = anchor_noise(table, table.losses[:, :1])
        assert noise is not None
        squares.append([noise.sigma_int[0] ** 2, noise.sigma_run[0] ** 2])
        low, high = noise.interval_int[0]
        covered.append(low < 0.1 < high)
    np.testing.assert_allclose(np.mean(squares, axis=0), [0.01, 0.10], rtol=0.2)
    assert abs(np.mean(covered) - 0.9) < 4 * np.sqrt(0.09 / 300)


def test_without_replicates_the_noise_is_unknown():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), 8)
    table = table_of(weights, planted_losses(weights), np.arange(8) % 2)
    assert anchor_noise(table, table.losses) is None
    np.testing.assert_array_equal(remove_block_effects(table).losses, table.losses)


def test_one_replicated_mixture_cannot_tell_blocks_from_noise():
    table, _ = swarm(np.random.default_rng(2), anchors=1)
    noise = anchor_noise(table, table.losses)
    assert noise is not None
    np.testing.assert_array_equal(noise.sigma_int, noise.sigma_run)
    np.testing.assert_array_equal(remove_block_effects(table).losses, table.losses)


def test_unmeasured_runs_are_left_out():
    table, _ = swarm(np.random.default_rng(3))
    values = table.losses.copy()
    values[6, 0] = np.nan
    noise = anchor_noise(table, values)
    assert noise is not None
    assert noise.df_int.tolist() == [2, 3, 3]


@pytest.mark.parametrize(("block_sd", "most"), [(0.3, 0.7), (0.0, 1.15)])
def test_removing_block_effects_helps_and_costs_little_where_there_are_none(block_sd, most):
    before, after = [], []
    for seed in range(60):
        table, truth = swarm(np.random.default_rng(seed), block_sd=block_sd, singles=12)
        cleaned = remove_block_effects(table)
        for errors, one in ((before, table), (after, cleaned)):
            left = (one.losses - truth)[:12]
            errors.append(np.mean((left - left.mean(axis=0)) ** 2))
    assert np.sqrt(np.mean(after) / np.mean(before)) < most


def test_runs_of_unknown_block_are_untouched():
    table, _ = swarm(np.random.default_rng(4))
    table.seed_block[:3] = -1
    before = table.losses.copy()
    cleaned = remove_block_effects(table)
    np.testing.assert_array_equal(cleaned.losses[:3], before[:3])
    np.testing.assert_array_equal(table.losses, before)
    assert not np.array_equal(cleaned.losses[3:], before[3:])
