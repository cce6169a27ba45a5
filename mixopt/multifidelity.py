"""Multi-fidelity Gaussian process: runs of several kinds, of which the last is what counts.

    y_f(w) = m_f + rho_f g(w) + delta_f(w) + u_run + e_f        top: rho = 1, delta = 0
g and delta_f are Matern-5/2 plus linear on sqrt(w), with a length scale a column; priors are
rho_f ~ N(1, .3^2) cut to [-1, 2], var delta_f ~ log N(ln .1, 1), noise by kind. Values of a kind
are standardised by mixtures that were run at the top as well, where there are three. Points of one
learning curve are of one run and share its effect u. After Kennedy and O'Hagan 2000.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from mixopt.laws.base import mixture_groups
from mixopt.laws.definite import inverse
from mixopt.laws.matern import distances, kernel, slopes_by_length

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_SMALLEST = 1e-6
_JITTER = 1e-8
_SHARED = 3
"""Mixtures at a kind and at the top from which units can be told ..."""
_SPANNED = 0.2
"""... if their sd is this share of the sd of all runs of the kind: near-equal ones tell no unit."""
_LENGTH, _VARIANCE, _NOISE, _RUN = (1.0, 1.0), (0.0, 1.5), (-4.0, 2.0), (-5.0, 1.5)
_RHO, _DELTA = (1.0, 0.3), (np.log(0.1), 1.0)
_RHO_BOUNDS = (-1.0, 2.0)
_IN_COMMON = 0.5
"""Share of its variance that a kind has in common with the top, below which it says little."""
_CLEARLY = 2.0
"""Log density by which a process of the top alone must be better at least."""
_ITERATIONS = 60
_LEVEL = 1.0
"""Variance of the mean of a kind, in its units."""


@dataclass(frozen=True, eq=False)
class Points:
    """Measurements; n of them."""

    weights: Array
    """(n, width)"""
    kind: Index
    """(n,) 0 .. kinds - 1, the last is the top."""
    values: Array
    """(n,)"""
    run: Index
    """(n,) numbers that points of one learning curve share."""

    def plus(self, weights: Array, kind: Index, values: Array) -> "Points":
        """With further points of runs of their own."""
        free = np.arange(len(values)) + (self.run.max(initial=-1) + 1)
        return Points(
            np.concatenate([self.weights, weights]),
            np.concatenate([self.kind, kind]),
            np.concatenate([self.values, values]),
            np.concatenate([self.run, free]),
        )


class _Data(NamedTuple):
    """What settings are sought from; n points of F kinds."""

    roots: Array
    """(n, width)"""
    kind: Index
    """(n,)"""
    run: Index
    """(n,)"""
    z: Array
    """(n,) values in the units of their kind."""
    kinds: int
    curves: bool
    """Whether some run has more than one point."""


@dataclass(frozen=True, eq=False)
class Settings:
    """Hyper-parameters in natural units of the standardised values; F kinds."""

    length: Array
    """(width,)"""
    linear: float
    matern: float
    rho: Array
    """(F,) 1 for the top."""
    delta: Array
    """(F,) variances, 0 for the top."""
    noise: Array
    """(F,) variances."""
    run: float
    """Variance of what the points of a run share."""


class MultiFidelity:
    """The process conditioned on points; `fit` finds its settings.

    >>> w = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    >>> kind = np.r_[np.zeros(15, int), np.ones(5, int)]
    >>> law = MultiFidelity.fit(Points(w, kind, w[:, 0] + kind, np.arange(20)), 2)
    >>> mean, cov = law.posterior(w[:1], np.array([1]))
    >>> bool(abs(mean[0] - w[0, 0] - 1) < 0.05)
    True
    """

    def __init__(self, points: Points, settings: Settings, centre: Array, spread: Array) -> None:
        """Condition on points, in units centre and spread (F,) of each kind."""
        self.points, self.settings = points, settings
        self.centre, self.spread = centre, spread
        self.roots = _roots(points.weights)
        z = (points.values - centre[points.kind]) / spread[points.kind]
        total = _covariance(settings, self.roots, points.kind, self.roots, points.kind)
        total += _own(settings, points)
        self.factor = cholesky(total, lower=True)
        self.alpha = cho_solve((self.factor, True), z)

    @classmethod
    def fit(cls, points: Points, kinds: int) -> "MultiFidelity":
        """Settings of greatest posterior density for points of so many kinds."""
        centre, spread = units(points, kinds)
        z = (points.values - centre[points.kind]) / spread[points.kind]
        curves = len(np.unique(points.run)) < len(points.run)
        data = _Data(_roots(points.weights), points.kind, points.run, z, kinds, curves)
        width = data.roots.shape[1]
        mean, sd = _prior(width, kinds)
        bounds = list(zip(mean - 4 * sd, mean + 4 * sd))
        rho = slice(width + 2, width + 2 + kinds - 1)
        bounds[rho] = [_RHO_BOUNDS] * (kinds - 1)
        starts = [mean]
        if kinds > 1:  # the sign of rho may have an optimum of its own
            turned = mean.copy()
            turned[rho] = -0.5
            starts.append(turned)
        found = [
            minimize(
                _negative_log_posterior,
                start,
                args=(data, mean, sd),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                options={"maxiter": _ITERATIONS},
            )
            for start in starts
        ]
        best = min(found, key=lambda one: one.fun)
        return cls(points, _settings(best.x, width, kinds, curves), centre, spread)

    def posterior(self, weights: Array, kind: Index) -> tuple[Array, Array]:
        """Mean (k,) and covariance (k, k) of the noise-free values at weights and kinds."""
        roots = _roots(weights)
        cross = _covariance(self.settings, roots, kind, self.roots, self.points.kind)
        own = _covariance(self.settings, roots, kind, roots, kind)
        half = solve_triangular(self.factor, cross.T, lower=True)
        unit = self.spread[kind]
        mean = self.centre[kind] + unit * (cross @ self.alpha)
        return mean, (own - half.T @ half) * np.outer(unit, unit)

    def mean(self, weights: Array, kind: Index) -> Array:
        """Mean (k,) of the noise-free values at weights and kinds."""
        cross = _covariance(self.settings, _roots(weights), kind, self.roots, self.points.kind)
        return self.centre[kind] + self.spread[kind] * (cross @ self.alpha)

    def left_out(self, rows: Index) -> tuple[Array, Array]:
        """Mean and variance (k,) of points by all other runs, settings and units kept.

        Closed form of leave-one-out (Sundararajan and Keerthi 2001), with a run for one point.
        """
        precision = cho_solve((self.factor, True), np.eye(len(self.alpha)))
        away, variance = np.empty(len(rows)), np.empty(len(rows))
        for i, row in enumerate(rows):
            own = np.flatnonzero(self.points.run == self.points.run[row])
            block = np.linalg.inv(precision[np.ix_(own, own)])
            place = int(np.flatnonzero(own == row)[0])
            away[i] = block[place] @ self.alpha[own]
            variance[i] = block[place, place]
        unit = self.spread[self.points.kind[rows]]
        return self.points.values[rows] - unit * away, unit**2 * variance

    def densities(self, rows: Index) -> Array:
        """Log densities (k,) of the values of points, each told by the other runs alone."""
        mean, variance = self.left_out(rows)
        away = self.points.values[rows] - mean
        return -0.5 * (np.log(2.0 * np.pi * variance) + away**2 / variance)

    def noise(self, kind: Index) -> Array:
        """Variances (k,) of one run of each kind around the noise-free value."""
        return (self.settings.noise[kind] + self.settings.run) * self.spread[kind] ** 2

    def agreement(self, kind: int) -> float:
        """The share of a kind's variance that it has in common with the top, 0 to 1."""
        common = float(self.settings.rho[kind]) ** 2
        return common / (common + float(self.settings.delta[kind]))

    def with_points(self, weights: Array, kind: Index) -> "MultiFidelity":
        """As if runs there had turned out as expected: settings kept, only less is unknown."""
        if not len(weights):
            return self
        expected = self.posterior(weights, kind)[0]
        points = self.points.plus(weights, kind, expected)
        return MultiFidelity(points, self.settings, self.centre, self.spread)


