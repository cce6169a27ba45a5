"""Laws of separable terms and products of two shares, linear in their parameters, fitted by ridge:

    f(w) = c + main(w) . b + bent(w) . q + sum_{i<j} t_ij w_i w_j
    minimised:  |f - z|^2 + s (|b|^2 + r |q|^2 + r |t|^2)

Strength s and ratio r are those that predict left-out mixtures best, in closed form. Beyond 512
products the t_ij are those that the products of 512 runs span: the whole answer of the ridge when
there are no more mixtures than that, a subset of regressors (Nystrom) otherwise.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from mixopt.laws.base import Array, Info, in_blocks, mixture_groups
from mixopt.laws.levenberg import every
from mixopt.laws.linearised import Linearised, MetricFit, left_out_sd, leverage_of

_MOST_PRODUCTS = 512
_LANDMARKS = 512
_STRENGTHS = np.logspace(-10, 3, 27)
_CHUNK = 8192


class Interactions(Linearised):
    """theta = (c, b, q, t) of the standardised metric."""

    ratios: Sequence[float]
    """Strengths of the ridge on q and t, by that on b."""

    @abstractmethod
    def _main(self, weights: Array) -> Array:
        """Separable terms (k, a) under the ridge's own strength."""

    def _bent(self, weights: Array) -> Array:
        """Further separable terms (k, b), under the strength of the products."""
        return np.empty((len(weights), 0))

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.landmarks_, self.whitening_ = _landmarks(weights)
        super()._fit(weights, losses, info)

    def _fit_metrics(self, weights: Array, z: Array) -> list[MetricFit]:
        """All metrics; those measured by the same runs share their decompositions."""
        fits: dict[int, MetricFit] = {}
        patterns, which = np.unique(np.isfinite(z), axis=1, return_inverse=True)
        for pattern, rows in enumerate(patterns.T):
            design, few = self._design(weights[rows]), every(int(rows.sum()))
            spectra = self._spectra(weights[rows][few], design[few])
            for i in np.flatnonzero(which.reshape(-1) == pattern).tolist():
                penalty = _best_penalty(spectra, z[rows, i][few])
                fits[i] = _solve(design, z[rows, i], penalty)
        return [fits[i] for i in range(z.shape[1])]

    def _fit_metric(self, weights: Array, z: Array) -> MetricFit:
        return self._fit_metrics(weights, z[:, None])[0]

    def _refit_metric(self, weights: Array, z: Array, kept: MetricFit) -> MetricFit:
        return _solve(self._design(weights), z, kept.penalty)._replace(sigma=kept.sigma)

    def _values(self, weights: Array, theta: Array) -> Array:
        return self._design(weights) @ theta

    def _jacobian(self, weights: Array, theta: Array) -> Array:
        return self._design(weights)

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        values = in_blocks(lambda rows: self._design(rows) @ self.theta_.T, weights, _CHUNK)
        return self.centre_ + self.spread_ * values

    def _design(self, weights: Array) -> Array:
        """(k, d) -> (k, 1 + a + b + products)."""
        shares = np.maximum(weights, 0.0)
        pairs = _products(shares, self.landmarks_, self.whitening_)
        return np.hstack([np.ones((len(shares), 1)), self._main(shares), self._bent(shares), pairs])

    def _spectra(self, weights: Array, design: Array) -> list["_Spectrum"]:
        """Decompositions of the runs on which strengths are chosen, one a ratio."""
        mains = self._main(weights[:1]).shape[1]
        relative = np.ones((len(self.ratios), design.shape[1] - 1))
        relative[:, mains:] = np.asarray(self.ratios)[:, None]
        groups = mixture_groups(weights)
        return [_Spectrum.of(design[:, 1:], groups, one) for one in relative]

    def notes(self) -> tuple[str, ...]:
        """Whether the products are those of a part of the runs only."""
        mixtures = int(mixture_groups(self.train_weights_).max()) + 1
        if not 0 < len(self.landmarks_) < mixtures:
            return ()
        spanned = f"{len(self.landmarks_)} of {mixtures} mixtures"
        return (f"the products of shares that the law can hold are spanned by {spanned}",)

    def products(self) -> Array:
        """t_ij of every metric in its units, (m, d, d), symmetric with a diagonal of zeros."""
        self._require_fit()
        d = self.train_weights_.shape[1]
        t = self.theta_[:, self.theta_.shape[1] - _count(d, self.whitening_) :]
        out = np.zeros((len(t), d, d))
        if len(self.landmarks_):
            by_run = t @ self.whitening_.T
            out = np.einsum(
                "mr,ri,rj->mij", by_run, self.landmarks_, self.landmarks_, optimize=True
            )
        else:
            i, j = np.triu_indices(d, 1)
            out[:, i, j] = out[:, j, i] = t
        return out * (1.0 - np.eye(d)) * self.spread_[:, None, None]


