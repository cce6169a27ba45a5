"""Systematic allocation in a swarm: which domain each sequence of every proxy's batch comes from.

`mixopt.online.allocation` has the rule; here are its starts, by block. The number of sequences
drawn from a domain stays within 2 of its expectation at every step, where independent draws would
be off by sqrt(n w (1 - w)).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.online.allocation import allocate
from proxies.seeds import stream


class Allocator(Protocol):
    """What decides the domains of P proxies' sequences; `Allocation` is the one of every study."""

    def next(self, weights: NDArray[np.float64], slots: int) -> NDArray[np.int64]:
        """The columns (P, slots) of the next sequences, for shares (P, d) that sum to 1 by row."""
        ...

    def state(self, p: int) -> dict[str, float]:
        """Where proxy p stands, as JSON."""
        ...

    def restore(self, p: int, state: Mapping[str, float]) -> None:
        """Go on from a `state` of the same block and domains."""
        ...


MakeAllocator = Callable[[Sequence[str], Sequence[int]], Allocator]
"""From the names of d domains and the seeds of P proxies."""


class Allocation:
    """The deficits of P proxies over d domains; each row is a function of its own block alone.

    Start deficits are uniform on (-.5, .5), by (block, domain), and centred. Equal deficits are
    decided by an order of the domains that belongs to the block. A domain of share zero is never
    taken, whatever its deficit.

    >>> allocation = Allocation(["web", "code"], seeds=[0])
    >>> np.bincount(allocation.next(np.array([[0.75, 0.25]]), slots=8)[0]).tolist()
    [6, 2]
    """

    def __init__(self, names: Sequence[str], seeds: Sequence[int]) -> None:
        self._names = tuple(names)
        starts = {seed: _start(names, seed) for seed in set(seeds)}
        self._order = np.stack([starts[seed][0] for seed in seeds])  # (P, d) columns by precedence
        self._deficits = np.stack([starts[seed][1] for seed in seeds])  # (P, d) in that order

    def next(self, weights: NDArray[np.float64], slots: int) -> NDArray[np.int64]:
        """The columns (P, slots) of the next sequences, for shares (P, d) that sum to 1 by row.

        Raises DataError for shares that are negative, not finite, or do not sum to 1.
        """
        _check_shares(weights, self._deficits.shape)
        shares = np.take_along_axis(weights, self._order, axis=1)
        picks, self._deficits = allocate(self._deficits, shares, slots)
        return np.take_along_axis(self._order, picks, axis=1)

    def state(self, p: int) -> dict[str, float]:
        """The deficits of proxy p by domain; JSON keeps them exactly."""
        return {
            self._names[column]: float(deficit)
            for column, deficit in zip(self._order[p], self._deficits[p])
        }

    def restore(self, p: int, state: Mapping[str, float]) -> None:
        """Go on from a `state` of the same block and domains."""
        self._deficits[p] = [state[self._names[column]] for column in self._order[p]]


def _start(names: Sequence[str], seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The precedence of the columns and, in that order, their centred start deficits."""
    draws = np.array([stream(seed, "allocation", name).uniform(size=2) for name in names])
    order = np.argsort(draws[:, 0])
    deficits = draws[order, 1] - draws[:, 1].mean()
    return order, deficits


def _check_shares(weights: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if weights.shape != shape:
        raise DataError(f"expected shares of shape {shape} (proxies, domains), got {weights.shape}")
    sums = weights.sum(axis=1)
    good = (weights >= 0).all(axis=1) & (np.abs(sums - 1.0) < 1e-6)  # NaN is not good either
    if not good.all():
        p = int(np.argmin(good))
        raise DataError(
            f"expected shares that are not negative and sum to 1, got a sum of {sums[p]:.6g} and "
            f"a smallest share of {weights[p].min():.6g} for proxy {p} of the batch"
        )