def units(points: Points, kinds: int) -> tuple[Array, Array]:
    """Centre and spread (F,) of each kind, in which mixtures that the top ran too come out alike.

    A kind's own mean and sd where fewer than three are shared, or where those did about as well.
    """
    groups = mixture_groups(points.weights)
    at = [points.kind == kind for kind in range(kinds)]
    centre, spread = np.zeros(kinds), np.ones(kinds)
    for kind in range(kinds):
        if at[kind].any():
            centre[kind], sd = points.values[at[kind]].mean(), points.values[at[kind]].std()
            spread[kind] = sd if sd > 0 else 1.0
    for kind in range(kinds - 1):
        shared = np.intersect1d(groups[at[kind]], groups[at[-1]])
        here, there = (_means(points, groups, rows, shared) for rows in (at[kind], at[-1]))
        if len(shared) >= _SHARED and there.std() > 0 and here.std() >= _SPANNED * spread[kind]:
            spread[kind] = spread[-1] * here.std() / there.std()
            centre[kind] = here.mean() - spread[kind] * (there.mean() - centre[-1]) / spread[-1]
    return centre, spread


def _means(points: Points, groups: Index, rows: NDArray[np.bool_], shared: Index) -> Array:
    """Mean value (s,) of each of the shared mixtures among some rows."""
    return np.array([points.values[rows & (groups == label)].mean() for label in shared])


