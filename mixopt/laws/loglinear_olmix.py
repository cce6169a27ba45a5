"""Olmix's log-linear law with its published settings: L(w) = c + exp(a . w), c > 0, raw losses.

Olmix (arXiv:2602.12237, `olmix/fit` of allenai/olmix): Huber's loss with delta .02 summed over the
runs, 300 starts (ln c on 10 points of [-2, 1.5], 30 random a each), the best fit on the training
runs. The constants are in units of the loss, so other units give another fit, and metrics at or
below zero are out of reach; `loglinear` is the same curve without either limit.

Departures: Levenberg-Marquardt in place of L-BFGS; the random start of a metric's own domain is
the one of its text, where Olmix takes the domain of the metric's number; a ridge of 1e-10 decides
between equal fits where runs are fewer than domains, and N(0, 10^2) on c and a is the prior behind
the intervals, of which the paper has none.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixopt.laws.base import Array, standardised
from mixopt.laws.levenberg import Curve, descend, every, settle
from mixopt.laws.linearised import Linearised, MetricFit

_RIDGE = 1e-5
_PRIOR_SD = 10.0
_FIRST_STEPS = 8
_KEPT = 16
"""Starts that go on after the first steps."""
_STEPS = 100


@dataclass
class LogLinearOlmix(Linearised):
    """theta = (c, a_1..a_d), in units of the loss."""

    convex = True
    published: ClassVar[bool] = True

    delta: float = 0.02
    offsets: int = 10
    """Starts of ln c, evenly in [-2, 1.5]."""
    starts: int = 30
    """Starts of a for each of c."""
    seed: int = 42

    def _units(self, losses: Array) -> tuple[Array, Array, Array]:
        _, centre, spread = standardised(losses)
        varies = spread > 0
        return losses, np.where(varies, 0.0, centre), varies.astype(np.float64)

    def _fit_metrics(self, weights: Array, z: Array) -> list[MetricFit]:
        m = z.shape[1]
        own = np.full(m, -1) if self.train_own_ is None else self.train_own_
        fits = []
        for i in range(m):
            rows = np.isfinite(z[:, i])
            starts = _starts(weights.shape[1], int(own[i]), self.offsets, self.starts, self.seed)
            fits.append(self._from(starts, weights[rows], z[rows, i]))
        return fits

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        starts = _starts(weights.shape[1], -1, self.offsets, self.starts, self.seed)
        return self._from(starts, weights, z)

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        fit = settle(_curve(weights), z, kept.theta, _RIDGE * _PRIOR_SD, self.delta, _STEPS)
        return fit._replace(sigma=kept.sigma)

    def _from(self, starts: Array, weights: Array, z: Array) -> MetricFit:
        """The best fit that starts (s, d + 1) lead to; most are given up early."""
        few, ridge = every(len(z)), _RIDGE * _PRIOR_SD
        some, values = _curve(weights[few]), z[few]
        theta, cost = descend(some, values, starts, ridge, self.delta, _FIRST_STEPS)
        theta = theta[np.argsort(cost, kind="stable")[:_KEPT]]
        theta, cost = descend(some, values, theta, ridge, self.delta, _STEPS)
        return settle(_curve(weights), z, theta[cost.argmin()], ridge, self.delta, _STEPS)

    def _values(self, weights: Array, theta: Array) -> Array:
        return _values(weights, theta[None])[0]

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return _slopes(weights, theta[None])[0]

    def gradient(self, weights: Array) -> Array:
        """d L / d w, (k, m, d)."""
        rows = self._checked(weights)
        steep = np.exp(rows @ self.theta_[:, 1:].T) * self.spread_
        return steep[:, :, None] * self.theta_[:, 1:]


def _curve(weights: Array) -> Curve:
    """The curve at weights (n, d)."""
    p = weights.shape[1] + 1
    return Curve(
        values=lambda theta: _values(weights, theta),
        slopes=lambda theta: _slopes(weights, theta),
        rows=np.eye(p) / _PRIOR_SD,
        targets=np.zeros(p),
        lower=np.concatenate([[np.exp(-20.0)], np.full(p - 1, -100.0)]),
        upper=np.concatenate([[np.exp(10.0)], np.full(p - 1, 100.0)]),
    )


def _values(weights: Array, theta: Array) -> Array:
    """f (s, k) of theta (s, d + 1)."""
    return theta[:, :1] + np.exp(theta[:, 1:] @ weights.T)


def _slopes(weights: Array, theta: Array) -> Array:
    """d f / d theta, (s, k, d + 1)."""
    steep = np.exp(theta[:, 1:] @ weights.T)
    out = np.empty((*steep.shape, theta.shape[1]))
    out[:, :, 0] = 1.0
    np.multiply(steep[:, :, None], weights, out=out[:, :, 1:])
    return out


def _starts(d: int, own: int, offsets: int, count: int, seed: int) -> Array:
    """(offsets * count, d + 1): a_j ~ U(0, .1), of the metric's own domain U(-1, 0)."""
    a = np.random.default_rng(seed).uniform(0.0, 1.0, (offsets * count, d))
    scale = np.full(d, 0.1)
    if own >= 0:
        scale[own] = -1.0
    c = np.exp(np.repeat(np.linspace(-2.0, 1.5, offsets), count))
    return np.column_stack([c, scale * a])
