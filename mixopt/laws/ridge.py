"""Ridge on the square root of the shares, y = c + b . sqrt(w), penalty by leave-one-out.

The square root makes equal steps of a share count most where it is scarce (Hellinger geometry).
"""

from dataclasses import dataclass

import numpy as np

from mixopt.laws.base import Array
from mixopt.laws.linearised import Linearised, MetricFit, inverse_hessian, residual_sd


@dataclass
class Ridge(Linearised):
    """theta = (c, b_1..b_d) of the standardised metric; b is shrunk to zero, c is free."""

    penalties: int = 19
    """Strengths tried, from 1e-6 to 1e3 times n, evenly in the logarithm."""

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        design = _features(weights)
        strengths = np.logspace(-6, 3, self.penalties) * len(z)
        best = float(strengths[_left_out(design[:, 1:], z, strengths).argmin()])
        return _solve(design, z, _penalty(weights.shape[1], best))

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        return _solve(_features(weights), z, kept.penalty)

    def _values(self, weights: Array, theta: Array) -> Array:
        return _features(weights) @ theta

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return _features(weights)


def _features(weights: Array) -> Array:
    """(k, d) shares -> (k, 1 + d)."""
    return np.hstack([np.ones((len(weights), 1)), np.sqrt(np.maximum(weights, 0.0))])


def _penalty(d: int, strength: float) -> Array:
    """Penalty rows (d, 1 + d): sqrt(strength) for each slope, nothing for the constant."""
    return np.sqrt(strength) * np.eye(d, d + 1, k=1)


def _solve(design: Array, z: Array, penalty: Array) -> MetricFit:
    curvature = inverse_hessian(design, penalty)
    theta = curvature @ design.T @ z
    sigma = residual_sd(design, z - design @ theta, curvature)
    return MetricFit(theta, sigma, penalty, curvature)


def _left_out(roots: Array, z: Array, strengths: Array) -> Array:
    """Mean squared leave-one-out residual of each strength, by e_i / (1 - h_ii)."""
    u, size, _ = np.linalg.svd(roots - roots.mean(axis=0), full_matrices=False)
    kept = size**2 / (size**2 + strengths[:, None])
    fitted = z.mean() + (kept * (u.T @ z)) @ u.T
    leverage = 1.0 / len(z) + kept @ (u**2).T
    return np.mean(((z - fitted) / np.maximum(1.0 - leverage, 1e-9)) ** 2, axis=1)
