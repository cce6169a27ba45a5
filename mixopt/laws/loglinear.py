"""Log-linear law: L(w) = c + exp(b + a . w), for each metric alone.

The exponential law of Data Mixing Laws (Ye et al., arXiv:2403.16952) and Olmix (arXiv:2602.12237),
fitted to standardised metrics with Huber's loss from several starts. On the simplex a constant
added to all of a is one taken off b; here a sums to zero, since the law reads w less its mean.
It departs from both papers by a Gaussian prior on a, whose width is chosen by leaving mixtures
out, so that it is defined for fewer runs than domains. `loglinear_olmix` keeps Olmix's settings.

The law is convex and its slopes have one sign each: a domain helps a metric everywhere or nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixopt.laws.base import Array
from mixopt.laws.levenberg import Curve, fit_curve, refit_curve
from mixopt.laws.linearised import Linearised, MetricFit


@dataclass
class LogLinear(Linearised):
    """theta = (c, b, a_1..a_d) of the standardised metric.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 12)
    >>> losses = 2.0 + np.exp(weights @ [[-2.0], [-0.5], [0.3]])
    >>> law = LogLinear().fit(weights, losses)
    >>> bool(np.abs(law.predict(weights) - losses).max() < 1e-4)
    True
    """

    convex = True

    delta: float = 0.5
    """Where Huber's loss turns from squares to lines, in sd of a metric over the swarm."""
    widths: Sequence[float] = (1.0, 4.0, 16.0, 64.0)
    """sd of the prior on a, tried in turn."""
    starts: int = 8
    seed: int = 0
    """Of the starting points."""

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        starts = _starts(weights.shape[1], self.starts, self.seed)
        return _gauged(fit_curve(_curve, weights, z, starts, self.widths, self.delta))

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        return _gauged(refit_curve(_curve(weights, 1.0), z, kept, self.delta))

    def _values(self, weights: Array, theta: Array) -> Array:
        return _values(_centred(weights), theta[None])[0]

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return _slopes(_centred(weights), theta[None])[0]

    def gradient(self, weights: Array) -> Array:
        """d L / d w along the simplex, (k, m, d)."""
        rows = self._checked(weights)
        steep = np.stack([self._values(rows, theta) - theta[0] for theta in self.theta_], axis=1)
        return (steep * self.spread_)[:, :, None] * self.theta_[:, 2:]


def _curve(weights: Array, width: float) -> Curve:
    """The curve at weights (n, d); b ~ N(ln 2, 2^2) keeps a straight line's c from running off."""
    shares, d = _centred(weights), weights.shape[1]
    rows = np.eye(d + 1, d + 2, k=1)
    rows[0] /= 2.0
    rows[1:] /= width
    return Curve(
        values=lambda theta: _values(shares, theta),
        slopes=lambda theta: _slopes(shares, theta),
        rows=rows,
        targets=np.concatenate([[np.log(2.0) / 2.0], np.zeros(d)]),
        lower=np.concatenate([[-np.inf, -10.0], np.full(d, -100.0)]),
        upper=np.concatenate([[np.inf, 10.0], np.full(d, 100.0)]),
    )


def _gauged(fit: MetricFit) -> MetricFit:
    """The same curve with a that sums to zero: the prior alone would only draw it there."""
    theta = fit.theta.copy()
    theta[2:] -= theta[2:].mean()
    return fit._replace(theta=theta)


def _centred(weights: Array) -> Array:
    """Shares (k, d) less the mean of each row: what is left when a sums to zero."""
    return weights - weights.mean(axis=1, keepdims=True)


def _values(shares: Array, theta: Array) -> Array:
    """f (s, k) of theta (s, d + 2)."""
    return theta[:, :1] + np.exp(theta[:, 1:2] + theta[:, 2:] @ shares.T)


def _slopes(shares: Array, theta: Array) -> Array:
    """d f / d theta, (s, k, d + 2)."""
    steep = np.exp(theta[:, 1:2] + theta[:, 2:] @ shares.T)
    out = np.empty((*steep.shape, theta.shape[1]))
    out[:, :, 0] = 1.0
    out[:, :, 1] = steep
    np.multiply(steep[:, :, None], shares, out=out[:, :, 2:])
    return out


def _starts(d: int, count: int, seed: int) -> Array:
    """Exponentials (count, d + 2) from flat to steep, about zero at equal shares."""
    b = np.linspace(-1.0, 2.0, count)
    a = np.random.default_rng(seed).standard_normal((count, d))
    return np.column_stack([-np.exp(b), b, a])
