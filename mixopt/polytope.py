"""Polytope: limits as arrays; feasibility and an interior point by linear programming.

A row holds s phases of d shares. Limits: each phase sums to one (the first s equalities), a box on
every share, further equalities, and inequalities limit @ x <= limit_to.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Array = NDArray[np.float64]

_FLAT = 1e-9  # of a limit's width: less depth than this is none


@dataclass(frozen=True, eq=False)
class Polytope:
    """The set of legal rows; `width` = s * d columns, e equalities, c inequalities."""

    fractions: Array
    """(s,) the phases' fractions of training."""
    lower: Array
    """(width,)"""
    upper: Array
    """(width,)"""
    equal: Array
    """(e, width), first one row of ones for each phase."""
    equal_to: Array
    """(e,)"""
    limit: Array
    """(c, width)"""
    limit_to: Array
    """(c,)"""

    @property
    def d(self) -> int:
        """Columns of one phase."""
        return self.lower.size // self.fractions.size

    @property
    def is_box(self) -> bool:
        """Whether the phases are independent simplices with nothing but bounds."""
        return len(self.limit) == 0 and len(self.equal) == self.fractions.size

    def phases(self, rows: Array) -> Array:
        """(k, width) as (k, s, d)."""
        return rows.reshape(len(rows), self.fractions.size, self.d)

    def excess(self, rows: Array) -> Array:
        """How far each of the rows (k, width) breaks its worst limit, (k,); at most 0 inside."""
        parts = [
            np.abs(rows @ self.equal.T - self.equal_to).max(axis=1),
            (self.lower - rows).max(axis=1),
            (rows - self.upper).max(axis=1),
        ]
        if len(self.limit):
            parts.append((rows @ self.limit.T - self.limit_to).max(axis=1))
        return np.max(parts, axis=0)

    def is_feasible(self) -> bool:
        """Whether any row meets the limits (to 1e-9)."""
        lower, upper = self.lower.reshape(-1, self.d), self.upper.reshape(-1, self.d)
        if (lower > upper).any() or (lower.sum(axis=1) > 1 + 1e-9).any():
            return False
        if (upper.sum(axis=1) < 1 - 1e-9).any():
            return False
        return self.is_box or self._deepest is not None

    def tightened(self) -> Self:
        """The same set, with every limit that no row is strictly inside of made an equality.

        Afterwards `interior` is strictly inside all bounds that have room and all inequalities.
        """
        if self.is_box or (self._deepest is not None and self._deepest[1] > _FLAT):
            return self
        below, above, beside = self._strict()
        return replace(
            self,
            lower=np.where(above, self.lower, self.upper),
            upper=np.where(below, self.upper, self.lower),
            equal=np.concatenate([self.equal, self.limit[~beside]]),
            equal_to=np.concatenate([self.equal_to, self.limit_to[~beside]]),
            limit=self.limit[beside],
            limit_to=self.limit_to[beside],
        )

    @cached_property
    def interior(self) -> Array:
        """A row (width,) as deep inside the limits as they allow, relative to their widths."""
        if self.is_box:
            return self._middle_of_box()
        assert self._deepest is not None, "ask is_feasible first"
        return self._deepest[0]

    def _middle_of_box(self) -> Array:
        lower, upper = self.lower.reshape(-1, self.d), self.upper.reshape(-1, self.d)
        room = (upper - lower).sum(axis=1, keepdims=True)
        missing = 1.0 - lower.sum(axis=1, keepdims=True)
        depth = np.divide(missing, room, out=np.zeros_like(room), where=room > 0)
        return (lower + np.clip(depth, 0.0, 1.0) * (upper - lower)).ravel()

    @cached_property
    def _deepest(self) -> tuple[Array, float] | None:
        """Maximise t: every slack is at least t times the width of its limit; None: infeasible."""
        width = self.upper - self.lower
        eye = np.eye(self.lower.size)
        reach = np.abs(self.limit) @ width
        result = linprog(
            np.r_[np.zeros(self.lower.size), -1.0],
            A_ub=np.block(
                [[eye, width[:, None]], [-eye, width[:, None]], [self.limit, reach[:, None]]]
            ),
            b_ub=np.r_[self.upper, -self.lower, self.limit_to],
            A_eq=np.c_[self.equal, np.zeros(len(self.equal))],
            b_eq=self.equal_to,
            bounds=[(0.0, 1.0)] * self.lower.size + [(0.0, 0.5)],
            options={"primal_feasibility_tolerance": 1e-10},
        )
        if result.x is None:
            return None
        return np.clip(result.x[:-1], self.lower, self.upper), float(result.x[-1])

    def _strict(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Which lower bounds, upper bounds and limits some row is strictly inside of.

        One linear programme over (scale * row, scale, t): the sum of all slacks t <= 1 is largest
        where every slack that can be positive is 1, because the scale may grow.
        """
        size, count = self.lower.size, len(self.limit)
        eye, none = np.eye(size), np.zeros((size, size))
        tall, wide = np.zeros((size, count)), np.zeros((count, size))
        slacks = np.block(
            [
                [-eye, self.lower[:, None], eye, none, tall],
                [eye, -self.upper[:, None], none, eye, tall],
                [self.limit, -self.limit_to[:, None], wide, wide, np.eye(count)],
            ]
        )
        rest = np.zeros((len(self.equal), 2 * size + count))
        result = linprog(
            np.r_[np.zeros(size + 1), -np.ones(2 * size + count)],
            A_ub=slacks,
            b_ub=np.zeros(len(slacks)),
            A_eq=np.c_[self.equal, -self.equal_to, rest],
            b_eq=np.zeros(len(self.equal)),
            bounds=[(0.0, None)] * size + [(1.0, 1e7)] + [(0.0, 1.0)] * (2 * size + count),
            options={"primal_feasibility_tolerance": 1e-10},
        )
        assert result.x is not None, "ask is_feasible first"
        strict = result.x[size + 1 :] > 0.5
        return strict[:size], strict[size : 2 * size], strict[2 * size :]
