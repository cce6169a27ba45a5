"""Schedule: replays phases inside the caps on cumulative draws; and makes few phases of many.

A path of many short phases, as a run of another controller leaves it, becomes P phases with the
smallest sum of squared differences to it (exact, by dynamic programming).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError, DataError, nearest
from mixopt.online.adaptive import Adaptive
from mixopt.online.base import Feedback

Array = NDArray[np.float64]
Phases = Sequence[tuple[float, Mapping[str, float]]]

_MOST = 400  # phases of a path that are looked at one by one


@dataclass
class Schedule(Adaptive):
    """(fraction of training, mixture by name) pairs, one after the other.

    >>> from mixopt.online.budget import Budget
    >>> phases = [[0.5, {"web": 1.0}], [0.5, {"law": 1.0}]]
    >>> Schedule(Budget.of(["web", "law"]), floor=0.0, phases=phases).weights()
    array([1., 0.])
    """

    phases: Phases = field(default=())

    def _begin(self) -> None:
        if not self.phases or any(part <= 0 for part, _ in self.phases):
            raise ConfigError("schedule: expected phases of fractions above 0, [[0.5, {...}], ...]")
        for name in (name for _, mixture in self.phases for name in mixture):
            if name not in self.budget.names:
                hint = nearest(name, self.budget.names)
                raise ConfigError(f"schedule: no domain is called {name!r}, {hint}")
        total = sum(part for part, _ in self.phases)
        self._ends = np.cumsum([part / total for part, _ in self.phases])
        shares = [[mix.get(name, 0.0) for name in self.budget.names] for _, mix in self.phases]
        self._rows = np.array(shares, dtype=np.float64)
        if not (self._rows.sum(axis=1) > 0).all():
            raise ConfigError("schedule: every phase needs a domain with a share above 0")

    def _wanted(self) -> Array:
        now = self._step / self._steps
        return self._rows[min(int((self._ends <= now + 1e-9).sum()), len(self._rows) - 1)]

    def _learn(self, feedback: Feedback) -> None:
        """Only time passes."""


def few_phases(path: Phases, count: int) -> list[tuple[float, dict[str, float]]]:
    """The path as `count` phases (fewer where it has fewer), each the mean of what it replaces.

    >>> few_phases([(0.3, {"a": 1.0}), (0.1, {"a": 0.9, "b": 0.1}), (0.6, {"b": 1.0})], 2)
    [(0.4, {'a': 0.975, 'b': 0.025}), (0.6, {'a': 0.0, 'b': 1.0})]
    """
    if count < 1 or not path:
        raise DataError(f"expected a path and one phase or more, got {len(path)} and {count}")
    names = list(dict.fromkeys(name for _, mixture in path for name in mixture))
    parts = np.array([part for part, _ in path], dtype=np.float64)
    rows = np.array([[mixture.get(name, 0.0) for name in names] for _, mixture in path])
    parts, rows = _thinned(parts / parts.sum(), rows)
    return [
        (round(float(part), 9), dict(zip(names, row.round(9).tolist(), strict=True)))
        for part, row in _segments(parts, rows, min(count, len(parts)))
    ]


def _thinned(parts: Array, rows: Array) -> tuple[Array, Array]:
    """Neighbours taken together until there are at most _MOST phases."""
    group = -(-len(parts) // _MOST)
    starts = np.arange(0, len(parts), group)
    whole = np.add.reduceat(parts, starts)
    return whole, np.add.reduceat(parts[:, None] * rows, starts) / whole[:, None]


def _segments(parts: Array, rows: Array, count: int) -> list[tuple[float, Array]]:
    """Mean rows of the `count` stretches that lose least."""
    n = len(parts)
    mass = np.concatenate([[0.0], np.cumsum(parts)])
    first = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(parts[:, None] * rows, axis=0)])
    square = np.concatenate([[0.0], np.cumsum(parts * (rows**2).sum(axis=1))])
    best, origin = np.full((count + 1, n + 1), np.inf), np.zeros((count + 1, n + 1), dtype=int)
    best[0, 0] = 0.0
    for stretch in range(1, count + 1):
        for end in range(stretch, n + 1):
            begin = np.arange(stretch - 1, end)
            sums = first[end] - first[begin]
            loss = square[end] - square[begin] - (sums**2).sum(axis=1) / (mass[end] - mass[begin])
            total = best[stretch - 1, begin] + loss
            origin[stretch, end] = begin[int(total.argmin())]
            best[stretch, end] = total.min()
    found, end = [], n
    for stretch in range(count, 0, -1):
        begin = int(origin[stretch, end])
        part = mass[end] - mass[begin]
        found.append((float(part), (first[end] - first[begin]) / part))
        end = begin
    return found[::-1]