def disagree(law: MultiFidelity) -> bool:
    """Whether runs of the other kinds say little of the top, or mislead.

    Little: no kind has half of its variance in common with the top. Mislead: runs of the top, each
    left out, have a greater log density under a process of the top alone; where `law` explains at
    least half of their variance, greater by 2 and by two standard errors of the sum.
    """
    points, top = law.points, len(law.centre) - 1
    if max(law.agreement(kind) for kind in range(top)) < _IN_COMMON:
        return True
    rows = np.flatnonzero(points.kind == top)
    values = points.values[rows]
    alone = Points(points.weights[rows], np.zeros(len(rows), np.int64), values, points.run[rows])
    own = MultiFidelity.fit(alone, 1)
    better = own.densities(np.arange(len(rows))) - law.densities(rows)
    missed = ((values - law.left_out(rows)[0]) ** 2).mean()
    chance = max(_CLEARLY, 2.0 * better.std() * np.sqrt(len(rows)))
    return bool(better.sum() > (0.0 if missed > 0.5 * values.var() else chance))


def gains_by_run(
    law: MultiFidelity, pool: Array, weights: Array, kind: Index, nodes: int = 15
) -> Array:
    """Expected fall (k,) of the lowest posterior mean over `pool` at the top, by one more run.

    The knowledge gradient of runs at `weights` (k, width) of `kind` (k,): the mean over the pool
    moves by a known direction times a standard normal, which Gauss-Hermite nodes integrate.
    """
    top = len(law.centre) - 1
    both = np.concatenate([pool, weights])
    kinds = np.concatenate([np.full(len(pool), top), kind])
    mean, covariance = law.posterior(both, kinds)
    n = len(pool)
    variance = np.diag(covariance)[n:] + law.noise(kind) + _JITTER
    moves = covariance[:n, n:] / np.sqrt(variance)
    points, masses = np.polynomial.hermite_e.hermegauss(nodes)
    masses = masses / masses.sum()
    lowest = sum(mass * (mean[:n, None] + moves * z).min(axis=0) for z, mass in zip(points, masses))
    return np.maximum(mean[:n].min() - lowest, 0.0)


def _roots(weights: Array) -> Array:
    return np.sqrt(np.maximum(weights, 0.0) + _SMALLEST)


