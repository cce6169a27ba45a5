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
from numpy.typing import NDArray

from mixopt.laws.base import Array, Info, Law, standardised
from mixopt.laws.correlation import shrunk_correlation, tied_normals
from mixopt.laws.misfit import misfit_draws, misfit_length

_FEW_PARAMETERS = 64


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
        z, self.centre_, self.spread_ = self._units(losses)
        fits = self._fit_metrics(weights, z)
        self.length_ = misfit_length(weights)
        self._learn(z, fits)

    def _units(self, losses: Array) -> tuple[Array, Array, Array]:
        """Metrics (n, m) in the units of the fit, and the centre and spread (m,) that give them."""
        return standardised(losses)

    def _fit_metrics(self, weights: Array, z: Array) -> list[MetricFit]:
        """Learn every metric of z (n, m), each from the runs that measured it."""
        used = [np.isfinite(column) for column in z.T]
        return [self._fit_metric(weights[rows], z[rows, i]) for i, rows in enumerate(used)]

    def refitted(self, losses: Array) -> Self:
        """The law of the same runs with other losses (n, m), hyper-parameters and units kept."""
        self._require_fit()
        return self._warm(self.train_weights_, losses)

    def on(self, rows: NDArray[np.int64]) -> Self:
        """The law of some of its runs (n,), hyper-parameters and units kept."""
        self._require_fit()
        return self._warm(self.train_weights_[rows], self.train_losses_[rows])

    def _warm(self, weights: Array, losses: Array) -> Self:
        """The law of other runs, from where this one ended; a metric without any stays."""
        assert is_dataclass(self)
        law = replace(self).restore(self.state())
        law.train_weights_, law.train_losses_ = weights.copy(), losses.copy()
        z = self._standard(losses)
        fits = []
        for i, kept in enumerate(self._metric_fits()):
            rows = np.isfinite(z[:, i])
            fits.append(self._refit_metric(weights[rows], z[rows, i], kept) if rows.any() else kept)
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
            leverage = leverage_of(slopes, fit.curvature)
            left[rows, i] = residual / np.maximum(1.0 - leverage, 0.05)
        return left

    def _standard(self, losses: Array) -> Array:
        """Losses (n, m) in the units of the fit; zero for a metric that did not vary."""
        spread = np.where(self.spread_ > 0, self.spread_, np.inf)
        return (losses - self.centre_) / spread

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        values = [self._values(weights, theta) for theta in self.theta_]
        return self.centre_ + self.spread_ * np.stack(values, axis=1) * (self.spread_ > 0)

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        lack = self.sigma_ * self.spread_
        return self._mean(weights, scales), np.hypot(self.curve_sd(weights), lack)

    def curve_sd(self, weights: Array) -> Array:
        """sd (k, m) of the curve at `weights` (k, d) if the law were true: no lack of fit."""
        sds = []
        for fit in self._metric_fits():
            slopes = self._jacobian(weights, fit.theta)
            leverage = leverage_of(slopes, fit.curvature)
            sds.append(fit.sigma * np.sqrt(leverage))
        return np.stack(sds, axis=1) * self.spread_

    def run_sd(self, weights: Array, scales: Array | None = None) -> Array:
        """sd (k, m) of what a new run would measure: that of the mean holds its noise already."""
        return self.predict(weights, scales, return_std=True)[1]

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws of the noise-free mean, (draws, k, m).

        A draw is a function of the mixture that depends on `rng` alone: other rows asked with the
        same seed come from the same functions.
        """
        rows = self._checked(weights)
        out = self.curve_draws(rows, draws, rng, scales)
        return out + self.noise_ * misfit_draws(rows, self.length_, draws, self.correlation_, rng)

    def curve_draws(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws (draws, k, m) of the curve if the law were true: no lack of fit."""
        n, m = self.train_losses_.shape
        noise = self._noise_draw((draws, n, m), rng)
        prior = tied_normals((draws, self.penalty_.shape[1], m), self.correlation_, rng)
        out = self._mean(weights, scales) + np.zeros((draws, 1, 1))
        for i, fit in enumerate(self._metric_fits()):
            used = np.isfinite(self.train_losses_[:, i])
            slopes = self._jacobian(self.train_weights_[used], fit.theta)
            pushed = noise[:, used, i] @ slopes + prior[:, :, i] @ fit.penalty
            moved = pushed @ fit.curvature @ self._jacobian(weights, fit.theta).T
            out[:, :, i] += self.noise_[i] * moved
        return out

    def _noise_draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return tied_normals(shape, self.correlation_, rng)


def leverage_of(slopes: Array, curvature: Array) -> Array:
    """diag(J H^-1 J') (k,) of slopes J (k, p) and H^-1 (p, p)."""
    if slopes.shape[1] > _FEW_PARAMETERS:  # as a product of matrices, many times as fast
        return np.einsum("kp,kp->k", slopes @ curvature, slopes)
    return np.einsum("kp,pq,kq->k", slopes, curvature, slopes)


def inverse_hessian(slopes: Array, penalty: Array) -> Array:
    """(J'J + B'B)^-1 of slopes J (n, p) and penalty rows B."""
    hessian = slopes.T @ slopes + penalty.T @ penalty
    return np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def left_out_sd(residual: Array, leverage: Array) -> float:
    """sqrt(mean(e_i^2 / (1 - h_i))), as e_i has the variance s^2 (1 - h_i).

    Where a few runs hold the fit, more than `residual_sd`, which shares the freedom out equally;
    the same as matching left-out residuals to the variance that is claimed for them.
    """
    return float(np.sqrt(np.mean(residual**2 / np.maximum(1.0 - leverage, 1e-8))))


def residual_sd(slopes: Array, residual: Array, curvature: Array) -> float:
    """sqrt(RSS / (n - tr hat)), the freedom at least a quarter of the runs."""
    n = len(residual)
    spent = float(np.sum((slopes @ curvature) * slopes))
    return float(np.sqrt(residual @ residual / max(n - spent, n / 4)))
