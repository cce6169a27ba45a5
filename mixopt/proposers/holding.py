"""holding: schedules of fewer phases than the space has, e.g. the best mixture that stays still.

A schedule that holds its mixture over neighbouring phases is a point v of a smaller space; the law
sees it as w = R v, each mixture repeated: h(v) = f(R v), dh/dv = R^T df/dw. Every way to merge s
phases into p neighbourhoods is tried, the one with the best optimum is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError
from mixopt.laws.base import Info, Law
from mixopt.problem import Problem
from mixopt.proposers.base import Proposer
from mixopt.proposers.goal import Goal

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass
class Held(Law):
    """A law of s phases asked in a smaller space."""

    law: Law
    columns: Index
    """(width of the law,) the column of the small space that each of its columns repeats."""

    @classmethod
    def of(cls, law: Law, columns: Index) -> "Held":
        """A fitted law, with its runs as they would be if they had held their mean mixtures."""
        held = cls(law, columns)
        width = int(columns.max()) + 1
        count = np.bincount(columns, minlength=width)
        repeated = columns[None, :] == np.arange(width)[:, None]
        held.train_weights_ = law.train_weights_ @ repeated.T / count
        held.train_losses_, held.noise_ = law.train_losses_, law.noise_
        return held

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Those of the law."""
        return self.law.sample(self._checked(weights)[:, self.columns], draws, rng, scales)

    def gradient(self, weights: Array) -> Array:
        """Sums of the law's slopes over the columns that repeat one."""
        slopes = self.law.gradient(self._checked(weights)[:, self.columns])
        repeated = self.columns[:, None] == np.arange(weights.shape[1])
        return slopes @ repeated

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.law.fit(weights[:, self.columns], losses, info)
        self.noise_ = self.law.noise_

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        return self.law.predict(weights[:, self.columns], scales, return_std=True)

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        return self.law.predict(weights[:, self.columns], scales)


@dataclass
class Holding(Proposer):
    """What `proposer` finds among schedules of at most so many phases."""

    proposer: Proposer
    phases: int = 1

    def quick(self) -> Proposer:
        """The proposer's."""
        return replace(self, proposer=self.proposer.quick())

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        s = len(problem.space.phases)
        if not 1 <= self.phases <= s:
            raise ConfigError(
                f"expected 1 to {s} phases, as many as [target] of space.toml has, got "
                f"{self.phases}: more need runs that change their mixture, see docs/online.md"
            )
        found = [self._held(problem, widths, count, rng) for widths in _merges(s, self.phases)]
        goal = Goal.of(problem)
        return min(found, key=lambda rows: float(goal.values(rows[:1])[0]))

    def _held(
        self, problem: Problem, widths: Sequence[int], count: int, rng: np.random.Generator
    ) -> Array:
        """Rows (count, width) that hold their mixture over so many phases each."""
        assert problem.law is not None
        space = problem.space
        stops = np.cumsum([0, *widths])
        fractions = [sum(space.phases[start:stop]) for start, stop in pairwise(stops)]
        columns = np.concatenate(
            [
                np.arange(space.d) + space.d * part
                for part in np.repeat(np.arange(len(widths)), widths)
            ]
        )
        small = replace(
            problem,
            space=space.in_phases(fractions),
            law=Held.of(problem.law, columns),
            table=None,
            pending=None,
        )
        return self.proposer.propose(small, count, rng)[:, columns]


def _merges(s: int, p: int) -> Iterator[list[int]]:
    """Every way to cut s phases into p neighbourhoods, as their widths.

    >>> list(_merges(3, 2))
    [[1, 2], [2, 1]]
    """
    for cuts in combinations(range(1, s), p - 1):
        yield [stop - start for start, stop in pairwise((0, *cuts, s))]
