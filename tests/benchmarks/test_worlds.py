"""Worlds: each holds the trap that its name promises, and its optimum is found."""

import numpy as np
import pytest

D = 6


@pytest.fixture
def worlds(benchmark):
    return benchmark("worlds")


@pytest.fixture
def world(worlds, request):
    return worlds.WORLDS[request.param](D, np.random.default_rng(3))


NAMES = ("smooth", "mean of domains", "over-repetition", "threshold", "harmful domain")


def test_there_are_five(worlds):
    assert tuple(worlds.WORLDS) == NAMES


@pytest.mark.parametrize("world", NAMES, indirect=True)
def test_losses_are_finite_and_positive_up_to_the_corners(world):
    rows = np.vstack([np.eye(D), np.random.default_rng(0).dirichlet(np.full(D, 0.3), 50)])
    losses = world.losses(rows)
    assert losses.shape == (len(rows), world.m)
    assert (losses > 0).all()
    assert np.isfinite(world.value(rows)).all()


@pytest.mark.parametrize("world", NAMES, indirect=True)
def test_no_sample_is_better_than_the_best_mixture(worlds, world):
    best = worlds.best_mixture(world, worlds.space_of(D))
    rows = np.random.default_rng(1).dirichlet(np.full(D, 0.5), 20_000)
    spread = world.value(rows).std()
    assert world.value(best[None])[0] < world.value(rows).min() + 0.01 * spread


def test_the_best_domain_harms_beyond_four_epochs(worlds):
    smooth, repeated = both(worlds, "over-repetition")
    best = int(worlds.best_mixture(smooth, worlds.space_of(D)).argmax())
    rows = with_share(best, [0.2, 0.6])
    ratio = repeated.losses(rows) / smooth.losses(rows)
    np.testing.assert_array_equal(ratio[0], 1.0)
    assert (ratio[1] > 1.1).all()


def test_passing_the_threshold_is_a_jump(worlds):
    smooth, jumped = both(worlds, "threshold")
    rows = with_share(1, [0.09, 0.15])
    ratio = jumped.losses(rows) / smooth.losses(rows)
    assert (ratio[0] > 0.995).all()
    assert (ratio[1] < 0.925).all()


def test_the_harmful_domain_harms_with_every_share(worlds):
    smooth, harmed = both(worlds, "harmful domain")
    rows = with_share(2, [0.0, 0.3, 0.9])
    ratio = harmed.losses(rows) / smooth.losses(rows)
    assert (np.diff(ratio, axis=0) > 0.1).all()
    assert worlds.best_mixture(harmed, worlds.space_of(D))[2] < 0.01


def test_in_the_balanced_world_equal_shares_are_best(worlds):
    world = worlds.balanced(D, np.random.default_rng(0))
    best = worlds.best_mixture(world, worlds.space_of(D))
    np.testing.assert_allclose(best, 1 / D, atol=0.002)


def test_in_the_flat_world_nothing_matters(worlds):
    world = worlds.flat(D, np.random.default_rng(0))
    rows = np.random.default_rng(1).dirichlet(np.ones(D), 9)
    np.testing.assert_array_equal(world.value(rows), 0.0)


def both(worlds, name):
    """The smooth world and another with the same skills."""
    kinds = worlds.WORLDS["smooth"], worlds.WORLDS[name]
    return [make(D, np.random.default_rng(3)) for make in kinds]


def with_share(column, shares):
    """Mixtures that give a domain these shares and the others the rest, alike."""
    rows = np.outer((1 - np.array(shares)) / (D - 1), np.ones(D))
    rows[:, column] = shares
    return rows
