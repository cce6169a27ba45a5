"""GP: y = f(x) + e on x = sqrt(w), k = 1 + v x.x' + s Matern-5/2(ARD), a process a metric.

The square root makes equal steps of a share count most where it is scarce (Hellinger geometry).
Length scales by domain, the two variances and the noise maximise the exact marginal likelihood
times wide log-normal priors. Unlike EDL the process can show a domain that harms, a threshold or
over-repetition, where runs went there.

A metric of more than `exact_runs` runs is learned on a random part of them, `part_runs`: its
settings from that part alone, its values from all runs through the part (deterministic training
conditional, Quinonero-Candela and Rasmussen 2005).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from mixopt.laws.base import Array, Info, Law, standardised
from mixopt.laws.correlation import shrunk_correlation, tied_normals
from mixopt.laws.definite import inverse
from mixopt.laws.matern import (
    FREQUENCIES,
    distances,
    frequencies,
    kernel,
    slopes_by_length,
    waves,
)

_SMALLEST = 1e-6
"""Added to each share: the slope of sqrt(w) at zero is infinite."""
_JITTER = 1e-8
_WARM_ITERATIONS = 6
_SEARCH_RUNS = 192
_CHUNK = 1 << 20
"""Covariances of rows with runs, over all metrics, that are held at once."""
_ROWS = 4096
"""Rows whose variances are found at once."""
_LENGTH = (1.4, 1.5)
"""Centre and sd of the normal prior of the logarithm of a length scale."""
_LINEAR = (0.0, 1.5)
_MATERN = (0.0, 1.5)
_NOISE = (-5.0, 2.0)


class Process(NamedTuple):
    """The posterior of one standardised metric: k(x, Z) alpha, and how data moves it."""

    theta: Array
    """(d + 3,) logarithms of length scales, linear and Matern variance, noise variance."""
    points: Array
    """(M, d) Z, roots of the mixtures that carry it."""
    push: Array
    """(M, n) values of the runs -> alpha."""
    shrink: Array
    """(M, M) what the runs take from the prior covariance of the points."""


class Means(NamedTuple):
    """What the means of all metrics need: k(x, Z) alpha."""

    points: Array
    """(M, d) Z"""
    theta: Array
    """(m, d + 3)"""
    alpha: Array
    """(m, M)"""


@dataclass
class GP(Law):
    """A Gaussian process a metric on the square roots of the shares.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 24)
    >>> losses = (weights @ [[1.0], [0.2], [0.0]] - 0.4) ** 2
    >>> law = GP().fit(weights, losses)
    >>> bool(np.abs(law.predict(weights) - losses).max() < 0.05 * losses.std())
    True
    """

    exact_runs: int = 1500
    part_runs: int = 1000
    iterations: int = 100
    """Of the search for the settings of a metric."""

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        z, self.centre_, self.spread_ = standardised(losses)
        centre, _ = _prior(weights.shape[1])
        self._learn(z, np.tile(centre, (z.shape[1], 1)), self.iterations)

    def refitted(self, losses: Array) -> Self:
        """The law of the same runs with other losses (n, m), settings and units kept."""
        self._require_fit()
        law = replace(self).restore(self.state())
        law.train_losses_ = losses.copy()
        if np.array_equal(np.isnan(losses), np.isnan(self.train_losses_)):
            law._cached = self._known()
        law._condition(self._standard(losses))
        return law

    def on(self, rows: NDArray[np.int64]) -> Self:
        """The law of some of its runs (n,), settings sought from where this one ended."""
        self._require_fit()
        law = replace(self).restore(self.state())
        law.train_weights_, law.train_losses_ = self.train_weights_[rows], self.train_losses_[rows]
        law._learn(self._standard(law.train_losses_), self.theta_, _WARM_ITERATIONS)
        return law

    def notes(self) -> tuple[str, ...]:
        """Says when only a part of the runs carries the law."""
        carried, measured = self.carriers_.sum(axis=1), np.isfinite(self.train_losses_).sum(axis=0)
        if (carried == measured).all():
            return ()
        return (
            f"gp: settings from {int(carried.min())} of {int(measured.max())} runs, "
            "and the others enter through those",
        )

    def _learn(self, z: Array, starts: Array, iterations: int) -> None:
        """Find the settings from `starts` (m, d + 3), then take in the runs."""
        roots = _roots(self.train_weights_)
        self.carriers_ = np.stack([self._carriers(np.isfinite(column)) for column in z.T])
        found = [
            _settings(roots[rows], column[rows], start, iterations)
            for rows, column, start in zip(self.carriers_, z.T, starts)
        ]
        self.theta_ = np.stack(found)
        self.noise_ = np.exp(0.5 * self.theta_[:, -1]) * self.spread_
        self._cached = None
        self._condition(z)
        self._tie(z)

    def _tie(self, z: Array) -> None:
        """Tie the metrics by what the fit says of each run without it."""
        residuals = np.full(z.shape, np.nan)
        roots = _roots(self.train_weights_)
        for i, process in enumerate(self._known()):
            rows = np.isfinite(z[:, i])
            residuals[rows, i] = _left_out(process, roots[rows], z[rows, i])
        self.correlation_ = shrunk_correlation(residuals)

    def _condition(self, z: Array) -> None:
        """Take in standardised values (n, m), settings kept."""
        self.alpha_ = np.zeros((z.shape[1], len(z)))
        for i, process in enumerate(self._known()):
            self.alpha_[i, self.carriers_[i]] = process.push @ z[np.isfinite(z[:, i]), i]

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        means, roots = self._means(), _roots(weights)
        size = max(1, _CHUNK // self.alpha_.size)
        parts = [_values(means, roots[at : at + size]) for at in range(0, len(roots), size)]
        values = np.concatenate([np.empty((0, len(self.alpha_))), *parts])
        return self.centre_ + self.spread_ * values

    def _means(self) -> Means:
        carriers = self.carriers_.any(axis=0)
        return Means(_roots(self.train_weights_[carriers]), self.theta_, self.alpha_[:, carriers])

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        roots = _roots(weights)
        variances = [_variances(process, roots) for process in self._known()]
        return self._mean(weights, scales), np.sqrt(np.stack(variances, axis=1)) * self.spread_

    def gradient(self, weights: Array) -> Array:
        """d y / d w, (k, m, d)."""
        roots = _roots(self._checked(weights))
        slopes = _slopes(self._means(), roots)
        return slopes * self.spread_[:, None] / (2.0 * roots[:, None, :])

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws of the noise-free mean, (draws, k, m): prior draws corrected by the runs.

        Pathwise conditioning (Wilson et al. 2020): a draw is a function of the mixture that
        depends on `rng` alone. Metrics are tied by the correlation of left-out residuals.
        """
        rows, runs = _roots(self._checked(weights)), _roots(self.train_weights_)
        d, (n, m) = rows.shape[1], self.train_losses_.shape
        noise = self._noise_draw((draws, n, m), rng)
        gains = tied_normals((draws, 1 + d + 2 * FREQUENCIES, m), self.correlation_, rng)
        directions = frequencies(d, rng)
        out = self._mean(self._checked(weights), scales) + np.zeros((draws, 1, 1))
        for i, process in enumerate(self._known()):
            used = np.isfinite(self.train_losses_[:, i])
            at_runs = gains[:, :, i] @ _features(process.theta, runs[used], directions).T
            at_rows = gains[:, :, i] @ _features(process.theta, rows, directions).T
            error = at_runs + np.exp(0.5 * process.theta[-1]) * noise[:, used, i]
            cross = _covariance(process.theta, rows, process.points)
            out[:, :, i] += self.spread_[i] * (at_rows - error @ process.push.T @ cross.T)
        return out

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become the fitted law that `state` was taken from; returns self."""
        self._cached = None
        return super().restore(state)

    def _noise_draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return tied_normals(shape, self.correlation_, rng)

    def _standard(self, losses: Array) -> Array:
        """Losses (n, m) in the units of the fit; zero for a metric that did not vary."""
        spread = np.where(self.spread_ > 0, self.spread_, np.inf)
        return (losses - self.centre_) / spread

    def _carriers(self, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which runs carry a metric: all that measured it, or a random part."""
        rows = np.flatnonzero(measured)
        if len(rows) > self.exact_runs:
            rows = np.random.default_rng(0).permutation(rows)[: self.part_runs]
        carriers = np.zeros(len(measured), dtype=np.bool_)
        carriers[rows] = True
        return carriers

    def _known(self) -> list[Process]:
        """The processes of the fit, made again after `restore`."""
        if self._cached is None:
            self._cached = self._processes(np.isfinite(self.train_losses_))
        return self._cached

    def _processes(self, measured: NDArray[np.bool_]) -> list[Process]:
        roots = _roots(self.train_weights_)
        return [
            _exact(theta, roots[used])
            if (used == rows).all()
            else _partial(theta, roots, used, rows)
            for theta, used, rows in zip(self.theta_, self.carriers_, measured.T)
        ]


