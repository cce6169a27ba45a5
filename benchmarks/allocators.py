"""Rivals of systematic allocation: independent draws, and the greedy blend of Megatron-LM.

iid:     j* ~ w, one uniform number a sequence, through the inverse of the cumulative shares
greedy:  j* = argmax_j (w_j max(n, 1) - taken_j), the first of equals, n sequences so far
         (`build_blending_indices`, Megatron-LM, megatron/core/datasets/helpers.cpp)
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from proxies.seeds import stream


class IndependentDraws:
    """Each sequence's domain is drawn by itself; proxies of one seed share the random numbers."""

    def __init__(self, names: Sequence[str], seeds: Sequence[int]) -> None:
        self._seeds = tuple(seeds)
        self._rngs = [_rng(seed) for seed in seeds]
        self._drawn = [0] * len(seeds)

    def next(self, weights: NDArray[np.float64], slots: int) -> NDArray[np.int64]:
        """The columns (P, slots) of the next sequences, for shares (P, d)."""
        ends = weights.cumsum(axis=1)
        ends /= ends[:, -1:]
        picks = np.empty((len(weights), slots), dtype=np.int64)
        for p, rng in enumerate(self._rngs):
            picks[p] = np.searchsorted(ends[p], rng.random(slots), side="right")
            self._drawn[p] += slots
        return picks

    def state(self, p: int) -> dict[str, float]:
        """How many sequences proxy p has drawn."""
        return {"drawn": self._drawn[p]}

    def restore(self, p: int, state: Mapping[str, float]) -> None:
        """Go on after as many draws of the same seed."""
        self._rngs[p], self._drawn[p] = _rng(self._seeds[p]), int(state["drawn"])
        self._rngs[p].random(self._drawn[p])


class GreedyBlend:
    """The domain that is furthest behind its share; no seed plays a part."""

    def __init__(self, names: Sequence[str], seeds: Sequence[int]) -> None:
        self._names = tuple(names)
        self._taken = np.zeros((len(seeds), len(names)))

    def next(self, weights: NDArray[np.float64], slots: int) -> NDArray[np.int64]:
        """The columns (P, slots) of the next sequences, for shares (P, d)."""
        rows = np.arange(len(weights))
        picks = np.empty((len(weights), slots), dtype=np.int64)
        for slot in range(slots):
            so_far = np.maximum(self._taken.sum(axis=1, keepdims=True), 1.0)
            picks[:, slot] = np.argmax(weights * so_far - self._taken, axis=1)
            self._taken[rows, picks[:, slot]] += 1.0
        return picks

    def state(self, p: int) -> dict[str, float]:
        """The sequences of each domain that proxy p has taken."""
        return dict(zip(self._names, self._taken[p].tolist()))

    def restore(self, p: int, state: Mapping[str, float]) -> None:
        """Go on from a `state` of the same domains."""
        self._taken[p] = [state[name] for name in self._names]


def _rng(seed: int) -> np.random.Generator:
    return stream(seed, "independent draws")
