"""Additive law: L = E + 1 / sum_j C_j w_j^g_j + A / N^a + B / D^b (arXiv:2507.09404, eq. 2.4).

The null hypothesis of scale: mixture and scale add up, so the best mixture is the same at every
scale. Departures from the paper: a and b are shared by all metrics; 0 < g < 1, which makes the law
convex; Gaussian priors (g_j and ln C_j about their own means) and squares in place of Huber's loss
and basin hopping, because the paper's 2d + 5 parameters a metric overfit small swarms.

N is one effective size, active^e total^(1-e), 0 < e < 1 learned where the ratio of total to active
parameters varies over the runs, else the active parameters.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mixopt.laws.arrow import Prior, around_mean, chained, diagonal_prior
from mixopt.laws.base import Array
from mixopt.laws.shared import Points, SharedLaw

_TYPICAL_EXPONENT = 0.3
_EXPONENT_SPREAD = 0.7
HEIGHT_SPREAD = 3.0
"""sd of ln A: wide, or many metrics would together pretend to know the exponents."""


class Frame(NamedTuple):
    """Mixtures, and how the terms in scale fall."""

    shares: Array
    """(k, d)"""
    parameters: int
    """q, how many are shared"""
    falls: tuple[tuple[Array, Array], ...]
    """Of A / N^a and B / D^b, those whose axis varies: a ln N (k,), and its slopes by s (k, q)."""


@dataclass
class Additive(SharedLaw[Frame]):
    """s = (ln a, logit e, ln b), those whose axis varies; t = (E, ln C, logit g, ln A, ln B).

    >>> from mixopt.laws.base import Info
    >>> rng = np.random.default_rng(0)
    >>> weights = np.repeat(rng.dirichlet(np.ones(2), 12), 2, axis=0)
    >>> scales = np.tile([[1e6, 1e6, 1e9], [6e7, 6e7, 1e9]], (12, 1))
    >>> losses = 0.5 / (np.sqrt(weights) @ [[2.0], [0.5]]) + 20 * scales[:, :1] ** -0.2
    >>> law = Additive().fit(weights, losses, Info(scales=scales))
    >>> bool(np.abs(law.predict(weights, scales) - losses).max() < 0.05)
    True
    """

    over_scale: ClassVar[bool] = True

    convex = True

    def _shared_prior(self, d: int) -> Prior:
        axes = self.axes
        exponent = (np.log(_TYPICAL_EXPONENT), _EXPONENT_SPREAD)
        parts = [exponent] * axes.sized + [(0.0, 1.5)] * axes.sparse + [exponent] * axes.timed
        mean, sd = np.array(parts).reshape(-1, 2).T
        return diagonal_prior(mean, sd, reach=4.0)

    def _own_prior(self, d: int, reach: float) -> Prior:
        mixture = mixture_prior(d, reach)
        heights = [self._height_prior(d, reach)] * (self.axes.sized + self.axes.timed)
        return chained([mixture, *heights])

    def _height_prior(self, d: int, reach: float) -> Prior:
        """Of the parameters of A, and as well of B."""
        mean = np.array([np.log(1.0 + reach)])
        return diagonal_prior(mean, np.array([HEIGHT_SPREAD]))

    def _log_height(self, shares: Array, own: Array) -> Array:
        """ln A (M, k) of shares (k, d) and its parameters own (M, h)."""
        return np.broadcast_to(own, (len(own), len(shares)))

    def _height_slopes(self, shares: Array, own: Array) -> Array:
        """d ln A / d own, (M, k, h)."""
        return np.ones((len(own), len(shares), 1))

    def _frame(self, points: Points, shared: Array) -> Frame:
        axes, falls, at = self.axes, [], 0
        if axes.sized:
            by = np.zeros((len(points.scale), len(shared)))
            a, size = np.exp(shared[0]), points.scale[:, 0]
            if axes.sparse:
                e = expit(shared[1])
                size = size + (1.0 - e) * points.scale[:, 1]
                by[:, 1] = -a * e * (1.0 - e) * points.scale[:, 1]
            by[:, 0] = a * size
            falls.append((a * size, by))
            at = 1 + axes.sparse
        if axes.timed:
            by = np.zeros((len(points.scale), len(shared)))
            by[:, at] = np.exp(shared[at]) * points.scale[:, 2]
            falls.append((by[:, at], by))
        return Frame(points.shares, len(shared), tuple(falls))

    def _values(self, frame: Frame, metrics: NDArray[np.int64], own: Array) -> Array:
        values = own[:, :1] + 1.0 / _worth(frame.shares, own)[0]
        for (fall, _), height in zip(frame.falls, self._heights(frame, own)):
            values = values + np.exp(self._log_height(frame.shares, height) - fall)
        return values

    def _slopes(self, frame: Frame, metrics: NDArray[np.int64], own: Array) -> tuple[Array, Array]:
        worth, pieces, g = _worth(frame.shares, own)
        by_c = -pieces / worth[:, :, None] ** 2
        by_g = by_c * np.log(frame.shares) * (g * (1.0 - g))[:, None, :]
        blocks = [np.ones((*worth.shape, 1)), by_c, by_g]
        slopes = np.zeros((*worth.shape, frame.parameters))
        for (fall, by), height in zip(frame.falls, self._heights(frame, own)):
            term = np.exp(self._log_height(frame.shares, height) - fall)[:, :, None]
            slopes -= term * by
            blocks.append(term * self._height_slopes(frame.shares, height))
        return slopes, np.concatenate(blocks, axis=2)

    def _heights(self, frame: Frame, own: Array) -> list[Array]:
        """The parameters (M, h) of A, and of B."""
        rest = own[:, 2 * frame.shares.shape[1] + 1 :]
        return np.split(rest, len(frame.falls), axis=1) if frame.falls else []

    def gradient(self, weights: Array) -> Array:
        """d L / d w through the renormalisation of w, (k, m, d), at the default scale."""
        rows = self._checked(weights)
        frame = self._frame(self._points(rows, None), self.shared_)
        worth, pieces, g = _worth(frame.shares, self.theta_)
        slope = -pieces * g[:, None, :] / frame.shares / worth[:, :, None] ** 2
        for (fall, _), height in zip(frame.falls, self._heights(frame, self.theta_)):
            term = np.exp(self._log_height(frame.shares, height) - fall)[:, :, None]
            slope = slope + term * self._height_by_share(frame.shares, height)
        size = rows.sum(axis=1, keepdims=True)
        along = (slope * rows / size).sum(axis=2, keepdims=True)
        return ((slope - along) / size).transpose(1, 0, 2) * self.spread_[:, None]

    def _height_by_share(self, shares: Array, own: Array) -> Array:
        """d ln A / d shares, (M, k, d)."""
        return np.zeros((len(own), *shares.shape))


def mixture_prior(d: int, reach: float) -> Prior:
    """Of (E, ln C_1..d, logit g_1..d) for a standardised metric whose scales lie `reach` apart."""
    rows = np.zeros((2 * d + 3 + d, 2 * d + 1))
    rows[0, 0] = 1.0 / (3.0 + 3.0 * reach)
    rows[1 : d + 1, 1 : d + 1] = around_mean(d, 2.0)
    rows[d + 1 : 2 * d + 1, 1 : d + 1] = np.eye(d) / 10.0
    rows[2 * d + 1 : 3 * d + 1, d + 1 :] = around_mean(d, 0.7)
    rows[3 * d + 1, d + 1 :] = 1.0 / d
    targets = np.zeros(len(rows))
    targets[0] = rows[0, 0] * (-3.0 - reach)
    targets[d + 1 : 2 * d + 1] = -1.5 / 10.0
    targets[3 * d + 1] = 0.7
    start = np.concatenate([[-3.0 - reach], np.full(d, -0.7 - 0.3 * np.log(d)), np.full(d, 0.7)])
    bound = np.concatenate([[np.inf], np.full(d, 20.0), np.full(d, 8.0)])
    return Prior(start, rows[:-1], targets[:-1], -bound, bound)


def _worth(shares: Array, own: Array) -> tuple[Array, Array, Array]:
    """sum_j C_j w_j^g_j (M, k), its terms (M, k, d), and g (M, d)."""
    d = shares.shape[1]
    g = expit(own[:, d + 1 : 2 * d + 1])
    pieces = np.exp(own[:, None, 1 : d + 1] + g[:, None, :] * np.log(shares))
    return pieces.sum(axis=2), pieces, g
