"""Multi-fidelity Gaussian process: runs of several kinds, of which the last is what counts.

    y_f(w) = m_f + rho_f g(w) + delta_f(w) + u_run + e_f        top: rho = 1, delta = 0
g and delta_f are Matern-5/2 plus linear on sqrt(w), with length scales in common; priors are
rho_f ~ N(1, .3^2) cut to [-1, 2], var delta_f ~ log N(ln .1, 1), noise by kind. Values of a kind
are standardised by mixtures that were run at the top as well, where there are three. Points of one
learning curve are of one run and share its effect u. After Kennedy and O'Hagan 2000.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

from mixopt.laws.base import mixture_groups
from mixopt.laws.matern import distances, kernel

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
_CLEARLY = 2.0
"""Log density by which a process of the top alone is better beyond chance."""
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


@dataclass(frozen=True, eq=False)
class Settings:
    """Hyper-parameters in natural units of the standardised values; F kinds."""

    length: float
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
        roots = _roots(points.weights)
        curves = len(np.unique(points.run)) < len(points.run)
        mean, sd = _prior(kinds)
        bounds = list(zip(mean - 4 * sd, mean + 4 * sd))
        rho = slice(3, 3 + kinds - 1)
        bounds[rho] = [_RHO_BOUNDS] * (kinds - 1)

        def cost(theta: Array) -> float:
            settings = _settings(theta, kinds, curves)
            away = (theta - mean) / sd
            total = _covariance(settings, roots, points.kind, roots, points.kind)
            total += _own(settings, points)
            factor = cholesky(total, lower=True)
            fitted = cho_solve((factor, True), z)
            return float(0.5 * z @ fitted + np.log(np.diag(factor)).sum() + 0.5 * away @ away)

        starts = [mean]
        if kinds > 1:  # the sign of rho may have an optimum of its own
            turned = mean.copy()
            turned[rho] = -0.5
            starts.append(turned)
        found = [
            minimize(cost, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 25})
            for start in starts
        ]
        best = min(found, key=lambda one: one.fun)
        return cls(points, _settings(best.x, kinds, curves), centre, spread)

    def posterior(self, weights: Array, kind: Index) -> tuple[Array, Array]:
        """Mean (k,) and covariance (k, k) of the noise-free values at weights and kinds."""
        roots = _roots(weights)
        cross = _covariance(self.settings, roots, kind, self.roots, self.points.kind)
        own = _covariance(self.settings, roots, kind, roots, kind)
        half = np.linalg.solve(self.factor, cross.T)
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
        inverse = cho_solve((self.factor, True), np.eye(len(self.alpha)))
        away, variance = np.empty(len(rows)), np.empty(len(rows))
        for i, row in enumerate(rows):
            own = np.flatnonzero(self.points.run == self.points.run[row])
            block = np.linalg.inv(inverse[np.ix_(own, own)])
            place = int(np.flatnonzero(own == row)[0])
            away[i] = block[place] @ self.alpha[own]
            variance[i] = block[place, place]
        unit = self.spread[self.points.kind[rows]]
        return self.points.values[rows] - unit * away, unit**2 * variance

    def density(self, rows: Index) -> float:
        """Log density of the values of points, each told by the other runs alone."""
        mean, variance = self.left_out(rows)
        away = self.points.values[rows] - mean
        return float(-0.5 * (np.log(2.0 * np.pi * variance) + away**2 / variance).sum())

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
    """Whether the runs of the top tell each other better without the runs of the other kinds.

    By the log density of each, left out, under `law` and under a process of the top alone: greater
    alone, where `law` explains less than half of their variance; else greater by 2.
    """
    points, top = law.points, len(law.centre) - 1
    rows = np.flatnonzero(points.kind == top)
    values = points.values[rows]
    alone = Points(points.weights[rows], np.zeros(len(rows), np.int64), values, points.run[rows])
    own = MultiFidelity.fit(alone, 1)
    better = own.density(np.arange(len(rows))) - law.density(rows)
    missed = ((values - law.left_out(rows)[0]) ** 2).mean()
    return bool(better > (0.0 if missed > 0.5 * values.var() else _CLEARLY))


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


def _prior(kinds: int) -> tuple[Array, Array]:
    """Centres and sds of theta: length, linear, matern, rho, delta, noise by kind, run."""
    pairs: Sequence[tuple[float, float]] = [
        _LENGTH,
        _VARIANCE,
        _VARIANCE,
        *([_RHO] * (kinds - 1)),
        *([_DELTA] * (kinds - 1)),
        *([_NOISE] * kinds),
        _RUN,
    ]
    table = np.array(pairs)
    return table[:, 0], table[:, 1]


def _settings(theta: Array, kinds: int, curves: bool) -> Settings:
    lower = kinds - 1
    noise = theta[3 + 2 * lower : 3 + 2 * lower + kinds]
    return Settings(
        length=float(np.exp(theta[0])),
        linear=float(np.exp(theta[1])),
        matern=float(np.exp(theta[2])),
        rho=np.append(theta[3 : 3 + lower], 1.0),
        delta=np.append(np.exp(theta[3 + lower : 3 + 2 * lower]), 0.0),
        noise=np.exp(noise),
        run=float(np.exp(theta[-1])) if curves else 0.0,
    )


def _covariance(
    settings: Settings, left: Array, left_kind: Index, right: Array, right_kind: Index
) -> Array:
    """Covariance (k, n) of noise-free values, without what runs share."""
    matern, _ = kernel(distances(left, right) / settings.length)
    shape = settings.linear * (left @ right.T) + settings.matern * matern
    same = left_kind[:, None] == right_kind[None, :]
    scale = np.outer(settings.rho[left_kind], settings.rho[right_kind])
    scale = scale + same * settings.delta[left_kind][:, None]
    return scale * shape + _LEVEL * same


def _own(settings: Settings, points: Points) -> Array:
    """What is added for measured points: noise, what a run shares, jitter."""
    same_run = points.run[:, None] == points.run[None, :]
    noise = np.diag(settings.noise[points.kind] + _JITTER)
    return noise + settings.run * same_run
