"""Blocks: a swarm in a few training seeds, each of which fills the space and trains two anchors.

The design is cut into groups of near points, and each block takes one of every group, so that each
block covers what the whole design covers. The anchors, p0' and the design point farthest from it,
are trained in every block: their spread over blocks is the noise of a run, and what a seed does to
all mixtures alike can be told from what a mixture does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError

Array = NDArray[np.float64]

_SAME = 1e-3  # L1 distance below which an anchor is a design point


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """One run of a swarm before it has a name."""

    row: Array
    """(width,)"""
    seed: int
    """Training seed, the block's."""
    block: int
    """From 0."""
    role: Literal["design", "anchor"]
    index: int
    """Of a design point: its row in the design. Of an anchor: 0 for p0', 1 for the far point."""


def plan_swarm(
    points: Array,
    reference: Array,
    seeds: Sequence[int],
    rng: np.random.Generator,
    trunk: NDArray[np.int64] | None = None,
) -> list[PlannedRun]:
    """All runs of a swarm: design points in their order, then the anchors block by block.

    `points` (count, width) is the design with the baselines, `reference` (width,) is p0'. Blocks:
    four, two below 24 points, never more than `seeds`; points of one `trunk` (count,) are of one
    block. An anchor that lies in a block as a design point is not trained there twice. Raises
    DataError without a seed.
    """
    if not seeds:
        raise DataError("expected one training seed or more, got none: set seeds in proxy.toml")
    blocks = min(len(seeds), 2 if len(points) < 24 else 4)
    trunks, own = np.unique(np.arange(len(points)) if trunk is None else trunk, return_inverse=True)
    block_of = slice_design(points[trunks], blocks, rng)[own]
    planned = [
        PlannedRun(row, seeds[block], block, "design", index)
        for index, (row, block) in enumerate(zip(points, block_of.tolist()))
    ]
    anchors = _anchors(points, reference)
    for block in range(blocks):
        members = points[block_of == block]
        for index, row in enumerate(anchors):
            if not (np.abs(members - row).sum(axis=1) < _SAME).any():
                planned.append(PlannedRun(row, seeds[block], block, "anchor", index))
    return planned


def slice_design(points: Array, blocks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The block of each point (count,): equal sizes to one, each block filling space by itself."""
    roots = np.sqrt(points)
    block_of = np.full(len(points), -1)
    sizes = np.zeros(blocks, dtype=np.int64)
    left = np.ones(len(points), dtype=bool)
    while left.any():
        group = _outermost_group(roots, left, blocks)
        left[group] = False
        block_of[group] = _assigned(roots, group, block_of, sizes, rng)
        np.add.at(sizes, block_of[group], 1)
    return block_of


def _anchors(points: Array, reference: Array) -> list[Array]:
    distance = np.abs(points - reference).sum(axis=1)
    far = int(distance.argmax()) if len(points) else -1
    return [reference] if far < 0 or distance[far] < _SAME else [reference, points[far]]


def _outermost_group(roots: Array, left: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    """The point left that is farthest from the others' centre, with its nearest neighbours."""
    index = np.flatnonzero(left)
    centre = roots[index].mean(axis=0)
    first = index[((roots[index] - centre) ** 2).sum(axis=1).argmax()]
    near = ((roots[index] - roots[first]) ** 2).sum(axis=1).argsort(kind="stable")
    return index[near[:size]]


def _assigned(
    roots: Array,
    group: NDArray[np.int64],
    block_of: NDArray[np.int64],
    sizes: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Blocks for a group, one each, that leave its points farthest from their block's others."""
    blocks = rng.permutation(len(sizes))
    blocks = blocks[sizes[blocks].argsort(kind="stable")][: len(group)]
    away = np.array(
        [[_nearest(roots, point, block_of == block) for block in blocks] for point in group]
    )
    orders = list(permutations(range(len(group))))
    scores = [sorted(away[np.arange(len(group)), order]) for order in orders]
    return blocks[list(orders[max(range(len(orders)), key=scores.__getitem__)])]


def _nearest(roots: Array, point: np.int64, members: NDArray[np.bool_]) -> float:
    """Squared distance of a point to the nearest of some others; none: as far as possible."""
    if not members.any():
        return 2.0
    return float(((roots[members] - roots[point]) ** 2).sum(axis=1).min())