def _roots(weights: Array) -> Array:
    return np.sqrt(np.maximum(weights, 0.0) + _SMALLEST)


def _prior(d: int) -> tuple[Array, Array]:
    """Centres and sds of theta (d + 3,)."""
    pairs = np.array([_LENGTH] * d + [_LINEAR, _MATERN, _NOISE])
    return pairs[:, 0], pairs[:, 1]


def _settings(roots: Array, z: Array, start: Array, iterations: int) -> Array:
    """theta (d + 3,) of greatest posterior density; `start` for a metric that does not vary.

    Of many runs a random part finds the neighbourhood, all of them the place.
    """
    if not z.any():
        return start
    if len(z) > _SEARCH_RUNS:
        part = np.random.default_rng(0).permutation(len(z))[:_SEARCH_RUNS]
        start = _climbed(roots[part], z[part], start, iterations)
        iterations = _WARM_ITERATIONS
    return _climbed(roots, z, start, iterations)


def _climbed(roots: Array, z: Array, start: Array, iterations: int) -> Array:
    """theta (d + 3,) after so many iterations uphill."""
    centre, sd = _prior(roots.shape[1])
    found = minimize(
        _negative_log_posterior,
        start,
        args=(roots, z, centre, sd),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(centre - 4 * sd, centre + 4 * sd)),
        options={"maxiter": iterations, "ftol": 1e-7},
    )
    return found.x


