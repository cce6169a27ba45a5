"""Minimising a smooth function over the limits: mirror descent, a polish, and a certificate.

Mirror descent (Beck and Teboulle 2003): x+ = project(x exp(-eta g)), the projection in KL, from
many rows at once, each with its own step by backtracking. The polish is sequential quadratic
programming (SLSQP) in x_j / sqrt(x_j at its start), which levels the slopes of laws that are steep
near zero. The certificate is the Frank-Wolfe gap max_v g (x - v) over the limits, by a linear
programme: for a convex function, no row is better than x by more than the gap.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, minimize

from mixopt.polytope import Polytope
from mixopt.projection import project

Array = NDArray[np.float64]

_INSIDE = 1e-3
"""How far starts are moved towards the interior: a share of zero would stay zero."""
_SMALLEST = 1e-7
"""Shares below it are as good as zero for the scaling of the polish."""
_BACKTRACKS = 15
_FLAT = 1e-9
"""A minimum that is not this much better than the start is no reason to leave it."""


class Smooth(Protocol):
    """A function of rows with a gradient, such as `Goal`."""

    def values(self, rows: Array) -> Array:
        """(k,)"""
        ...

    def gradients(self, rows: Array) -> Array:
        """(k, width)"""
        ...


def mirror_descent(
    goal: Smooth, polytope: Polytope, starts: Array, steps: int = 200, tolerance: float = 1e-8
) -> Array:
    """Rows (k, width) at least as good as the starts (k, width), a local minimum each."""
    rows = project(polytope, (1 - _INSIDE) * starts + _INSIDE * polytope.interior)
    values = goal.values(rows)
    fractions = np.repeat(polytope.fractions, polytope.d)
    eta = np.full(len(rows), np.nan)
    gains = np.ones(len(rows))  # of late, so that one short step ends nothing
    for _ in range(steps):
        active = np.flatnonzero(gains > tolerance)
        if len(active) == 0:
            break
        slopes = goal.gradients(rows[active]) / fractions
        eta[active] = np.where(
            np.isnan(eta[active]), _first_step(rows[active], slopes), eta[active]
        )
        moved, reached, eta[active] = _searched(
            goal, polytope, rows[active], values[active], slopes, eta[active]
        )
        gains[active] = np.maximum(values[active] - reached, 0.2 * gains[active])
        rows[active], values[active] = moved, reached
    return rows


def polished(goal: Smooth, polytope: Polytope, row: Array) -> Array:
    """A row (width,) near `row` with a smaller gap, and never worse."""
    scale = np.sqrt(np.maximum(row, _SMALLEST))
    constraints = [LinearConstraint(polytope.equal * scale, polytope.equal_to, polytope.equal_to)]
    if len(polytope.limit):
        most = polytope.limit_to
        constraints.append(LinearConstraint(polytope.limit * scale, -np.inf, most))
    result = minimize(
        lambda z: goal.values((z * scale)[None])[0],
        row / scale,
        jac=lambda z: goal.gradients((z * scale)[None])[0] * scale,
        bounds=Bounds(polytope.lower / scale, polytope.upper / scale, keep_feasible=True),
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 200, "ftol": 1e-14},
    )
    found = project(polytope, np.maximum(result.x * scale, 0.0)[None])
    better = goal.values(found)[0] < goal.values(row[None])[0]
    return found[0] if better else row


def convex_minimum(goal: Smooth, polytope: Polytope, start: Array) -> Array:
    """The minimum (width,) of a convex function; `start` (width,) where all rows are as good."""
    row = polished(goal, polytope, mirror_descent(goal, polytope, start[None])[0])
    gain = goal.values(start[None])[0] - goal.values(row[None])[0]
    return row if gain > _FLAT else start


def frank_wolfe_gap(polytope: Polytope, row: Array, gradient: Array) -> float:
    """max over legal v of gradient . (row - v), at least 0."""
    result = linprog(
        gradient / max(np.abs(gradient).max(), 1e-300),
        A_ub=polytope.limit if len(polytope.limit) else None,
        b_ub=polytope.limit_to if len(polytope.limit) else None,
        A_eq=polytope.equal,
        b_eq=polytope.equal_to,
        bounds=list(zip(polytope.lower.tolist(), polytope.upper.tolist(), strict=True)),
    )
    assert result.x is not None, "the limits hold the row itself"
    return max(float(gradient @ (row - result.x)), 0.0)


def _first_step(rows: Array, slopes: Array) -> Array:
    """Steps (k,) that change the logarithm of a typical share by a half."""
    mean = (rows * slopes).sum(axis=1, keepdims=True)
    spread = np.sqrt((rows * (slopes - mean) ** 2).sum(axis=1))
    return 0.5 / np.maximum(spread, 1e-12)


def _searched(
    goal: Smooth, polytope: Polytope, rows: Array, values: Array, slopes: Array, eta: Array
) -> tuple[Array, Array, Array]:
    """One step of each row with Armijo's backtracking: rows, values and the next step lengths."""
    move = _mover(polytope, rows, slopes)
    best, reached, length = rows.copy(), values.copy(), eta * 2.0
    left = np.arange(len(rows))
    for _ in range(_BACKTRACKS):
        trial = move(left, length[left])
        value = goal.values(trial)
        fractions = np.repeat(polytope.fractions, polytope.d)
        expected = ((trial - rows[left]) * slopes[left] * fractions).sum(axis=1)
        rounding = 1e-13 * np.maximum(1.0, np.abs(values[left]))
        good = value <= values[left] + 0.1 * np.minimum(expected, 0.0) + rounding
        best[left[good]], reached[left[good]] = trial[good], value[good]
        left = left[~good]
        if len(left) == 0:
            break
        length[left] *= 0.4
    return best, reached, length


def _mover(
    polytope: Polytope, rows: Array, slopes: Array
) -> Callable[[NDArray[np.int64], Array], Array]:
    """The rows after a step of a given length along their slopes, projected."""

    def move(which: NDArray[np.int64], length: Array) -> Array:
        centre = (rows[which] * slopes[which]).sum(axis=1, keepdims=True)
        exponent = np.clip(-length[:, None] * (slopes[which] - centre), -30.0, 30.0)
        return project(polytope, rows[which] * np.exp(exponent))

    return move
