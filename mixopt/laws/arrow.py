"""Penalised least squares over metrics that share some parameters, by Levenberg-Marquardt:

    min over s, t_1..t_M  of  sum_i |f_i(s, t_i) - z_i|^2 / sigma_i^2
                              + |R_s s - r_s|^2 + sum_i |R_i t_i - r_i|^2

Its Gauss-Newton matrix is an arrow: a block for s, one for each t_i, and what ties them; s is
solved by the Schur complement, then every t_i by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from mixopt.laws.base import Array

_TOLERANCE = 1e-7
_DAMPING = 1e-3
_STUCK = 1e10

F = TypeVar("F")


class Prior(NamedTuple):
    """`rows @ theta - targets` is N(0, 1); the search starts at `start`, inside the bounds."""

    start: Array
    """(p,)"""
    rows: Array
    """(r, p)"""
    targets: Array
    """(r,)"""
    lower: Array
    """(p,)"""
    upper: Array
    """(p,)"""


def diagonal_prior(mean: Array, sd: Array, reach: float = 20.0) -> Prior:
    """Independent normals, started at their means and bounded at `reach` sd."""
    lower, upper = mean - reach * sd, mean + reach * sd
    return Prior(mean, np.diag(1.0 / sd), mean / sd, lower, upper)


def alike_prior(d: int, mean: float, sd: float, apart: float, reach: float = 8.0) -> Prior:
    """d normals whose own mean is `mean` within `sd`, and who lie within `apart` of that."""
    rows = np.vstack([around_mean(d, apart), np.full((1, d), 1.0 / d / sd)])
    targets = np.append(np.zeros(d), mean / sd)
    ends = mean + reach * np.hypot(apart, sd) * np.array([-1.0, 1.0])
    return Prior(np.full(d, mean), rows, targets, np.full(d, ends[0]), np.full(d, ends[1]))


def around_mean(d: int, sd: float) -> Array:
    """Rows (d, d) that hold d parameters to their own mean within `sd`."""
    return (np.eye(d) - 1.0 / d) / sd


def chained(priors: Sequence[Prior]) -> Prior:
    """The prior of several blocks of parameters, one behind the other."""
    size = sum(len(prior.start) for prior in priors)
    rows, at = [], 0
    for prior in priors:
        wide = np.zeros((len(prior.rows), size))
        wide[:, at : at + len(prior.start)] = prior.rows
        rows.append(wide)
        at += len(prior.start)
    start, targets, lower, upper = (
        np.concatenate([getattr(prior, name) for prior in priors])
        for name in ("start", "targets", "lower", "upper")
    )
    return Prior(start, np.vstack(rows), targets, lower, upper)


class Terms(NamedTuple):
    """Penalised squares at one point and their Gauss-Newton expansion, by blocks."""

    cost: float
    slope_shared: Array
    """(q,)"""
    slope_own: Array
    """(M, p)"""
    bends_shared: Array
    """(M, q, q) of each metric, without the prior"""
    bend_shared: Array
    """(q, q) of all, with it"""
    bend_cross: Array
    """(M, q, p)"""
    bend_own: Array
    """(M, p, p)"""


@dataclass(frozen=True)
class Squares(Generic[F]):
    """The penalised squares of M metrics at n points."""

    frame: Callable[[Array], F]
    """s (q,) -> what every curve needs of it."""
    values: Callable[[F, Array], Array]
    """frame, t (M, p) -> f (M, n)."""
    slopes: Callable[[F, Array], tuple[Array, Array]]
    """frame, t -> d f / d s (M, n, q) and d f / d t (M, n, p)."""
    target: Array
    """(M, n) z, 0 where not measured."""
    by: Array
    """(M, n) 1 / sigma, 0 where not measured."""
    prior: Prior | None
    """Of s; None: s stands still."""
    own: Sequence[Prior]
    """Of each t_i."""

    def cost(self, shared: Array, own: Array) -> float:
        """At s (q,), t (M, p); not finite where a step went far too far."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return _summed(*self._missed(self.frame(shared), shared, own))

    def terms(self, shared: Array, own: Array) -> Terms:
        """The same with its expansion."""
        frame = self.frame(shared)
        left, off, own_off = self._missed(frame, shared, own)
        slopes, own_slopes = self.slopes(frame, own)
        slopes = self.by[:, :, None] * (slopes if self.prior else slopes[:, :, :0])
        own_slopes = self.by[:, :, None] * own_slopes
        rows, own_rows = self._shared_rows, np.stack([one.rows for one in self.own])
        along, across = slopes.transpose(0, 2, 1), own_slopes.transpose(0, 2, 1)
        own_across = own_rows.transpose(0, 2, 1)
        pulls = np.matmul(across, left[:, :, None]) - np.matmul(own_across, own_off[:, :, None])
        bends = np.matmul(along, slopes)
        return Terms(
            cost=_summed(left, off, own_off),
            slope_shared=np.matmul(along, left[:, :, None]).sum(axis=0)[:, 0] - off @ rows,
            slope_own=pulls[:, :, 0],
            bends_shared=bends,
            bend_shared=bends.sum(axis=0) + rows.T @ rows,
            bend_cross=np.matmul(along, own_slopes),
            bend_own=np.matmul(across, own_slopes) + np.matmul(own_across, own_rows),
        )

    def moved(self, shared: Array, own: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        """s and t after a step, kept inside the bounds."""
        lower, upper = (np.stack([getattr(o, end) for o in self.own]) for end in ("lower", "upper"))
        own = np.clip(own + step[1], lower, upper)
        if self.prior is None:
            return shared, own
        return np.clip(shared + step[0], self.prior.lower, self.prior.upper), own

    def _missed(self, frame: F, shared: Array, own: Array) -> tuple[Array, Array, Array]:
        """Residuals (M, n), and by how much the priors are missed, (r,) and (M, r)."""
        left = self.by * (self.target - self.values(frame, own))
        off = self.prior.rows @ shared - self.prior.targets if self.prior else np.empty(0)
        own_off = np.stack([one.rows @ t - one.targets for one, t in zip(self.own, own)])
        return left, off, own_off

    @property
    def _shared_rows(self) -> Array:
        return self.prior.rows if self.prior else np.empty((0, 0))


def descend(squares: Squares[F], shared: Array, own: Array, steps: int) -> tuple[Array, Array]:
    """The minimum that at most `steps` steps from s (q,) and t (M, p) lead to."""
    here, damping = squares.terms(shared, own), _DAMPING
    for _ in range(steps):
        tried = squares.moved(shared, own, _step(here, damping))
        gain = here.cost - squares.cost(*tried)
        if gain > 0:
            (shared, own), damping = tried, damping * 0.2
            here = squares.terms(shared, own)
            if gain <= _TOLERANCE * here.cost:
                break
        else:
            damping *= 6.0
            if damping > _STUCK:
                break
    return shared, own


def _step(terms: Terms, damping: float) -> tuple[Array, Array]:
    """Damped step of s (q,) and t (M, p); q is 0 where s stands still."""
    bend_own = terms.bend_own + damping * _diagonals(terms.bend_own)
    bend_shared = terms.bend_shared + damping * _diagonals(terms.bend_shared)
    right = np.concatenate([terms.slope_own[:, :, None], terms.bend_cross.transpose(0, 2, 1)], 2)
    solved = np.linalg.solve(bend_own, right)
    alone, gain = solved[:, :, 0], solved[:, :, 1:]
    schur = bend_shared - np.matmul(terms.bend_cross, gain).sum(axis=0)
    pull = terms.slope_shared - np.einsum("Mqp,Mp->q", terms.bend_cross, alone)
    shared = np.linalg.solve(schur, pull)
    return shared, alone - np.matmul(gain, shared)


def _summed(*parts: Array) -> float:
    """The sum of all squares."""
    return float(sum((part**2).sum() for part in parts))


def _diagonals(matrices: Array) -> Array:
    """Matrices (..., p, p) without what is off their diagonals."""
    return matrices * np.eye(matrices.shape[-1])