def _prior(width: int, kinds: int) -> tuple[Array, Array]:
    """Centres and sds of theta: lengths, linear, matern, rho, delta, noise by kind, run."""
    pairs: Sequence[tuple[float, float]] = [
        *([_LENGTH] * width),
        _VARIANCE,
        _VARIANCE,
        *([_RHO] * (kinds - 1)),
        *([_DELTA] * (kinds - 1)),
        *([_NOISE] * kinds),
        _RUN,
    ]
    table = np.array(pairs)
    return table[:, 0], table[:, 1]


def _settings(theta: Array, width: int, kinds: int, curves: bool) -> Settings:
    parts = np.split(theta, np.cumsum([width, 1, 1, kinds - 1, kinds - 1, kinds]))
    return Settings(
        length=np.exp(parts[0]),
        linear=float(np.exp(parts[1][0])),
        matern=float(np.exp(parts[2][0])),
        rho=np.append(parts[3], 1.0),
        delta=np.append(np.exp(parts[4]), 0.0),
        noise=np.exp(parts[5]),
        run=float(np.exp(parts[6][0])) if curves else 0.0,
    )


def _negative_log_posterior(
    theta: Array, data: _Data, centre: Array, sd: Array
) -> tuple[float, Array]:
    """-log p(z | theta) p(theta) without constants, and its gradient by theta."""
    settings = _settings(theta, data.roots.shape[1], data.kinds, data.curves)
    scaled = data.roots / settings.length
    values, fall = kernel(distances(scaled, scaled))
    gram = data.roots @ data.roots.T
    shape = settings.linear * gram + settings.matern * values
    scale, same = _scale(settings, data.kind, data.kind)
    same_run = data.run[:, None] == data.run
    total = scale * shape + _LEVEL * same + settings.run * same_run
    total[np.diag_indices_from(total)] += settings.noise[data.kind] + _JITTER
    precision, log_det = inverse(total)
    alpha = precision @ data.z
    away = (theta - centre) / sd
    value = 0.5 * float(data.z @ alpha) + 0.5 * log_det + 0.5 * float(away @ away)
    excess = precision - np.outer(alpha, alpha)
    by_shape, by_scale = excess * scale, excess * shape
    lower, member = data.kinds - 1, np.eye(data.kinds)[data.kind]
    slopes = [
        settings.matern * slopes_by_length(by_shape * fall, scaled),
        [0.5 * settings.linear * np.sum(by_shape * gram)],
        [0.5 * settings.matern * np.sum(by_shape * values)],
        (member.T @ by_scale @ settings.rho[data.kind])[:lower],
        (0.5 * settings.delta * np.einsum("nf,nk,kf->f", member, by_scale, member))[:lower],
        0.5 * settings.noise * (np.diag(excess) @ member),
        [0.5 * settings.run * np.sum(excess[same_run])],
    ]
    return value, np.concatenate(slopes) + away / sd


def _scale(settings: Settings, left: Index, right: Index) -> tuple[Array, NDArray[np.bool_]]:
    """What multiplies the shape, rho_f rho_f' + delta_f where kinds are one; and where they are."""
    same = left[:, None] == right[None, :]
    scale = np.outer(settings.rho[left], settings.rho[right])
    return scale + same * settings.delta[left][:, None], same


def _covariance(
    settings: Settings, left: Array, left_kind: Index, right: Array, right_kind: Index
) -> Array:
    """Covariance (k, n) of noise-free values, without what runs share."""
    matern, _ = kernel(distances(left / settings.length, right / settings.length))
    shape = settings.linear * (left @ right.T) + settings.matern * matern
    scale, same = _scale(settings, left_kind, right_kind)
    return scale * shape + _LEVEL * same


def _own(settings: Settings, points: Points) -> Array:
    """What is added for measured points: noise, what a run shares, jitter."""
    same_run = points.run[:, None] == points.run[None, :]
    noise = np.diag(settings.noise[points.kind] + _JITTER)
    return noise + settings.run * same_run
