"""Rounding a mixture to 1e-4 inside its limits, by the largest remainder method (Hamilton 1792).

Every share is rounded down and the units that are missing go to the largest remainders; no sum of
absolute changes is smaller. Where that breaks a group, a constraint or a cap over phases, the
nearest legal multiple of 1e-4 comes from an integer programme; where there is none (a share fixed
at 0.33333), from the next finer decimal, up to 1e-8.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from mixopt.polytope import Polytope

Array = NDArray[np.float64]

_DECIMALS = (4, 5, 6, 7, 8)
_EXACT = 1e-9
"""A bound counts as a multiple of the unit when it misses one by no more than this share."""


def rounded(polytope: Polytope, rows: Array) -> Array:
    """`rows` (k, width) as decimals inside the limits; a row that no decimal fits stays as it is.

    >>> from mixopt.space import Domain, Space
    >>> space = Space([Domain("a"), Domain("b"), Domain("c")])
    >>> rounded(space.polytope, np.array([[1 / 3, 1 / 3, 1 / 3]])).tolist()
    [[0.3334, 0.3333, 0.3333]]
    """
    return np.stack([_rounded(polytope, row) for row in rows]) if len(rows) else rows.copy()


def _rounded(polytope: Polytope, row: Array) -> Array:
    for decimals in _DECIMALS:
        units = 10**decimals
        for method in (_largest_remainder, _nearest):
            counts = method(polytope, row, units)
            if counts is None:
                continue
            found = counts / units + 0.0  # no negative zero
            if polytope.excess(found[None])[0] <= _EXACT:
                return found
    return row


def _largest_remainder(polytope: Polytope, row: Array, units: int) -> Array | None:
    """Whole units (width,) for each share between its bounds, or None where they leave no room."""
    least, most = _whole_bounds(polytope, units)
    if (least > most).any():
        return None
    wanted = np.round(row * units, 6)
    counts = np.clip(np.floor(wanted), least, most)
    for start in range(0, len(row), polytope.d):
        phase = slice(start, start + polytope.d)
        missing = int(units - counts[phase].sum())
        step = np.sign(missing)
        room = most if missing > 0 else least
        for _ in range(abs(missing)):
            open_ = np.where(counts[phase] != room[phase], 0.0, -np.inf)
            behind = step * (wanted[phase] - counts[phase]) + open_
            if not np.isfinite(behind).any():
                return None
            counts[start + int(np.argmax(behind))] += step
    return counts


def _nearest(polytope: Polytope, row: Array, units: int) -> Array | None:
    """The nearest whole units (width,) in L1 inside all limits, by an integer programme."""
    least, most = _whole_bounds(polytope, units)
    if (least > most).any():
        return None
    width, eye = len(row), np.eye(len(row))
    pad = np.zeros_like
    counted = [  # of counts and changes: change >= |count - wanted|, then the limits
        LinearConstraint(np.hstack([eye, -eye]), -np.inf, row * units),
        LinearConstraint(np.hstack([eye, eye]), row * units, np.inf),
        LinearConstraint(
            np.hstack([polytope.equal, pad(polytope.equal)]),
            polytope.equal_to * units - _EXACT * units,
            polytope.equal_to * units + _EXACT * units,
        ),
    ]
    if len(polytope.limit):
        limit = np.hstack([polytope.limit, pad(polytope.limit)])
        counted.append(LinearConstraint(limit, -np.inf, polytope.limit_to * units))
    result = milp(
        np.r_[np.zeros(width), np.ones(width)],
        integrality=np.r_[np.ones(width), np.zeros(width)],
        bounds=Bounds(np.r_[least, np.zeros(width)], np.r_[most, np.full(width, np.inf)]),
        constraints=counted,
        options={"time_limit": 10.0},
    )
    return None if result.x is None else np.round(result.x[:width])


def _whole_bounds(polytope: Polytope, units: int) -> tuple[Array, Array]:
    """The smallest and largest whole units of each share."""
    slack = _EXACT * units
    return np.ceil(polytope.lower * units - slack), np.floor(polytope.upper * units + slack)
