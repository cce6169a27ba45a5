"""Additive law: recovery at a scale that no run had, and one best mixture for every scale."""

import numpy as np
import pytest

from mixopt.laws.additive import Additive
from mixopt.laws.base import Info

SIZES = np.array([1e6, 4e6, 16e6])
TOKENS = np.array([1e8, 4e8, 16e8])
GRID = np.array([[n, n, t] for n in SIZES for t in TOKENS])
LARGE = np.array([64e6, 64e6, 64e8])


def world(d: int, m: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "C": rng.uniform(0.3, 0.8, (m, d)) + 2 * np.eye(m, d),
        "g": rng.uniform(0.4, 0.8, (m, d)),
        "A": rng.uniform(0.5, 1.5, m),
        "B": rng.uniform(0.5, 1.5, m),
    }


def truth(weights: np.ndarray, scales: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
    """1.5 + 1 / sum C w^g + A (N / 1M)^-.25 + B (D / 100M)^-.35 of four metrics."""
    one = world(weights.shape[1], 4)
    worth = (one["C"] * weights[:, None, :] ** one["g"]).sum(axis=2)
    n = scales[:, 1] if size is None else size
    fall = one["A"] * (n[:, None] / 1e6) ** -0.25 + one["B"] * (scales[:, 2:] / 1e8) ** -0.35
    return 1.5 + 0.5 / worth + fall


def runs(n: int, noise: float = 0.002) -> tuple[np.ndarray, np.ndarray, Info]:
    rng = np.random.default_rng(0)
    weights, scales = rng.dirichlet(np.ones(5), n), GRID[np.arange(n) % len(GRID)]
    losses = truth(weights, scales)
    return weights, losses + noise * rng.standard_normal(losses.shape), Info(scales=scales)


@pytest.fixture(scope="module")
def law() -> Additive:
    return Additive().fit(*runs(90))


ROWS = np.random.default_rng(1).dirichlet(np.ones(5), 100)


def test_losses_at_a_larger_scale_are_predicted_and_covered(law):
    actual = truth(ROWS, np.tile(LARGE, (100, 1)))
    mean, sd = law.predict(ROWS, LARGE, return_std=True)
    error = np.sqrt(np.mean((mean - actual) ** 2, axis=0))
    assert (error < 0.2 * actual.std(axis=0)).all()
    assert np.mean(np.abs(mean - actual) < 1.645 * sd) > 0.85


def test_exponents_are_found(law):
    np.testing.assert_allclose(np.exp(law.shared_), [0.25, 0.35], rtol=0.08)


def test_the_best_mixture_is_the_same_at_every_scale(law):
    differences = [law.predict(ROWS, scale) - law.predict(ROWS[:1], scale) for scale in GRID]
    differences.append(law.predict(ROWS, LARGE) - law.predict(ROWS[:1], LARGE))
    np.testing.assert_allclose(differences, [differences[0]] * len(differences), atol=1e-9)


def test_the_effective_size_is_learned_where_sparsity_varies():
    rng = np.random.default_rng(2)
    weights, n = rng.dirichlet(np.ones(3), 96), np.arange(96)
    active = np.array([1e6, 4e6, 16e6])[n % 3]
    total = active * np.array([1.0, 4.0, 16.0])[n // 3 % 3]
    scales = np.column_stack([total, active, np.full(96, 1e9)])
    losses = truth(weights, scales, active**0.7 * total**0.3)
    losses = losses + 0.002 * rng.standard_normal(losses.shape)
    law = Additive().fit(weights, losses, Info(scales=scales))
    assert abs(1 / (1 + np.exp(-law.shared_[1])) - 0.7) < 0.05
    sparse = np.array([16e8, 64e6, 1e9])
    actual = truth(weights, np.tile(sparse, (96, 1)), np.full(96, 64e6**0.7 * 16e8**0.3))
    error = np.sqrt(np.mean((law.predict(weights, sparse) - actual) ** 2, axis=0))
    assert (error < 0.25 * actual.std(axis=0)).all()


def test_curves_are_the_formula():
    law = Additive().fit(*runs(45))
    law.shared_ = np.log([0.3, 0.4])
    own = [-1.0, *np.log([1.0, 2, 3, 4, 5]), *np.full(5, 0.0), np.log(0.5), np.log(0.25)]
    law.theta_ = np.tile(own, (4, 1))
    weights = np.array([[0.1, 0.2, 0.3, 0.2, 0.2]])
    value = law._curves(law._points(weights, np.array([LARGE])))
    middle = np.sqrt(np.array([1e6 * 16e6, 1e8 * 16e8]))
    expected = -1 + 1 / (np.sqrt(weights[0]) @ np.arange(1, 6))
    expected += 0.5 * (64e6 / middle[0]) ** -0.3 + 0.25 * (64e8 / middle[1]) ** -0.4
    np.testing.assert_allclose(value, expected, rtol=1e-5)
