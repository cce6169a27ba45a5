"""What a table cannot teach a law, or taught it wrongly: domains that never moved, that moved
together, or whose repetition costs more than the law says.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import mixture_groups

Array = NDArray[np.float64]

REPETITION_LEVEL = 0.01
_PERMUTATIONS = 999
_TOGETHER = 1e-3
"""Singular value, by the largest, under which a direction of the mixtures was not explored."""
_INVOLVED = 0.3
"""Loading, by the largest, from which a domain takes part in such a direction."""
_LEAST_REPEATED = 4
"""Runs that repeat a domain, without which nothing can be said of repetition."""


class Unexplored(NamedTuple):
    """Columns of the space that the runs left out or could not tell apart."""

    never: tuple[int, ...]
    """No run had any of it."""
    fixed: tuple[int, ...]
    """Every run had the same share of it."""
    together: tuple[tuple[int, ...], ...]
    """Sets whose shares were tied to each other in every run."""


def unexplored(weights: Array, phases: int = 1) -> Unexplored:
    """Directions that the mixtures (n, width) of so many phases did not explore.

    Ties that follow from too few mixtures are not named: there are as many as runs are missing.

    >>> tied = np.array([[0.2, 0.2, 0.6], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])
    >>> unexplored(tied).together
    ((0, 1),)
    """
    still = np.ptp(weights, axis=0) <= 1e-9
    empty = still & (weights.max(axis=0) <= 1e-9)
    moving = np.flatnonzero(~still)
    return Unexplored(
        never=tuple(np.flatnonzero(empty).tolist()),
        fixed=tuple(np.flatnonzero(still & ~empty).tolist()),
        together=tuple(tuple(moving[tie].tolist()) for tie in _ties(weights, moving, phases)),
    )


def _ties(weights: Array, moving: NDArray[np.int64], phases: int) -> list[NDArray[np.int64]]:
    """Positions in `moving` that take part in each direction without variation."""
    mixtures = len(np.unique(mixture_groups(weights)))
    if len(moving) < 2 or mixtures <= len(moving):
        return []
    apart = weights[:, moving] - weights[:, moving].mean(axis=0)
    sums = _sums(moving, weights.shape[1], phases)
    _, size, turn = np.linalg.svd(np.vstack([apart, _size(apart) * sums]), full_matrices=False)
    loose = turn[size <= _TOGETHER * size.max()]
    return [np.flatnonzero(np.abs(row) >= _INVOLVED * np.abs(row).max()) for row in loose]


def _size(matrix: Array) -> float:
    """Its largest singular value."""
    return float(np.linalg.norm(matrix, 2))


def _sums(moving: NDArray[np.int64], width: int, phases: int) -> Array:
    """(phases, moving) unit rows along which shares cannot move, since they sum to one."""
    phase = moving // (width // phases)
    rows = (phase == np.arange(phases)[:, None]).astype(np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[length[:, 0] > 0] / length[length[:, 0] > 0]


def repetition_missed(residuals: Array, epochs: Array, rng: np.random.Generator) -> Array:
    """Chance (d,) that runs which repeat a domain did so much worse than predicted by luck.

    `residuals` (n,): measured less predicted out of fold, of an objective, NaN unknown; `epochs`
    (n, d): times that a run reads each domain, NaN unknown. One-sided permutation test of the
    correlation with max(0, epochs - 1), adjusted for the number of domains by the largest one.
    1 where hardly any run repeats the domain.
    """
    known = np.isfinite(residuals)
    repeats = np.maximum(epochs[known] - 1.0, 0.0)
    tested = np.isfinite(repeats).all(axis=0) & ((repeats > 0).sum(axis=0) >= _LEAST_REPEATED)
    chances = np.ones(epochs.shape[1])
    errors = residuals[known] - residuals[known].mean() if known.any() else residuals[known]
    if not tested.any() or not errors.any():
        return chances
    unit = repeats[:, tested] - repeats[:, tested].mean(axis=0)
    length = np.linalg.norm(unit, axis=0)
    unit = unit / np.where(length > 0, length, 1.0)
    seen = errors @ unit
    shuffled = np.stack([rng.permutation(errors) for _ in range(_PERMUTATIONS)])
    largest = (shuffled @ unit).max(axis=1)
    chances[tested] = (1 + (largest[:, None] >= seen).sum(axis=0)) / (1 + _PERMUTATIONS)
    return chances
