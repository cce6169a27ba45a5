"""Joint law: recovery where the mixture decides what scale buys, else the additive law."""

import numpy as np

from mixopt.laws.additive import Additive
from mixopt.laws.base import Info
from mixopt.laws.joint import Joint

SIZES = np.array([1e6, 4e6, 16e6])
TOKENS = np.array([1e8, 4e8, 16e8])
GRID = np.array([[n, n, t] for n in SIZES for t in TOKENS])
LARGE = np.array([64e6, 64e6, 64e8])
ROWS = np.random.default_rng(1).dirichlet(np.ones(3), 100)


def truth(weights: np.ndarray, scales: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """1 + .3 / sum sqrt(w) C + (sum CA w) N^-.3 + D^-.35; `gains` (m, d) are CA."""
    worth = np.sqrt(weights) @ np.array([[2.0, 0.5], [0.5, 2.0], [0.5, 0.5]])
    size, tokens = (scales[:, 1:2] / 1e6) ** -0.3, (scales[:, 2:] / 1e8) ** -0.35
    return 1 + 0.3 / worth + (weights @ gains.T) * size + tokens


def fits(gains: np.ndarray) -> tuple[Additive, Joint]:
    rng = np.random.default_rng(0)
    weights, scales = rng.dirichlet(np.ones(3), 90), GRID[np.arange(90) % 9]
    losses = truth(weights, scales, gains)
    losses = losses + 0.002 * rng.standard_normal(losses.shape)
    info = Info(scales=scales)
    return Additive().fit(weights, losses, info), Joint().fit(weights, losses, info)


def test_gains_that_differ_by_domain_are_carried_to_a_larger_scale():
    gains = np.array([[0.4, 0.8, 1.6], [0.6, 0.2, 1.0]])
    additive, joint = fits(gains)
    actual = truth(ROWS, np.tile(LARGE, (100, 1)), gains)
    errors = [
        np.sqrt(np.mean((law.predict(ROWS, LARGE) - actual) ** 2, axis=0)) / actual.std(axis=0)
        for law in (additive, joint)
    ]
    assert (errors[1] < 0.3).all()
    assert (errors[1] < 0.3 * errors[0]).all()


def test_the_best_mixture_moves_with_scale():
    gains = np.array([[0.1, 1.0, 1.0], [0.1, 1.0, 1.0]])
    additive, joint = fits(gains)
    scales = GRID[0], np.array([1e12, 1e12, 64e8])
    best = [ROWS[truth(ROWS, np.tile(s, (100, 1)), gains).mean(axis=1).argmin()] for s in scales]
    assert best[0][0] > best[1][0] + 0.2
    shares = [ROWS[joint.predict(ROWS, s).mean(axis=1).argmin()][0] for s in scales]
    assert shares[0] > shares[1] + 0.2
    same = [additive.predict(ROWS, s).mean(axis=1).argmin() for s in scales]
    assert same[0] == same[1]


def test_equal_gains_are_the_additive_law():
    additive, joint = fits(np.ones((2, 3)))
    for scale in (GRID[0], LARGE):
        apart = joint.predict(ROWS, scale) - additive.predict(ROWS, scale)
        spread = additive.predict(ROWS, scale).std(axis=0)
        assert (np.sqrt(np.mean(apart**2, axis=0)) < 0.2 * spread).all()


def test_with_equal_gains_in_its_parameters_the_curve_is_the_additive_one():
    additive, joint = fits(np.ones((2, 3)))
    joint.shared_ = additive.shared_
    heights = additive.theta_[:, 7:]
    still = np.zeros((2, 4))
    joint.theta_ = np.hstack([additive.theta_[:, :7], heights[:, :1], still, heights[:, 1:], still])
    points = additive._points(ROWS, LARGE)
    np.testing.assert_allclose(joint._curves(points), additive._curves(points), rtol=1e-5)