def _left_out(process: Process, roots: Array, z: Array) -> Array:
    """Residuals (n,) of each run by the others, settings kept: e_i / (1 - hat_ii)."""
    cross = _covariance(process.theta, roots, process.points)
    hat = np.einsum("nM,Mn->n", cross, process.push)
    return (z - cross @ (process.push @ z)) / np.maximum(1.0 - hat, 0.05)


def _covariance(theta: Array, left: Array, right: Array) -> Array:
    """k (k, n) of roots (k, d) and (n, d), noise left out."""
    per_length = np.exp(-theta[:-3])
    values, _ = kernel(distances(left * per_length, right * per_length))
    return 1.0 + np.exp(theta[-3]) * (left @ right.T) + np.exp(theta[-2]) * values


def _own_variance(theta: Array, roots: Array) -> Array:
    """Prior variance (k,) at roots (k, d)."""
    return 1.0 + np.exp(theta[-3]) * (roots**2).sum(axis=1) + np.exp(theta[-2])


def _values(means: Means, roots: Array) -> Array:
    """Standardised means (k, m) at roots (k, d), all metrics at once."""
    values, _ = kernel(_all_distances(means, roots))
    matern = np.exp(means.theta[:, -2, None]) * np.einsum("mkM,mM->mk", values, means.alpha)
    linear = np.exp(means.theta[:, -3]) * (roots @ (means.alpha @ means.points).T)
    return means.alpha.sum(axis=1) + linear + matern.T


