"""Ridge with two strengths: leave-one-out in closed form, landmarks in place of all products."""

import numpy as np
import pytest

from mixopt.laws import interactions
from mixopt.laws.base import mixture_groups
from mixopt.laws.pairwise import Pairwise
from mixopt.laws.quadratic import Quadratic
from mixopt.testing import planted_runs


def test_left_out_error_is_the_brute_force_one_with_replicates():
    rng = np.random.default_rng(0)
    weights, losses = planted_runs(9, 3, rng, noise=0.1)
    weights = np.repeat(weights, [1, 2, 1, 3, 1, 1, 2, 1, 1], axis=0)
    z = np.repeat(losses[:, 0], [1, 2, 1, 3, 1, 1, 2, 1, 1]) + 0.1 * rng.standard_normal(13)
    law = Quadratic().fit(weights, z[:, None])
    design, groups = law._design(weights), mixture_groups(weights)
    relative = np.array([1.0, 1.0, 1.0, *[3.0] * 6])
    spectrum = interactions._Spectrum.of(design[:, 1:], groups, relative)
    strength = spectrum.strengths[18]
    penalty = np.hstack([np.zeros((9, 1)), np.diag(np.sqrt(strength * relative))])
    squares = []
    for group in range(9):
        kept = groups != group
        theta = interactions._solve(design[kept], z[kept], penalty).theta
        mean = z[~kept].mean()
        squares.append((~kept).sum() * (mean - design[~kept][0] @ theta) ** 2)
    np.testing.assert_allclose(spectrum.errors(z)[18], np.sum(squares) / 13, rtol=1e-9)


def test_the_noise_is_found():
    found = [
        Pairwise().fit(*planted_runs(80, 3, np.random.default_rng(seed), noise=0.05)).noise_
        for seed in range(6)
    ]
    np.testing.assert_allclose(np.mean(found), 0.05, rtol=0.15)


@pytest.mark.parametrize("law", [Quadratic, Pairwise])
def test_landmarks_are_all_products_where_there_are_enough_of_them(law, monkeypatch):
    rng = np.random.default_rng(1)
    weights, losses = planted_runs(40, 6, rng, noise=0.01)
    rows = rng.dirichlet(np.ones(6), 20)
    every = law().fit(weights, losses)
    monkeypatch.setattr(interactions, "_MOST_PRODUCTS", 14)  # of 15 products
    monkeypatch.setattr(interactions, "_LANDMARKS", 40)
    few = law().fit(weights, losses)
    assert few.whitening_.shape[0] == 40
    spread = losses.std(axis=0)
    np.testing.assert_allclose(few.predict(rows), every.predict(rows), atol=1e-3 * spread.min())
    np.testing.assert_allclose(few.noise_, every.noise_, rtol=0.01)
    np.testing.assert_allclose(few.products(), every.products(), atol=0.02 * spread.max())
    assert few.notes() == ()


def test_hundreds_of_domains_say_what_spans_their_products():
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.full(40, 0.2), 560)
    losses = 1.0 + weights[:, :1] + 20.0 * weights[:, 1:2] * weights[:, 2:3]
    law = Quadratic().fit(weights, losses)
    assert law.theta_.shape[1] == 1 + 2 * 40 + 512
    assert "512 of 560 mixtures" in law.notes()[0]
    rows = rng.dirichlet(np.full(40, 0.2), 50)
    actual = 1.0 + rows[:, :1] + 20.0 * rows[:, 1:2] * rows[:, 2:3]
    error = law.predict(rows) - actual
    assert np.sqrt(np.mean(error**2)) < 0.7 * actual.std()


def test_fewer_runs_than_products_are_no_trouble():
    rng = np.random.default_rng(3)
    weights, losses = planted_runs(12, 8, rng, noise=0.01)
    rows = rng.dirichlet(np.ones(8), 200)
    for law in (Quadratic(), Pairwise()):
        mean, sd = law.fit(weights, losses).predict(rows, return_std=True)
        assert np.isfinite(mean).all()
        assert (np.abs(mean - losses.mean(axis=0)) < 5 * losses.std(axis=0)).all()
        assert (sd > 0).all()


def test_intervals_cover_new_runs():
    inside = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        weights, losses = planted_runs(60, 4, rng, noise=0.03)
        rows, actual = planted_runs(100, 4, rng, noise=0.03)
        for law in (Quadratic(), Pairwise()):
            mean, sd = law.fit(weights, losses).predict(rows, return_std=True)
            inside.append(np.abs(actual - mean) < 1.645 * sd)
    assert 0.85 < np.mean(inside) < 0.97
