"""Laws smooth in a few parameters a metric: Gaussian posterior by linearisation, joint draws.

For each standardised metric f(w; theta) with residual sd s, slopes J (n, p) and penalty rows B:
    H = J'J + B'B,   theta ~ N(theta_hat, s^2 H^-1),   var f(w) = s^2 (j(w) H^-1 j(w)' + 1)
The 1 is lack of fit: what the residuals hold may be noise or the law's own error, and an interval
that leaves it out covers half of what it claims. In draws it is a Matern-5/2 process over sqrt(w),
so that near mixtures share it. It counts the residuals once: without replicates an interval for a
new run is the mean's own, noise is not added again. Metrics are tied by the correlation of their
leave-one-out residuals (by the hat matrix, an approximation for a curve that bends).
"""

from abc import abstractmethod
from dataclasses import is_dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.spatial.distance import pdist

from mixopt.laws.base import Array, Info, Law, standardised

_FREQUENCIES = 256
"""Of the random-feature form of the Matern process: its covariances are good to about .06."""
_LENGTH_ROWS = 512
"""Runs whose pairwise distances set its length scale."""


class MetricFit(NamedTuple):
    """What one standardised metric taught."""

    theta: Array
    """(p,)"""
    sigma: float
    """Residual sd."""
    penalty: Array
    """(rows, p) B: penalty rows in units of the residuals."""
    curvature: Array
    """(p, p) H^-1."""


class Linearised(Law):
    """Subclasses write the curve, its slopes by theta and the fit of one standardised metric."""

    @abstractmethod
    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        """Learn one metric from weights (n, d) and its standardised values (n,)."""

    @abstractmethod
    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        """The same from new values, hyper-parameters kept, starting where `kept` ended."""

    @abstractmethod
    def _values(self, weights: Array, theta: Array) -> Array:
        """f (k,) of the standardised metric."""

    @abstractmethod
    def _jacobian(self, weights: Array, theta: Array) -> Array:
        """d f / d theta, (k, p)."""

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        z, self.centre_, self.spread_ = standardised(losses)
        used = [np.isfinite(column) for column in z.T]
        fits = [self._fit_metric(weights[rows], z[rows, i]) for i, rows in enumerate(used)]
        self.length_ = _length(weights)
        self._learn(z, fits)

    def refitted(self, losses: Array) -> Self:
        """The law of the same runs with other losses (n, m), hyper-parameters and units kept."""
        self._require_fit()
        assert is_dataclass(self)
        law = replace(self).restore(self.state())
        law.train_losses_ = losses.copy()
        z = np.where(np.isnan(losses), np.nan, 0.0)
        varying = self.spread_ > 0
        z[:, varying] = (losses - self.centre_)[:, varying] / self.spread_[varying]
        fits = []
        for i, kept in enumerate(self._metric_fits()):
            rows = np.isfinite(z[:, i])
            fits.append(self._refit_metric(self.train_weights_[rows], z[rows, i], kept))
        law._learn(z, fits)
        return law

    def _learn(self, z: Array, fits: list[MetricFit]) -> None:
        """Keep the fits as arrays over metrics, and tie the metrics by leave-one-out residuals."""
        self.theta_ = np.stack([fit.theta for fit in fits])
        self.sigma_ = np.array([fit.sigma for fit in fits])
        self.penalty_ = np.stack([fit.penalty for fit in fits])
        self.curvature_ = np.stack([fit.curvature for fit in fits])
        self.noise_ = self.sigma_ * self.spread_
        self.correlation_ = shrunk_correlation(self._left_out(z))

    def _metric_fits(self) -> list[MetricFit]:
        arrays = (self.theta_, self.sigma_.tolist(), self.penalty_, self.curvature_)
        return [MetricFit(*parts) for parts in zip(*arrays)]

    def _left_out(self, z: Array) -> Array:
        """Leave-one-out residuals (n, m) by the hat matrix of the linearised fit."""
        left = np.full(z.shape, np.nan)
        for i, fit in enumerate(self._metric_fits()):
            rows = np.isfinite(z[:, i])
            slopes = self._jacobian(self.train_weights_[rows], fit.theta)
            residual = z[rows, i] - self._values(self.train_weights_[rows], fit.theta)
            leverage = np.einsum("np,pq,nq->n", slopes, fit.curvature, slopes)
            left[rows, i] = residual / np.maximum(1.0 - leverage, 0.05)
        return left

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        values = [self._values(weights, theta) for theta in self.theta_]
        return self.centre_ + self.spread_ * np.stack(values, axis=1) * (self.spread_ > 0)

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        sds = []
        for fit in self._metric_fits():
            slopes = self._jacobian(weights, fit.theta)
            leverage = np.einsum("kp,pq,kq->k", slopes, fit.curvature, slopes)
            sds.append(fit.sigma * np.sqrt(leverage + 1.0))
        return self._mean(weights, scales), np.stack(sds, axis=1) * self.spread_

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws of the noise-free mean, (draws, k, m).

        A draw is a function of the mixture that depends on `rng` alone: other rows asked with the
        same seed come from the same functions.
        """
        rows = self._checked(weights)
        n, m = self.train_losses_.shape
        root = np.asarray(np.linalg.cholesky(self.correlation_).T, dtype=np.float64)
        noise = self._noise_draw((draws, n, m), rng)
        prior = rng.standard_normal((draws, self.penalty_.shape[1], m)) @ root
        misfit = _matern_draws(rows, self.length_, draws, root, rng)
        out = self._mean(rows, scales) + np.zeros((draws, 1, 1))
        for i, fit in enumerate(self._metric_fits()):
            used = np.isfinite(self.train_losses_[:, i])
            slopes = self._jacobian(self.train_weights_[used], fit.theta)
            pushed = noise[:, used, i] @ slopes + prior[:, :, i] @ fit.penalty
            moved = pushed @ fit.curvature @ self._jacobian(rows, fit.theta).T
            out[:, :, i] += self.noise_[i] * (moved + misfit[:, :, i])
        return out

    def _noise_draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Standard normal noise whose metrics are tied as the residuals are."""
        return rng.standard_normal(shape) @ np.linalg.cholesky(self.correlation_).T