def _slopes(means: Means, roots: Array) -> Array:
    """d mean / d roots, (k, m, d), all metrics at once."""
    _, fall = kernel(_all_distances(means, roots))
    pull = fall * means.alpha[:, None, :]
    towards = pull @ means.points - pull.sum(axis=2, keepdims=True) * roots
    steep = np.exp(means.theta[:, -2, None] - 2.0 * means.theta[:, :-3])
    level = np.exp(means.theta[:, -3, None]) * (means.alpha @ means.points)
    return (level[:, None] + steep[:, None] * towards).transpose(1, 0, 2)


def _all_distances(means: Means, roots: Array) -> Array:
    """(m, k, M) distances of roots (k, d) to the points, in the length scales of each metric."""
    per_length = np.exp(-means.theta[:, None, :-3])
    left, right = roots * per_length, means.points * per_length
    squares = (left**2).sum(axis=2)[:, :, None] + (right**2).sum(axis=2)[:, None, :]
    squares -= 2.0 * left @ right.transpose(0, 2, 1)
    return np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)


def _variances(process: Process, roots: Array) -> Array:
    """Standardised variances of the mean (k,), the rows a part at a time."""
    parts = []
    for at in range(0, len(roots), _ROWS):
        part = roots[at : at + _ROWS]
        cross = _covariance(process.theta, part, process.points)
        taken = np.einsum("kM,kM->k", cross @ process.shrink, cross)
        parts.append(np.maximum(_own_variance(process.theta, part) - taken, 0.0))
    return np.concatenate([np.empty(0), *parts])


def _features(theta: Array, roots: Array, directions: Array) -> Array:
    """(k, 1 + d + 2 FREQUENCIES) features whose products are near the covariance."""
    matern = np.exp(0.5 * theta[-2]) * waves(roots * np.exp(-theta[:-3]), directions)
    linear = np.exp(0.5 * theta[-3]) * roots
    return np.hstack([np.ones((len(roots), 1)), linear, matern])


def _negative_log_posterior(
    theta: Array, roots: Array, z: Array, centre: Array, sd: Array
) -> tuple[float, Array]:
    """-log p(z | theta) p(theta) without constants, and its gradient (d + 3,)."""
    linear, matern, noise = np.exp(theta[-3:])
    scaled = roots * np.exp(-theta[:-3])
    values, fall = kernel(distances(scaled, scaled))
    gram = roots @ roots.T
    total = 1.0 + linear * gram + matern * values
    total[np.diag_indices_from(total)] += noise + _JITTER
    precision, log_det = inverse(total)
    alpha = precision @ z
    away = (theta - centre) / sd
    value = 0.5 * float(z @ alpha) + 0.5 * log_det + 0.5 * float(away @ away)
    excess = precision - np.outer(alpha, alpha)
    slope = np.empty_like(theta)
    slope[:-3] = matern * slopes_by_length(excess * fall, scaled)
    slope[-3] = 0.5 * linear * float(np.sum(excess * gram))
    slope[-2] = 0.5 * matern * float(np.sum(excess * values))
    slope[-1] = 0.5 * noise * float(np.trace(excess))
    return value, slope + away / sd


def _exact(theta: Array, points: Array) -> Process:
    """All runs that measured the metric carry it."""
    total = _covariance(theta, points, points)
    total[np.diag_indices_from(total)] += np.exp(theta[-1]) + _JITTER
    precision, _ = inverse(total)
    return Process(theta, points, precision, precision)


def _partial(
    theta: Array, roots: Array, carriers: NDArray[np.bool_], measured: NDArray[np.bool_]
) -> Process:
    """A part of the runs carries the metric, all that measured it push it."""
    points, noise = roots[carriers], float(np.exp(theta[-1]))
    own = _covariance(theta, points, points)
    own[np.diag_indices_from(own)] += _JITTER * own.diagonal().mean()
    cross = _covariance(theta, points, roots[measured])
    whole = cho_factor(noise * own + cross @ cross.T, lower=True)
    prior = cho_factor(own, lower=True)
    eye = np.eye(len(points))
    shrink = cho_solve(prior, eye) - noise * cho_solve(whole, eye)
    return Process(theta, points, cho_solve(whole, cross), shrink)