class _Spectrum(NamedTuple):
    """Means of the features by mixture, whitened by a ratio of strengths and decomposed."""

    left: Array
    """(g, r) left singular vectors."""
    size: Array
    """(r,) singular values."""
    counts: Array
    """(g,) runs of each mixture."""
    groups: NDArray[np.int64]
    """(n,) mixture of each run."""
    relative: Array
    """(p,) strength of each feature, by the one tried."""

    @classmethod
    def of(cls, features: Array, groups: NDArray[np.int64], relative: Array) -> "_Spectrum":
        """Of features (n, p) of runs of the given mixtures."""
        counts = np.bincount(groups).astype(np.float64)
        means = _means(features, groups, counts) / np.sqrt(relative)
        centred = means - counts @ means / counts.sum()
        left, size, _ = np.linalg.svd(np.sqrt(counts)[:, None] * centred, full_matrices=False)
        return cls(left, size, counts, groups, relative)

    @property
    def strengths(self) -> Array:
        """What is tried, in proportion to the runs."""
        return _STRENGTHS * len(self.groups)

    def errors(self, z: Array) -> Array:
        """Mean squared error (s,) of left-out mixtures, by e / (1 - h) of their weighted means."""
        n, root = self.counts.sum(), np.sqrt(self.counts)
        means = _means(z[:, None], self.groups, self.counts)[:, 0]
        y = root * (means - self.counts @ means / n)
        kept = self.size**2 / (self.size**2 + self.strengths[:, None])
        residual = y - (kept * (self.left.T @ y)) @ self.left.T
        freedom = 1.0 - self.counts / n - kept @ (self.left**2).T
        return np.sum((residual / np.maximum(freedom, 1e-9)) ** 2, axis=1) / n


def _best_penalty(spectra: list[_Spectrum], z: Array) -> Array:
    """Penalty rows (p, 1 + p) that predict left-out mixtures of z (n,) best; nothing for c."""
    errors = np.stack([spectrum.errors(z) for spectrum in spectra])
    ratio, strength = np.unravel_index(int(errors.argmin()), errors.shape)
    best = spectra[ratio]
    size = np.sqrt(best.strengths[strength] * best.relative)
    return np.hstack([np.zeros((len(size), 1)), np.diag(size)])


def _solve(design: Array, z: Array, penalty: Array) -> MetricFit:
    """Ridge by orthogonal factors, for penalty rows (p, 1 + p)."""
    factor = np.linalg.qr(np.vstack([design, penalty]), mode="r")
    inverse = solve_triangular(factor, np.eye(len(factor)))
    curvature = inverse @ inverse.T
    theta = np.zeros(design.shape[1])
    for _ in range(2):  # the second makes up for rounding in the first
        theta += curvature @ (design.T @ (z - design @ theta) - penalty.T @ (penalty @ theta))
    sigma = left_out_sd(z - design @ theta, leverage_of(design, curvature))
    return MetricFit(theta, sigma, penalty, curvature)


def _landmarks(weights: Array) -> tuple[Array, Array]:
    """Runs (r, d) that span the products, and what whitens their kernel (r, q); r = 0 for all."""
    d = weights.shape[1]
    if d * (d - 1) // 2 <= _MOST_PRODUCTS:
        return np.empty((0, d)), np.empty((0, 0))
    shares = np.maximum(np.unique(np.round(weights, 9), axis=0), 0.0)
    order = np.random.default_rng(0).permutation(len(shares))[:_LANDMARKS]
    rows = shares[np.sort(order)]
    size, turn = np.linalg.eigh(_kernel(rows, rows))
    kept = size > 1e-12 * size.max()
    return rows, turn[:, kept] / np.sqrt(size[kept])


def _products(shares: Array, landmarks: Array, whitening: Array) -> Array:
    """w_i w_j for i < j, (k, d (d - 1) / 2), or what the landmarks see of them, (k, q)."""
    if len(landmarks):
        return _kernel(shares, landmarks) @ whitening
    i, j = np.triu_indices(shares.shape[1], 1)
    return shares[:, i] * shares[:, j]


def _kernel(shares: Array, others: Array) -> Array:
    """sum_{i<j} w_i w_j v_i v_j of rows w (k, d) and v (r, d), (k, r)."""
    return 0.5 * ((shares @ others.T) ** 2 - shares**2 @ others.T**2)


def _count(d: int, whitening: Array) -> int:
    """Columns of `_products`."""
    return whitening.shape[1] if len(whitening) else d * (d - 1) // 2


def _means(values: Array, groups: NDArray[np.int64], counts: Array) -> Array:
    """Means (g, c) by group of values (n, c)."""
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, groups, values)
    return sums / counts[:, None]
