"""KL projection into the limits: argmin_x sum_j x_j ln(x_j / q_j) over a polytope.

With bounds alone the answer is x = clip(s q, lower, upper), s such that the shares sum to one
(exact, from the KKT conditions). With further limits, a primal-dual interior-point method; the
divergences of the phases are weighted by their fractions of training.
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.polytope import Polytope

Array = NDArray[np.float64]

_TINY = 1e-12  # share given to a domain that q leaves out but the limits need
_LEAST = 1e-15  # smallest distance from a limit: less is rounding
_NOTHING = 1e-200  # a share on its way to zero never arrives, so that it has a logarithm
_CHUNK = 4_000_000  # numbers in one batch of the Newton systems


def project(polytope: Polytope, rows: Array) -> Array:
    """Project non-negative `rows` (k, width) into the limits; rows inside come back as they are.

    Phases sum to one exactly, other limits hold to 1e-9. Where `rows` are zero in every place
    that has room left, a share of 1e-12 is mixed in, so that the projection exists.
    """
    rows = _summed_to_one(polytope, rows)
    outside = polytope.excess(rows) > 1e-11
    if not outside.any():
        return rows
    result = rows.copy()
    result[outside] = (
        _into_box(polytope, rows[outside])
        if polytope.is_box
        else _into_limits(polytope, rows[outside])
    )
    return result


def _summed_to_one(polytope: Polytope, rows: Array) -> Array:
    """Each phase divided by its sum, equal shares where it is empty; a sum of one is left alone."""
    phases = polytope.phases(rows)
    sums = phases.sum(axis=2, keepdims=True)
    phases = np.where(sums > 0, phases, 1.0)
    sums = phases.sum(axis=2, keepdims=True)
    return np.where(np.abs(sums - 1) > 1e-14, phases / sums, phases).reshape(rows.shape)


def _into_box(polytope: Polytope, rows: Array) -> Array:
    phases = polytope.phases(rows)
    lower, upper = polytope.lower.reshape(-1, polytope.d), polytope.upper.reshape(-1, polytope.d)
    projected = [_clipped(phases[:, p], lower[p], upper[p]) for p in range(len(lower))]
    return np.concatenate(projected, axis=1)


def _clipped(q: Array, lower: Array, upper: Array) -> Array:
    """clip(s q, lower, upper) with rows (k, d) that sum to one, s by Newton inside a bracket."""
    most = np.where(q > _TINY, upper, lower).sum(axis=1, keepdims=True)
    q = np.where(most < 1, q + _TINY, q)
    scale = _scale_inside(q, lower, upper)
    x = np.clip(scale * q, lower, upper)
    free = (x > lower) & (x < upper)
    mass = np.where(free, x, 0.0).sum(axis=1, keepdims=True)
    wanted = 1.0 - np.where(free, 0.0, x).sum(axis=1, keepdims=True)
    gain = np.divide(wanted, mass, out=np.ones_like(mass), where=mass > 0)
    return np.clip(np.where(free, x * gain, x), lower, upper)


def _scale_inside(q: Array, lower: Array, upper: Array) -> Array:
    """The s (k, 1) at which clip(s q, lower, upper) sums to one: increasing, piecewise linear."""
    low, high = np.zeros((len(q), 1)), np.full((len(q), 1), 4.0 / _TINY)
    scale = np.ones((len(q), 1))
    left = np.arange(len(q))
    for step in range(200):
        part, s = q[left], scale[left]
        x = np.clip(s * part, lower, upper)
        gap = 1.0 - x.sum(axis=1, keepdims=True)
        open_ = np.abs(gap[:, 0]) > 1e-14
        if not open_.any():
            break
        left, part, s, x, gap = left[open_], part[open_], s[open_], x[open_], gap[open_]
        low[left] = np.where(gap > 0, s, low[left])
        high[left] = np.where(gap < 0, s, high[left])
        slope = np.where((x > lower) & (x < upper), part, 0.0).sum(axis=1, keepdims=True)
        newton = s + np.divide(gap, slope, out=np.full_like(gap, np.inf), where=slope > 0)
        middle = np.sqrt(np.maximum(low[left], _TINY) * high[left])
        inside = (newton > low[left]) & (newton < high[left]) & (step % 8 != 7)
        scale[left] = np.where(inside, newton, middle)
    return scale


def _into_limits(polytope: Polytope, rows: Array) -> Array:
    systems = len(polytope.equal) + len(polytope.limit)
    size = max(1, _CHUNK // (systems * polytope.lower.size))
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([_by_interior_point(polytope, chunk) for chunk in chunks])


def _by_interior_point(polytope: Polytope, rows: Array) -> Array:
    """Rows from the interior point towards the projection, each finished when its gap is closed."""
    q = np.maximum(rows, _TINY)
    iterate = _Iterate(polytope, len(q))
    x = iterate.x.copy()
    left = np.arange(len(q))
    for _ in range(150):
        iterate.step(q[left])
        x[left] = iterate.x
        open_ = (iterate.gap > 1e-12) | (iterate.residual > 1e-9)
        if not open_.any():
            break
        left = left[open_]
        iterate.keep(open_)
    left_out = (rows == 0) & (x < 100 * _TINY) & (polytope.lower == 0)
    return np.where(left_out, 0.0, x)


class _Iterate:
    """A primal-dual interior-point method for k rows at once (Boyd and Vandenberghe 2004, 11.7).

    Starts inside all limits and stays there, so that the rows are legal whenever it stops.
    """

    def __init__(self, polytope: Polytope, k: int) -> None:
        self.polytope = polytope
        self.matrix = np.concatenate([polytope.equal, polytope.limit])
        self.fraction = np.repeat(polytope.fractions, polytope.d)
        room = polytope.upper - polytope.lower
        self.moves = room > 1e-12
        self.has_lower = self.moves & (polytope.lower > 0)  # at zero the entropy is the barrier
        self.has_upper = self.moves & (polytope.upper < 1)
        self.x = np.tile(polytope.interior, (k, 1))
        below, above, slack = self._slacks(self.x)
        self.pull_up = np.where(self.has_lower, 0.1 / below, 0.0)  # multipliers
        self.pull_down = np.where(self.has_upper, 0.1 / above, 0.0)
        self.price = 0.1 / slack
        self.gap = self._complementarity(below, above, slack)
        self.residual = np.full(k, np.inf)
        self.centring = 0.2

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Go on with some of the rows."""
        for name in ("x", "pull_up", "pull_down", "price", "gap", "residual"):
            setattr(self, name, getattr(self, name)[rows])

    def step(self, q: Array) -> None:
        """One Newton step on the perturbed conditions of optimality, towards rows q."""
        below, above, slack = self._slacks(self.x)
        limits = self.has_lower.sum() + self.has_upper.sum() + slack.shape[1]
        mu = (self.centring * self.gap / max(limits, 1))[:, None]
        x = np.where(self.moves, self.x, 1.0)  # what is fixed may be zero
        slope = self.fraction * (np.log(x / q) + 1.0)
        slope = slope - self.has_lower * mu / below + self.has_upper * mu / above
        bend = self.fraction / x + self.pull_up / below + self.pull_down / above
        give = np.where(self.moves, 1.0 / bend, 0.0)
        y = self._multipliers(slope, give, slack, mu)
        tilt = slope + y @ self.matrix
        move = -give * tilt
        up = self.has_lower * (mu - self.pull_up * move) / below
        down = self.has_upper * (mu + self.pull_down * move) / above
        price = y[:, len(self.polytope.equal) :]
        ends = [
            (x, move),
            (below, np.where(self.has_lower, move, 0.0)),
            (above, np.where(self.has_upper, -move, 0.0)),
            (slack, -move @ self.polytope.limit.T),
            (self.pull_up, up - self.pull_up),
            (self.pull_down, down - self.pull_down),
            (self.price, price - self.price),
        ]
        length = _longest(ends)[:, None]
        self.x = np.maximum(self.x + length * move, np.where(self.moves, _NOTHING, 0.0))
        self.pull_up = self.pull_up + length * (up - self.pull_up)
        self.pull_down = self.pull_down + length * (down - self.pull_down)
        self.price = self.price + length * (price - self.price)
        self.gap = self._complementarity(*self._slacks(self.x))
        self.residual = np.abs(move / x).max(axis=1)

    def _multipliers(self, slope: Array, give: Array, slack: Array, mu: Array) -> Array:
        """Of equalities and limits, (k, e + c), from the condensed Newton system."""
        e = len(self.polytope.equal)
        system = (self.matrix * give[:, None, :]) @ self.matrix.T
        diagonal = np.arange(len(self.matrix))
        scale = system[:, diagonal, diagonal]
        system[:, diagonal, diagonal] += 1e-14 * scale.max(axis=1, keepdims=True)
        system[:, diagonal[e:], diagonal[e:]] += slack / self.price
        off = self.polytope.equal_to - self.x @ self.polytope.equal.T
        wanted = np.concatenate([off, -mu / self.price], axis=1)
        wanted = wanted + (give * slope) @ self.matrix.T
        solution = np.linalg.solve(system, -wanted[:, :, None])
        return solution[:, :, 0].astype(np.float64, copy=False)

    def _slacks(self, x: Array) -> tuple[Array, Array, Array]:
        """Distances from lower bounds, upper bounds (1 where there is none) and limits."""
        below = np.where(self.has_lower, x - self.polytope.lower, 1.0)
        above = np.where(self.has_upper, self.polytope.upper - x, 1.0)
        slack = self.polytope.limit_to - x @ self.polytope.limit.T
        return np.maximum(below, _LEAST), np.maximum(above, _LEAST), np.maximum(slack, _LEAST)

    def _complementarity(self, below: Array, above: Array, slack: Array) -> Array:
        pairs = (self.pull_up * below, self.pull_down * above, self.price * slack)
        return sum((pair.sum(axis=1) for pair in pairs), np.zeros(len(self.x)))


def _longest(ends: list[tuple[Array, Array]]) -> Array:
    """The longest step (k,), at most 1, that keeps all values well above zero."""
    length = np.ones(len(ends[0][0]))
    for value, move in ends:
        shrinks = move < 0
        reach = np.divide(-0.995 * value, move, out=np.ones_like(value), where=shrinks)
        length = np.minimum(length, reach.min(axis=1, initial=1.0))
    return length
