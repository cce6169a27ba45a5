"""Which mixtures change rank with scale, and how sure that is: from runs, or from draws of a law.

From runs of the same mixtures at two scales: a pair flips when its difference has one sign at the
small scale and the other at the large one. The chance of being wrong is at most the sum of the two
one-sided tails of Student's t, with the noise and its degrees of freedom of each scale; a flip is
sure when that is under 5 % divided by the number of pairs looked at (Bonferroni). From draws of a
law at both scales: a flip is as probable as it is frequent, and those called sure hold together in
95 % of the draws.

Only pairs among the best mixtures of the small scale are looked at, because a decision is made
among them. Kendall's tau over all mixtures says how much of the order stays; noise lowers it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from mixopt.errors import DataError
from mixopt.laws.base import mixture_groups
from mixopt.laws.scales import scale_groups
from mixopt.noise import Noise, anchor_noise
from mixopt.table import Table

Array = NDArray[np.float64]
Answer = Literal["yes", "no", "unknown"]

LEVEL = 0.05
LEADERS = 8
"""Best mixtures of the small scale whose pairs are looked at."""
LEAST_TAU = 0.8
"""The order stays when tau is above this at the lower end of its interval."""
LEAST_MIXTURES = 8
"""Fewer measured mixtures cannot show that the order stays."""
_RESAMPLES = 400
_SAID = 10
"""Flips listed, the most probable first."""


@dataclass(frozen=True)
class Flip:
    """A pair that is ordered one way at the small scale and the other way at the large one."""

    better_small: str
    """The mixture that is better at the small scale."""
    better_large: str
    probability: float
    sure: bool
    """Beyond chance, with all pairs looked at taken into account."""


@dataclass(frozen=True)
class RankMoves:
    """How the order of mixtures at a small scale compares with that at a large one."""

    answer: Answer
    """Whether rank moves: "yes", a sure flip among the leaders; "no", the order stays."""
    why: str
    mixtures: int
    """Mixtures known at both scales."""
    tau: float | None = None
    """Kendall's, over all mixtures; None for fewer than two."""
    tau_interval: tuple[float, float] | None = None
    """90 %."""
    flips: tuple[Flip, ...] = ()
    """The most probable ones among the leaders."""
    scales: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """(parameters, active ones, tokens) of the small scale and of the large one."""

    @property
    def moves(self) -> bool:
        """Whether it is sure that rank moves."""
        return self.answer == "yes"

    def to_json(self) -> dict[str, Any]:
        """The answer for machines."""
        return asdict(self)


