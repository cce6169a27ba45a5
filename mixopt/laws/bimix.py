"""BiMix at one scale: L(w) = c + sum_j F_j (w_j + e)^-alpha_j with F, alpha, e > 0.

BiMix (arXiv:2405.14908) is a power law in the share of a metric's own domain, times one in the
steps. Olmix (arXiv:2602.12237) adds it up over domains at equal steps; so does this file, with a
constant and with one e a metric, fitted: at e = 0 a run that leaves a domain out is infinitely bad.

Every term is written g_j ((w_j + e)^-alpha_j - 1) / alpha_j, so F_j = g_j / alpha_j: as alpha_j
falls to zero it becomes -g_j log(w_j + e) instead of the difference of two large numbers. The law
is convex and falls in every share.
"""

from dataclasses import dataclass

import numpy as np

from mixopt.laws.base import Array, in_blocks
from mixopt.laws.levenberg import Curve, fit_curve, refit_curve
from mixopt.laws.linearised import Linearised, MetricFit

_BLOCK = 4096
"""Rows whose powers are held at once."""


@dataclass
class BiMix(Linearised):
    """theta = (c, log e, log g_1..g_d, log alpha_1..alpha_d) of the standardised metric.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 20)
    >>> losses = 2.0 + weights**-0.5 @ [[0.2], [0.1], [0.02]]
    >>> law = BiMix().fit(weights, losses)
    >>> bool(np.abs(law.predict(weights) - losses).max() < 1e-3 * losses.std())
    True
    """

    convex = True

    delta: float = 0.5
    """Where Huber's loss turns from squares to lines, in sd of a metric over the swarm."""
    width: float = 2.0
    """sd of log g around its mean."""
    starts: int = 4
    seed: int = 0
    """Of the starting points."""

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        starts = _starts(weights.shape[1], self.starts, self.seed)
        return fit_curve(_curve, weights, z, starts, (self.width,), self.delta)

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        return refit_curve(_curve(weights, self.width), z, kept, self.delta)

    def _values(self, weights: Array, theta: Array) -> Array:
        return in_blocks(lambda rows: _values(rows, theta[None])[0], weights, _BLOCK)

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return _slopes(weights, theta[None])[0]

    def gradient(self, weights: Array) -> Array:
        """d L / d w, (k, m, d)."""
        rows = self._checked(weights)
        slopes = []
        for theta in self.theta_:
            g, alpha, log_q = (part[0] for part in _parts(rows, theta[None]))
            slopes.append(-g * np.exp(-(alpha + 1.0) * log_q))
        return np.stack(slopes, axis=1) * self.spread_[:, None]


def _curve(weights: Array, width: float) -> Curve:
    """The curve at weights (n, d)."""
    d = weights.shape[1]
    rows, targets = _prior(d, width)
    return Curve(
        values=lambda theta: _values(weights, theta),
        slopes=lambda theta: _slopes(weights, theta),
        rows=rows,
        targets=targets,
        lower=np.concatenate([[-np.inf, np.log(1e-6)], np.full(d, -16.0), np.full(d, -5.0)]),
        upper=np.concatenate([[np.inf, np.log(0.5)], np.full(d, 6.0), np.full(d, 1.5)]),
    )


def _parts(weights: Array, theta: Array) -> tuple[Array, Array, Array]:
    """g and alpha (s, 1, d), and log(w + e) (s, k, d)."""
    d = weights.shape[1]
    g, alpha = np.exp(theta[:, None, 2 : d + 2]), np.exp(theta[:, None, d + 2 :])
    return g, alpha, np.log(weights + np.exp(theta[:, 1, None, None]))


def _values(weights: Array, theta: Array) -> Array:
    """f (s, k) of theta (s, 2d + 2)."""
    g, alpha, log_q = _parts(weights, theta)
    return theta[:, :1] + (g / alpha * np.expm1(-alpha * log_q)).sum(axis=2)


def _slopes(weights: Array, theta: Array) -> Array:
    """d f / d theta, (s, k, 2d + 2)."""
    d = weights.shape[1]
    g, alpha, log_q = _parts(weights, theta)
    power = np.exp(-alpha * log_q)
    out = np.empty((len(theta), len(weights), theta.shape[1]))
    out[:, :, 0] = 1.0
    out[:, :, 1] = -(g * power / np.exp(log_q)).sum(axis=2) * np.exp(theta[:, 1:2])
    term = out[:, :, 2 : d + 2]
    np.multiply(g / alpha, np.expm1(-alpha * log_q), out=term)
    out[:, :, d + 2 :] = -g * log_q * power - term
    return out


def _prior(d: int, width: float) -> tuple[Array, Array]:
    """log e ~ N(ln .01, 2^2); log g around its mean; log g ~ N(ln .1, 10^2); alpha about .3."""
    rows = np.zeros((3 * d + 1, 2 * d + 2))
    rows[0, 1] = 1 / 2.0
    rows[1 : d + 1, 2 : d + 2] = (np.eye(d) - 1 / d) / width
    rows[d + 1 : 2 * d + 1, 2 : d + 2] = np.eye(d) / 10.0
    rows[2 * d + 1 :, d + 2 :] = np.eye(d) / 0.5
    targets = [np.zeros(d), np.full(d, np.log(0.1) / 10.0), np.full(d, np.log(0.3) / 0.5)]
    return rows, np.concatenate([[np.log(0.01) / 2.0], *targets])


def _starts(d: int, count: int, seed: int) -> Array:
    """Near-logarithms (count, 2d + 2) with e from .003 to .1."""
    rng = np.random.default_rng(seed)
    g = np.log(0.3) + 0.5 * rng.standard_normal((count, d))
    e = np.linspace(np.log(0.003), np.log(0.1), count)
    return np.column_stack([np.full(count, -1.0), e, g, np.full((count, d), np.log(0.3))])