def inverse_hessian(slopes: Array, penalty: Array) -> Array:
    """(J'J + B'B)^-1 of slopes J (n, p) and penalty rows B."""
    hessian = slopes.T @ slopes + penalty.T @ penalty
    return np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def residual_sd(slopes: Array, residual: Array, curvature: Array) -> float:
    """sqrt(RSS / (n - tr hat)), the freedom at least a quarter of the runs."""
    n = len(residual)
    spent = float(np.sum((slopes @ curvature) * slopes))
    return float(np.sqrt(residual @ residual / max(n - spent, n / 4)))


def shrunk_correlation(residuals: Array) -> Array:
    """Correlation (m, m) of residuals (n, m), shrunk to the identity by max(.1, m / (m + n)).

    NaN residuals are left out; a metric without any variation is tied to no other.
    """
    n, m = residuals.shape
    centred = np.where(np.isnan(residuals), 0.0, residuals)
    length = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(length > 0, length, 1.0)
    share = max(0.1, m / (m + n))
    correlation = (1.0 - share) * (unit.T @ unit)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _length(weights: Array) -> float:
    """Half the median distance between runs in sqrt(w)."""
    rows = np.sqrt(np.maximum(weights, 0.0))[:: max(1, len(weights) // _LENGTH_ROWS)]
    distances = pdist(rows)
    positive = distances[distances > 0]
    return 0.5 * float(np.median(positive)) if len(positive) else 1.0


def _matern_draws(
    rows: Array, length: float, draws: int, root: Array, rng: np.random.Generator
) -> Array:
    """Matern-5/2 processes over sqrt(w) of unit variance, (draws, k, m), metrics tied by `root`.

    Random Fourier features (Rahimi and Recht 2007); the spectral density is a t with 5 degrees.
    """
    normal = rng.standard_normal((rows.shape[1], _FREQUENCIES))
    heavy = np.sqrt(5.0 / rng.chisquare(5.0, _FREQUENCIES))
    gains = rng.standard_normal((draws, 2 * _FREQUENCIES, len(root))) @ root
    phase = np.sqrt(np.maximum(rows, 0.0)) @ (normal * heavy / length)
    waves = np.hstack([np.cos(phase), np.sin(phase)]) / np.sqrt(_FREQUENCIES)
    return np.matmul(waves, gains)
