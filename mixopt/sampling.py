"""Uniform sampling inside a polytope of mixtures.

Where the limits are loose: uniform Dirichlet draws above the lower bounds, those outside dropped
(exact, independent). Where bounds are tight: sweeps of exact pair moves, in which two shares of a
phase split their sum anew (A. Smith 2014, "A Gibbs sampler on the n-simplex"). With further
limits: hit-and-run (R. Smith 1984), along pairs and along directions scaled by the limits' widths.
Every row is the end of a chain of its own.
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.polytope import Polytope

Array = NDArray[np.float64]

_ACCEPTED = 0.05  # smallest share of accepted draws for which dropping is cheaper than chains


def uniform(polytope: Polytope, count: int, rng: np.random.Generator) -> Array:
    """`count` rows (count, width), uniformly distributed over the polytope."""
    if len(polytope.equal) == polytope.fractions.size:
        pilot = _inside(polytope, 512, rng)
        if len(pilot) >= 512 * _ACCEPTED:
            return _accepted(polytope, count, pilot, rng)
    starts = np.tile(polytope.interior, (count, 1))
    if polytope.is_box:
        return _pair_sweeps(polytope, starts, rng)
    return _hit_and_run(polytope, starts, rng)


def _inside(polytope: Polytope, draws: int, rng: np.random.Generator) -> Array:
    """Those of `draws` uniform rows above the lower bounds that meet every other limit."""
    lower = polytope.lower.reshape(-1, polytope.d)
    exponential = rng.standard_exponential((draws, *lower.shape))
    shares = exponential / exponential.sum(axis=2, keepdims=True)
    room = 1.0 - lower.sum(axis=1, keepdims=True)
    rows = (lower + room * shares).reshape(draws, -1)
    return rows[polytope.excess(rows) <= 1e-12]


def _accepted(polytope: Polytope, count: int, pilot: Array, rng: np.random.Generator) -> Array:
    batches, have = [pilot], len(pilot)
    while have < count:
        batches.append(_inside(polytope, max(512, count), rng))
        have += len(batches[-1])
    return np.concatenate(batches)[:count]


def _pair_sweeps(polytope: Polytope, starts: Array, rng: np.random.Generator) -> Array:
    """Random matchings of the columns, each pair splitting its sum uniformly within its bounds."""
    d = polytope.d
    rows = starts.copy()
    for _ in range(40 + 8 * int(np.log2(d + 1))):
        for phase in range(polytope.fractions.size):
            order = phase * d + rng.permutation(d)
            one, other = order[: d // 2], order[d // 2 : 2 * (d // 2)]
            total = rows[:, one] + rows[:, other]
            low = np.maximum(polytope.lower[one], total - polytope.upper[other])
            high = np.minimum(polytope.upper[one], total - polytope.lower[other])
            split = low + rng.random(total.shape) * np.maximum(high - low, 0.0)
            rows[:, one], rows[:, other] = split, total - split
    return rows


def _hit_and_run(polytope: Polytope, starts: Array, rng: np.random.Generator) -> Array:
    rows = starts.copy()
    slack = np.maximum(polytope.limit_to - rows @ polytope.limit.T, 0.0)
    scaled = _Directions(polytope)
    for step in range(200 + 30 * polytope.lower.size):
        along = scaled.pair(rng) if step % 2 else scaled.dense(rng)
        moved = np.flatnonzero(along)
        if len(moved) == 0:
            continue
        tilt = polytope.limit @ along
        low, high = _chord(polytope, rows, along, moved, slack, tilt)
        length = (low + rng.random(len(rows)) * np.maximum(high - low, 0.0))[:, None]
        rows[:, moved] += length * along[moved]
        slack = np.maximum(slack - length * tilt, 0.0)
    return rows


class _Directions:
    """Random directions that keep the equalities: the same for all chains, never of their state."""

    def __init__(self, polytope: Polytope) -> None:
        self.polytope = polytope
        room = np.minimum(polytope.interior - polytope.lower, polytope.upper - polytope.interior)
        self.scale = np.maximum(room, 0.0)
        self.fixed = np.linalg.pinv(polytope.equal * self.scale)
        self.has_pairs = polytope.d > 1 and len(polytope.equal) == polytope.fractions.size

    def pair(self, rng: np.random.Generator) -> Array:
        """One share of a phase grows at the cost of another."""
        if not self.has_pairs:
            return self.dense(rng)
        along = np.zeros_like(self.scale)
        phase = int(rng.integers(self.polytope.fractions.size))
        one, other = phase * self.polytope.d + rng.choice(self.polytope.d, 2, replace=False)
        along[one], along[other] = 1.0, -1.0
        return along

    def dense(self, rng: np.random.Generator) -> Array:
        """All shares move, each in proportion to its room."""
        normal = rng.standard_normal(self.scale.size)
        scaled = self.polytope.equal * self.scale
        along = self.scale * (normal - self.fixed @ (scaled @ normal))
        return np.where(np.abs(along) > 1e-14, along, 0.0)


def _chord(
    polytope: Polytope,
    rows: Array,
    along: Array,
    moved: NDArray[np.int64],
    slack: Array,
    tilt: Array,
) -> tuple[Array, Array]:
    """How far each row may go backwards and forwards, both (k,)."""
    up = np.maximum(polytope.upper[moved] - rows[:, moved], 0.0)
    down = np.maximum(rows[:, moved] - polytope.lower[moved], 0.0)
    ahead = np.where(along[moved] > 0, up, down) / np.abs(along[moved])
    behind = np.where(along[moved] > 0, down, up) / np.abs(along[moved])
    high, low = ahead.min(axis=1), -behind.min(axis=1)
    rises, falls = tilt > 1e-14, tilt < -1e-14
    if rises.any():
        high = np.minimum(high, (slack[:, rises] / tilt[rises]).min(axis=1))
    if falls.any():
        low = np.maximum(low, (slack[:, falls] / tilt[falls]).max(axis=1))
    return low, high
