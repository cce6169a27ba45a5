"""Ordinary least squares on the shares, L(w) = c + b . w: RegMix's ablation (arXiv:2407.01492).

The law that mixtures are not: a share of 1 % counts a tenth of one of 10 %. It is here to be
beaten. Directions in which the runs do not differ (shares sum to one; unused domains; fewer runs
than domains) take no part: the solution is that of least norm, and its sd knows that the runs say
nothing there.
"""

from dataclasses import dataclass

import numpy as np

from mixopt.laws.base import Array
from mixopt.laws.linearised import Linearised, MetricFit

_COLLINEAR = 1e-4
"""Directions that vary by less than this, against the one that varies most, are not fitted: the
shares of a table are rounded."""
_UNSEEN_SD = 10.0
"""sd of the slope along a direction that no run varied, in sd of the metric."""
_SIGMA_LEAST = 1e-4


@dataclass
class Linear(Linearised):
    """theta = (c, b_1..b_d) of the standardised metric.

    >>> law = Linear().fit(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[3.0], [5.0]]))
    >>> law.predict(np.array([[0.4, 0.6]])).round(9)
    array([[4.]])
    """

    convex = True

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        centre, (n, d) = weights.mean(axis=0), weights.shape
        rows = np.vstack([weights - centre, np.zeros((max(0, d - n), d))])  # at least d of them
        left, size, right = np.linalg.svd(rows, full_matrices=False)
        rank = int((size > _COLLINEAR * size.max(initial=0.0)).sum())
        seen, unseen = right[:rank], right[rank:]
        along = left[:n, :rank]
        slopes = (along.T @ z / size[:rank]) @ seen
        sigma = _noise(z - z.mean() - along @ (along.T @ z), rank)
        penalty = np.zeros((d, d + 1))
        penalty[rank:, 1:] = sigma / _UNSEEN_SD * unseen
        spread = seen.T / size[:rank] ** 2 @ seen + (_UNSEEN_SD / sigma) ** 2 * unseen.T @ unseen
        theta = np.concatenate([[z.mean() - centre @ slopes], slopes])
        return MetricFit(theta, sigma, penalty, _with_constant(spread, centre, n))

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        return self._fit_metric(weights, z)._replace(sigma=kept.sigma)

    def _values(self, weights: Array, theta: Array) -> Array:
        return theta[0] + weights @ theta[1:]

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return np.hstack([np.ones((len(weights), 1)), weights])

    def gradient(self, weights: Array) -> Array:
        """b for every row, (k, m, d)."""
        rows = self._checked(weights)
        slopes = self.theta_[:, 1:] * self.spread_[:, None]
        return np.broadcast_to(slopes, (len(rows), *slopes.shape)).copy()


def _noise(residual: Array, rank: int) -> float:
    """Residual sd; that of the metric itself where every run is spent on the fit."""
    freedom = len(residual) - rank - 1
    if freedom <= 0:
        return 1.0
    return max(float(np.sqrt(residual @ residual / freedom)), _SIGMA_LEAST)


def _with_constant(spread: Array, centre: Array, runs: int) -> Array:
    """H^-1 (1 + d, 1 + d) of (c, b) from that of b about the centre of the runs."""
    cross = -spread @ centre
    out = np.empty((len(centre) + 1, len(centre) + 1))
    out[0, 0] = 1.0 / runs - centre @ cross
    out[0, 1:] = out[1:, 0] = cross
    out[1:, 1:] = spread
    return out