def measured_moves(
    table: Table,
    values: Array,
    rng: np.random.Generator,
    residual_sd: float | None = None,
    leaders: int = LEADERS,
) -> RankMoves:
    """Rank moves among mixtures that were run at two scales, the largest and the one before it.

    `values` (n,) are an objective of the table's runs, lower is better, NaN where unknown. Noise
    comes from replicates of each scale; where a scale has none, `residual_sd` stands in for the sd
    of a run, and without it no flip is sure. The small scale is the one that shares most mixtures
    with the large one.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(table),):
        raise DataError(f"expected one value a run ({len(table)}), got shape {values.shape}")
    usable = np.isfinite(values) & np.isfinite(table.scales).all(axis=1)
    table, values = table.select(usable), values[usable]
    pair = _two_scales(table) if len(table) else None
    if pair is None:
        return RankMoves("unknown", "no two mixtures were run at two scales", 0)
    mixtures = mixture_groups(table.weights)
    both = np.intersect1d(mixtures[pair[0]], mixtures[pair[1]])
    sides = [_side(table.select(rows), values[rows], mixtures[rows], both) for rows in pair]
    names = [table.names[int(np.argmax(mixtures == one))] for one in both]
    flips = _tested(sides, residual_sd, names, leaders)
    told = residual_sd is not None or all(side.noise is not None for side in sides)
    interval = _tau_interval(sides[0].means, sides[1].means, rng)
    answer, why = _judged(flips, interval, told, len(both))
    tau = _tau(sides[0].means, sides[1].means)
    scales = (tuple(table.scales[pair[0][0]].tolist()), tuple(table.scales[pair[1][0]].tolist()))
    return RankMoves(answer, why, len(both), tau, interval, flips[:_SAID], scales)


def predicted_moves(
    small: Array,
    large: Array,
    names: Sequence[str],
    scales: tuple[Sequence[float], Sequence[float]] | None = None,
    leaders: int = LEADERS,
) -> RankMoves:
    """Rank moves among k mixtures by a law over scale.

    `small` and `large` (draws, k) are joint draws of an objective at the two scales, the same draw
    of the law in the same row: sample both with the same seed.

    >>> rng = np.random.default_rng(0)
    >>> small = np.array([1.0, 2.0, 3.0]) + 0.1 * rng.standard_normal((500, 3))
    >>> large = np.array([2.0, 1.0, 3.0]) + 0.1 * rng.standard_normal((500, 3))
    >>> found = predicted_moves(small, large, ["a", "b", "c"])
    >>> found.answer, found.flips[0].better_small, found.flips[0].better_large
    ('yes', 'a', 'b')
    """
    if small.shape != large.shape or small.ndim != 2 or small.shape[1] != len(names):
        raise DataError(
            f"expected draws (draws, {len(names)}) at both scales, got {small.shape} and "
            f"{large.shape}"
        )
    if len(names) < 2:
        return RankMoves("unknown", "there is one mixture only", len(names))
    means = small.mean(axis=0), large.mean(axis=0)
    found: list[tuple[float, int, int, NDArray[np.bool_]]] = []
    for i, j in _pairs(means[0], leaders):
        flipped = (small[:, i] < small[:, j]) & (large[:, i] > large[:, j])
        found.append((float(flipped.mean()), i, j, flipped))
    found.sort(key=lambda item: -item[0])
    together, flips = np.ones(len(small), dtype=bool), []
    for probability, i, j, flipped in found[:_SAID]:
        together &= flipped
        sure = bool(together.mean() >= 1.0 - LEVEL)
        if probability > 0:
            flips.append(Flip(names[i], names[j], probability, sure))
    interval = _interval([_tau(a, b) for a, b in zip(small[:_RESAMPLES], large[:_RESAMPLES])])
    answer, why = _judged(flips, interval, True, LEAST_MIXTURES)
    ends = None if scales is None else (tuple(scales[0]), tuple(scales[1]))
    return RankMoves(answer, why, len(names), _tau(*means), interval, tuple(flips), ends)


@dataclass(frozen=True)
class _Side:
    """The shared mixtures at one scale."""

    means: Array
    """(k,)"""
    count: Array
    """(k,) runs of each."""
    blocks: list[list[int]]
    """Seed blocks of the runs of each, sorted."""
    noise: Noise | None
    """None without replicates."""


def _two_scales(table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Rows of the small and the large scale: the largest that shares two mixtures with another."""
    groups = scale_groups(table.scales, len(table))
    mixtures = mixture_groups(table.weights)
    for large in range(groups.max(), 0, -1):
        here = np.unique(mixtures[groups == large])
        shared = [len(np.intersect1d(here, mixtures[groups == small])) for small in range(large)]
        if max(shared) >= 2:
            small = int(np.argmax(shared))
            return np.flatnonzero(groups == small), np.flatnonzero(groups == large)
    return None


def _side(
    table: Table, values: Array, mixtures: NDArray[np.int64], both: NDArray[np.int64]
) -> _Side:
    parts = [np.flatnonzero(mixtures == one) for one in both]
    return _Side(
        means=np.array([values[part].mean() for part in parts]),
        count=np.array([len(part) for part in parts], dtype=np.float64),
        blocks=[sorted(table.seed_block[part].tolist()) for part in parts],
        noise=anchor_noise(table, values[:, None]),
    )


def _tested(
    sides: Sequence[_Side], residual_sd: float | None, names: Sequence[str], leaders: int
) -> tuple[Flip, ...]:
    """Pairs of the leaders whose order differs, the most probable flip first."""
    pairs, flips = _pairs(sides[0].means, leaders), []
    for i, j in pairs:
        if sides[1].means[i] <= sides[1].means[j] or sides[0].means[i] == sides[0].means[j]:
            continue
        tails = [_tail(side, residual_sd, i, j) for side in sides]
        chance = (1.0 - tails[0]) * (1.0 - tails[1])
        flips.append(Flip(names[i], names[j], chance, sum(tails) < LEVEL / len(pairs)))
    return tuple(sorted(flips, key=lambda flip: -flip.probability))


