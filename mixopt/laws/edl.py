"""EDL, the effective-data law: L(w) = c + (d + sum_j a_j w_j^p)^(-b), a, b, d > 0, 0 < p <= 1.

Each domain is worth a_j of a metric's own data, with diminishing returns p. For p <= 1 the law is
convex and falls in every share: it cannot show a domain that harms, a threshold or over-repetition.

theta = (c, log d, log b, log a_1..log a_d, log p) of the standardised metric, fitted by penalised
least squares whose noise level is re-estimated. Parameters are not identified: read predictions.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from mixopt.laws.base import Array
from mixopt.laws.linearised import Linearised, MetricFit, inverse_hessian, residual_sd

_SMALLEST = 1e-6
"""Added to each share: the slope of w^p at zero is infinite."""
_SIGMA_START = 0.1
_SIGMA_LEAST = 0.02
_NFEV_FIRST = 60
_NFEV_AGAIN = 40
_NFEV_WARM = 10
_AGAIN = 2
"""Rounds in which the noise found last is the next fit's."""


@dataclass
class EDL(Linearised):
    """The effective-data law; `start` draws the first log a_j.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 24)
    >>> losses = 2 + (0.1 + weights @ [[3.0], [1.0], [0.2]]) ** -0.5
    >>> law = EDL().fit(weights, losses)
    >>> bool(np.abs(law.predict(weights) - losses).max() < 0.05 * losses.std())
    True
    """

    convex = True

    start: int = 0
    """Seed of the starting point."""
    most_runs: int = 2000
    """Of more runs a metric is learned from a random part of so many."""

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        weights, z = self._part(weights, z)
        log_q = _log_shares(weights)
        fit = _solve(log_q, z, _start(weights.shape[1], self.start), _SIGMA_START, _NFEV_FIRST)
        for _ in range(_AGAIN):
            fit = _solve(log_q, z, fit.theta, fit.sigma, _NFEV_AGAIN)
        return fit

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        weights, z = self._part(weights, z)
        fit = _solve(_log_shares(weights), z, kept.theta, kept.sigma, _NFEV_WARM)
        return fit._replace(sigma=kept.sigma)

    def _part(self, weights: Array, z: Array) -> tuple[Array, Array]:
        if len(z) <= self.most_runs:
            return weights, z
        rows = np.random.default_rng(0).permutation(len(z))[: self.most_runs]
        return weights[rows], z[rows]

    def notes(self) -> tuple[str, ...]:
        """Says when only a part of the runs taught the law."""
        measured = int(np.isfinite(self.train_losses_).sum(axis=0).max())
        if measured <= self.most_runs:
            return ()
        return (f"edl: learned from {self.most_runs} of {measured} runs",)

    def _values(self, weights: Array, theta: Array) -> Array:
        return _curve(_log_shares(weights), theta)

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return _slopes(_log_shares(weights), theta)

    def gradient(self, weights: Array) -> Array:
        """d L / d w through the renormalisation of w, (k, m, d)."""
        rows = self._checked(weights)
        slopes = [_share_slopes(rows, theta) for theta in self.theta_]
        return np.stack(slopes, axis=1) * self.spread_[:, None]


def _log_shares(weights: Array) -> Array:
    """log q, q = w / sum(w) + 1e-6."""
    return np.log(weights / weights.sum(axis=1, keepdims=True) + _SMALLEST)


def _curve(log_q: Array, theta: Array) -> Array:
    """f of log shares (k, d) and theta (d + 4,)."""
    data = np.exp(theta[3:-1] + np.exp(theta[-1]) * log_q).sum(axis=1)
    return theta[0] + (np.exp(theta[1]) + data) ** -np.exp(theta[2])


def _slopes(log_q: Array, theta: Array) -> Array:
    """d f / d theta, (k, d + 4)."""
    p, b = np.exp(theta[-1]), np.exp(theta[2])
    data = np.exp(theta[3:-1] + p * log_q)
    total = np.exp(theta[1]) + data.sum(axis=1)
    loss = total**-b
    out = np.empty((len(log_q), len(theta)))
    out[:, 0] = 1.0
    out[:, 1] = -b * loss / total * np.exp(theta[1])
    out[:, 2] = -b * np.log(total) * loss
    out[:, 3:-1] = (-b * loss / total)[:, None] * data
    out[:, -1] = p * (out[:, 3:-1] * log_q).sum(axis=1)
    return out


def _share_slopes(weights: Array, theta: Array) -> Array:
    """d f / d w of rows (k, d) that are renormalised first, (k, d)."""
    log_q, p, b = _log_shares(weights), np.exp(theta[-1]), np.exp(theta[2])
    data = np.exp(theta[3:-1] + p * log_q)
    total = np.exp(theta[1]) + data.sum(axis=1, keepdims=True)
    slope = -b * total ** (-b - 1) * p * data / np.exp(log_q)
    size = weights.sum(axis=1, keepdims=True)
    return (slope - (slope * weights / size).sum(axis=1, keepdims=True)) / size


def _start(d: int, seed: int) -> Array:
    log_a = -3.0 + 0.3 * np.random.default_rng(seed).standard_normal(d)
    return np.concatenate([[-3.0, np.log(0.1), np.log(0.5)], log_a, [-0.35]])


def _bounds(d: int) -> tuple[Array, Array]:
    """log d in [-12, 4], log b in [-5, 2], log a in [-16, 8], log p in [-2.5, 0]."""
    lower = np.concatenate([[-np.inf, -12.0, -5.0], np.full(d, -16.0), [-2.5]])
    upper = np.concatenate([[np.inf, 4.0, 2.0], np.full(d, 8.0), [0.0]])
    return lower, upper


def _prior(d: int) -> tuple[Array, Array]:
    """Rows (2d + 4, d + 4) and targets: each `row . theta - target` is about N(0, 1)."""
    scalars = np.zeros((4, d + 4))
    scalars[[0, 1, 2, 3], [0, 1, 2, d + 3]] = [1 / 3, 1 / 2, 1.0, 1 / 0.4]
    around_mean = np.zeros((d, d + 4))
    around_mean[:, 3:-1] = (np.eye(d) - 1 / d) / 2
    around_typical = np.eye(d, d + 4, k=3) / 10
    targets = [[-3 / 3, -3 / 2, -0.7, -0.4 / 0.4], np.zeros(d), np.full(d, -2 / 10)]
    return np.vstack([scalars, around_mean, around_typical]), np.concatenate(targets)


def _solve(log_q: Array, z: Array, theta: Array, sigma: float, nfev: int) -> MetricFit:
    """Penalised least squares from `theta` at noise `sigma`, then the noise it leaves."""
    d = log_q.shape[1]
    rows, targets = _prior(d)
    lower, upper = _bounds(d)
    result = least_squares(
        lambda t: np.concatenate([_curve(log_q, t) - z, sigma * (rows @ t - targets)]),
        np.clip(theta, lower, upper),
        jac=lambda t: np.vstack([_slopes(log_q, t), sigma * rows]),
        bounds=(lower, upper),
        method="trf",
        ftol=1e-6,
        xtol=1e-6,
        max_nfev=nfev,
    )
    slopes = _slopes(log_q, result.x)
    curvature = inverse_hessian(slopes, sigma * rows)
    residual = z - _curve(log_q, result.x)
    left = max(residual_sd(slopes, residual, curvature), _SIGMA_LEAST)
    return MetricFit(result.x, left, left * rows, inverse_hessian(slopes, left * rows))
