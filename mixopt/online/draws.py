"""Draws: the sequences that a run reads next - systematic over domains, without replacement inside.

A domain is read in a new order each epoch, a function of (seed, domain, epoch); the order within a
batch is shuffled by (seed, batch), so that a slice of a batch leans to no domain. Orders are not
held: a place is looked up by a Feistel network of 6 rounds that walks until it is in the domain.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.online.allocation import allocate

Array = NDArray[np.float64]

_START, _BATCH, _EPOCH = range(3)  # purposes of random streams
_ROUNDS = 6
_ENDLESS = -1
_LEAST_BITS = 3  # of half a place: fewer would leave few orders to choose from


class Draws:
    """Batches over d domains of `sizes` sequences each; the same seed draws the same.

    A size of None is a stream: its places are 0, 1, 2 ..., without end.

    Raises DataError for shares above zero of a domain that holds no sequence.

    >>> draws = Draws(sizes=[3, 100], seed=0)
    >>> batch = draws.next(np.array([0.75, 0.25]), 8)
    >>> np.bincount(batch[:, 0]).tolist(), sorted(batch[batch[:, 0] == 0, 1].tolist())
    ([6, 2], [0, 0, 1, 1, 2, 2])
    """

    def __init__(self, sizes: Sequence[int | None], seed: int) -> None:
        self._sizes = np.array([_ENDLESS if size is None else size for size in sizes])
        self._seed = seed
        start = np.random.default_rng([seed, _START]).uniform(-0.5, 0.5, len(sizes))
        self._deficits = start - start.mean()
        self._drawn = np.zeros(len(sizes), dtype=np.int64)
        self._batches = 0

    @property
    def drawn(self) -> NDArray[np.int64]:
        """(d,) sequences drawn so far."""
        return self._drawn.copy()

    def next(self, shares: Array, slots: int) -> NDArray[np.int64]:
        """The next batch (slots, 2): a column and the place of a sequence in that domain."""
        empty = np.flatnonzero((self._sizes == 0) & (shares > 0))
        if len(empty):
            raise DataError(
                f"expected no share of column {empty[0]}, which holds no sequence, got "
                f"{shares[empty[0]]:.4g}: give it tokens = 0 in the budget, or text"
            )
        picks, left = allocate(self._deficits[None], shares[None], slots)
        self._deficits = left[0]
        order = np.random.default_rng([self._seed, _BATCH, self._batches]).permutation(slots)
        columns = picks[0][order]
        batch = np.stack([columns, np.empty_like(columns)], axis=1)
        for column in np.unique(columns):
            mine = columns == column
            batch[mine, 1] = self._read(int(column), int(mine.sum()))
        self._batches += 1
        return batch

    def state(self) -> dict[str, Any]:
        """Where it stands, as JSON values."""
        return {
            "deficits": self._deficits.tolist(),
            "drawn": self._drawn.tolist(),
            "batches": self._batches,
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on from a `state` of the same sizes and seed, exactly."""
        self._deficits = np.array(state["deficits"], dtype=np.float64)
        self._drawn = np.array(state["drawn"], dtype=np.int64)
        self._batches = int(state["batches"])
        return self

    def _read(self, column: int, count: int) -> NDArray[np.int64]:
        """The next `count` places of a domain."""
        if self._sizes[column] == _ENDLESS:
            self._drawn[column] += count
            return self._drawn[column] - count + np.arange(count)
        epochs, places = np.divmod(self._drawn[column] + np.arange(count), self._sizes[column])
        read = np.empty(count, dtype=np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            name = np.random.SeedSequence([self._seed, _EPOCH, column, int(epoch)])
            keys = name.generate_state(_ROUNDS, np.uint64).astype(np.uint64)
            read[here] = permuted(places[here], int(self._sizes[column]), keys)
        self._drawn[column] += count
        return read


def permuted(places: NDArray[np.int64], size: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each of `places` below `size` goes in the order that `keys` (rounds,) name.

    >>> sorted(permuted(np.arange(5), 5, np.arange(6, dtype=np.uint64)).tolist())
    [0, 1, 2, 3, 4]
    """
    half = max(_LEAST_BITS, -(-max(size - 1, 1).bit_length() // 2))
    found = _network(places.astype(np.uint64), np.uint64(half), keys)
    while (outside := found >= size).any():
        found[outside] = _network(found[outside], np.uint64(half), keys)
    return found.astype(np.int64)


def _network(
    values: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """A permutation of numbers of 2 * half bits."""
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    for key in keys:
        left, right = right, left ^ (_scrambled(right ^ key) & low)
    return (left << half) | right


def _scrambled(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64."""
    x = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