def _tail(side: _Side, residual_sd: float | None, i: int, j: int) -> float:
    """Chance that the order of two means is the other one; a half where noise is not known.

    Runs of the same seed blocks share what the blocks do; others differ by that as well.
    """
    if side.noise is None:
        sigma, df = residual_sd, np.inf
    elif side.blocks[i] == side.blocks[j] and side.blocks[i][0] >= 0:
        sigma, df = float(side.noise.sigma_int[0]), float(side.noise.df_int[0])
    else:
        sigma, df = float(side.noise.sigma_run[0]), float(side.noise.df_run[0])
    if sigma is None:
        return 0.5
    apart = abs(side.means[i] - side.means[j])
    sd = sigma * np.sqrt(1.0 / side.count[i] + 1.0 / side.count[j])
    return float(t.sf(apart / sd, df)) if sd > 0 else 0.0


def _pairs(means: Array, leaders: int) -> list[tuple[int, int]]:
    """Pairs of the best mixtures of the small scale, the better one first."""
    best = [int(i) for i in np.argsort(means, kind="stable")[:leaders]]
    return list(combinations(best, 2))


def _judged(
    flips: Sequence[Flip], interval: tuple[float, float] | None, told: bool, mixtures: int
) -> tuple[Answer, str]:
    """The overall answer and its reason."""
    sure = [flip for flip in flips if flip.sure]
    if sure:
        first = sure[0]
        return "yes", (
            f"{first.better_small} is better than {first.better_large} at the small scale and "
            f"worse at the large one, with {len(sure) - 1} more such pairs"
        )
    if not told:
        return "unknown", "no mixture was run twice at one of the scales: noise is not known"
    if mixtures < LEAST_MIXTURES:
        return "unknown", f"fewer than {LEAST_MIXTURES} mixtures were run at both scales"
    if interval is None or interval[0] < LEAST_TAU:
        return "unknown", "no pair changes order beyond noise, but the order is not known to stay"
    return "no", f"Kendall's tau is at least {interval[0]:.2f} and no leader changes order surely"


def kendall(
    first: Array, second: Array, rng: np.random.Generator
) -> tuple[float | None, tuple[float, float] | None]:
    """Kendall's tau-b of two sides (k,) and its 90 % interval over resampled entries."""
    return _tau(first, second), _tau_interval(first, second, rng)


def _tau(small: Array, large: Array) -> float | None:
    """Kendall's tau-b; None where a side is constant."""
    return _taus(small, large, np.ones((1, len(small))))[0]


def _tau_interval(
    small: Array, large: Array, rng: np.random.Generator
) -> tuple[float, float] | None:
    """90 % interval over resampled mixtures; None where too few of them differ."""
    counts = rng.multinomial(len(small), np.full(len(small), 1.0 / len(small)), _RESAMPLES)
    return _interval(_taus(small, large, counts.astype(np.float64)))


def _taus(small: Array, large: Array, counts: Array) -> list[float | None]:
    """tau-b of each resample, where mixture i is taken counts[., i] times."""
    signs = [np.sign(side[:, None] - side[None, :]) for side in (small, large)]
    agreed, untied_small, untied_large = (
        ((counts @ pairs) * counts).sum(axis=1)
        for pairs in (signs[0] * signs[1], np.abs(signs[0]), np.abs(signs[1]))
    )
    size = np.sqrt(untied_small * untied_large)
    return [float(a / b) if b > 0 else None for a, b in zip(agreed, size)]


def _interval(taus: Sequence[float | None]) -> tuple[float, float] | None:
    known = np.array([tau for tau in taus if tau is not None])
    if len(known) < len(taus) / 2:
        return None
    low, high = np.quantile(known, [LEVEL, 1.0 - LEVEL])
    return float(low), float(high)
