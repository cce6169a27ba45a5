"""AutoScale: L(w, N) = l + A sum_j (N w_j + N0_j)^-gamma_j with A, N0, gamma > 0, N tokens in all.

AutoScale (Kang et al., arXiv:2407.20177) fits one such curve to each domain; Olmix
(arXiv:2602.12237) fits their sum to any metric, as this file does. Both have A = 1 in the units of
the loss and of a token; here A is fitted and N is in units of the swarm's median tokens, so that
neither unit matters. Where tokens are not known N is 1. N0_j is what a metric knows of domain j
without its text. The law is convex and falls in every share.

The sum is written l' + sum_j A ((N w_j + N0_j)^-gamma_j - 1) in g_j = A gamma_j, which the runs
fix better than either: a high A with low gamma is a logarithm.

`extrapolated` carries the best amounts at two sizes on to larger ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import DataError
from mixopt.laws.base import Array, Info, in_blocks
from mixopt.laws.levenberg import Curve, fit_curve, refit_curve
from mixopt.laws.linearised import Linearised, MetricFit

_LEAST_GROWTH = 0.2
"""AutoScale's floor: a domain keeps at least this share of its tokens from a size to the next."""
_BLOCK = 4096
"""Rows whose powers are held at once."""


@dataclass
class AutoScale(Linearised):
    """theta = (l', log A, log g_1..g_d, log N0_1..N0_d) of the standardised metric.

    What the curve is read at are amounts: shares times tokens over the median tokens of the runs.
    `fit` keeps the runs as amounts (`train_weights_`) and predicts at the median unless told.
    """

    convex = True

    delta: float = 0.5
    """Where Huber's loss turns from squares to lines, in sd of a metric over the swarm."""
    width: float = 2.0
    """sd of log g around its mean."""
    starts: int = 4
    seed: int = 0
    """Of the starting points."""

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        tokens = np.full(1, np.nan) if info.scales is None else info.scales[:, 2]
        self.tokens_ = float(np.median(tokens)) if np.isfinite(tokens).all() else 0.0
        scales = info.scales if self.tokens_ > 0 else None
        self.train_weights_, self.train_scales_ = self._amounts(weights, scales), None
        super()._fit(self.train_weights_, losses, info)

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        starts = _starts(weights.shape[1], self.starts, self.seed)
        return fit_curve(_curve, weights, z, starts, (self.width,), self.delta)

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        return refit_curve(_curve(weights, self.width), z, kept, self.delta)

    def _values(self, weights: Array, theta: Array) -> Array:
        return in_blocks(lambda rows: _values(rows, theta[None])[0], weights, _BLOCK)

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return _slopes(weights, theta[None])[0]

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        return super()._mean(self._amounts(weights, scales), None)

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        return super()._predict(self._amounts(weights, scales), None)

    def curve_draws(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws (draws, k, m) of the curve if the law were true: no lack of fit."""
        return super().curve_draws(self._amounts(weights, scales), draws, rng)

    def gradient(self, weights: Array) -> Array:
        """d L / d w at the median tokens, (k, m, d)."""
        rows = self._checked(weights)
        slopes = []
        for theta in self.theta_:
            _, g, q, log_power = (part[0] for part in _parts(rows, theta[None]))
            slopes.append(-g * np.exp(log_power) / q)
        return np.stack(slopes, axis=1) * self.spread_[:, None]

    def _amounts(self, weights: Array, scales: Array | None) -> Array:
        """Shares (k, d) times tokens, `scales` (k, 3) or (3,), over the median; (k, d)."""
        if scales is None:
            return weights
        tokens = np.atleast_2d(np.asarray(scales, dtype=np.float64))[:, 2:]
        if self.tokens_ == 0 or not (np.isfinite(tokens) & (tokens > 0)).all():
            raise DataError(
                "autoscale: expected training tokens above 0 of the runs that it was fitted to and "
                "of the mixtures to predict, got runs or mixtures without: leave scales out"
            )
        return weights * (tokens / self.tokens_)


def extrapolated(smaller: ArrayLike, larger: ArrayLike, times: int = 1) -> Array:
    """Best amounts (d,) at a still larger size, by N3_j = N2_j^2 / N1_j, `times` times over.

    `smaller` and `larger` (d,) are the best tokens of each domain at two sizes. Between them the
    multiplier mu of the total, not the total, grows by a constant factor: exact for separable power
    laws sum_j a_j N_j^-g_j (N0 = 0), an extrapolation for any other. A domain shrinks to .2 of its
    tokens at most. Shares are the amounts over their sum. Raises DataError for amounts below zero,
    and for a domain with tokens at the larger size only.

    >>> extrapolated([100.0, 50.0], [1000.0, 200.0]).tolist()
    [10000.0, 800.0]
    """
    first, second = (np.asarray(part, dtype=np.float64) for part in (smaller, larger))
    if first.shape != second.shape or (first < 0).any() or (second < 0).any():
        raise DataError(
            "expected the tokens of each domain at two sizes, none below 0, "
            f"got {first.tolist()} and {second.tolist()}"
        )
    if ((first == 0) & (second > 0)).any():
        raise DataError(
            "a domain has tokens at the larger size and none at the smaller, so it has no growth: "
            "give it tokens at both"
        )
    growth = np.divide(second, first, out=np.ones_like(first), where=first > 0)
    return second * np.maximum(growth, _LEAST_GROWTH) ** times


def _curve(weights: Array, width: float) -> Curve:
    """The curve at amounts (n, d)."""
    d = weights.shape[1]
    rows, targets = _prior(d, width)
    return Curve(
        values=lambda theta: _values(weights, theta),
        slopes=lambda theta: _slopes(weights, theta),
        rows=rows,
        targets=targets,
        lower=np.concatenate([[-np.inf, -2.0], np.full(d, -16.0), np.full(d, np.log(1e-6))]),
        upper=np.concatenate([[np.inf, 6.0], np.full(d, 5.0), np.full(d, 3.0)]),
    )


def _parts(weights: Array, theta: Array) -> tuple[Array, Array, Array, Array]:
    """A (s, 1, 1), g (s, 1, d), q = N w + N0 and log q^-gamma, below 200, (s, k, d)."""
    d = weights.shape[1]
    height, g = np.exp(theta[:, 1, None, None]), np.exp(theta[:, None, 2 : d + 2])
    q = weights + np.exp(theta[:, None, d + 2 :])
    return height, g, q, np.minimum(-g / height * np.log(q), 200.0)


def _values(weights: Array, theta: Array) -> Array:
    """f (s, k) of theta (s, 2d + 2)."""
    height, _, _, log_power = _parts(weights, theta)
    return theta[:, :1] + (height * np.expm1(log_power)).sum(axis=2)


def _slopes(weights: Array, theta: Array) -> Array:
    """d f / d theta, (s, k, 2d + 2)."""
    d = weights.shape[1]
    height, g, q, log_power = _parts(weights, theta)
    power = np.exp(log_power)
    out = np.empty((len(theta), len(weights), theta.shape[1]))
    out[:, :, 0] = 1.0
    by_g = out[:, :, 2 : d + 2]
    np.multiply(height * log_power, power, out=by_g)
    out[:, :, 1] = (height * np.expm1(log_power) - by_g).sum(axis=2)
    out[:, :, d + 2 :] = -g * power / q * np.exp(theta[:, None, d + 2 :])
    return out


def _prior(d: int, width: float) -> tuple[Array, Array]:
    """log A ~ N(0, 2^2); log g around its mean; log g ~ N(ln .1, 10^2); log N0 ~ N(ln .1, 2^2)."""
    rows = np.zeros((3 * d + 1, 2 * d + 2))
    rows[0, 1] = 1 / 2.0
    rows[1 : d + 1, 2 : d + 2] = (np.eye(d) - 1 / d) / width
    rows[d + 1 : 2 * d + 1, 2 : d + 2] = np.eye(d) / 10.0
    rows[2 * d + 1 :, d + 2 :] = np.eye(d) / 2.0
    targets = [np.zeros(d + 1), np.full(d, np.log(0.1) / 10.0), np.full(d, np.log(0.1) / 2.0)]
    return rows, np.concatenate(targets)


def _starts(d: int, count: int, seed: int) -> Array:
    """Starts (count, 2d + 2) from steep powers to near-logarithms."""
    g = np.log(0.3) + 0.5 * np.random.default_rng(seed).standard_normal((count, d))
    height, least = np.linspace(np.log(0.5), np.log(10.0), count), np.full((count, d), np.log(0.1))
    return np.column_stack([np.full(count, -1.0), height, g, least])
