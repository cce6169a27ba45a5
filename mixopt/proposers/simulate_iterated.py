"""simulate_iterated: rounds of sampling that close in on the best, as Olmix's search does (2026).

Each round draws rows from a Dirichlet around a centre, leaves out those that break a limit, keeps
all whose prediction is within a margin of the best, and averages them; the centre moves half-way
to that mean and the next round draws closer to it. The answer is the mean of the last round, shares
under 1e-5 dropped. Like every mean of samples it stays off the faces of the limits.
"""

from dataclasses import dataclass, replace

import numpy as np

from mixopt.errors import ConfigError
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer
from mixopt.proposers.goal import Goal
from mixopt.proposers.rounding import rounded
from mixopt.proposers.simulate import with_others
from mixopt.space import Space

_STRENGTHS = (1.0, 1000.0)
"""Concentration of the first and of the last round, a domain."""
_FEWEST = 0.01
"""Share of a round's rows that must be legal: else all are moved into the limits."""
_DROPPED = 1e-5


@dataclass
class SimulateIterated(Proposer):
    """The mean of the last round, then the best of its rows that are far from it."""

    samples: int = 10_000
    """Rows a round (published: 100,000)."""
    rounds: int = 10
    margin: float = 0.01
    """Rows within so many s_J of a round's best are averaged."""

    def __post_init__(self) -> None:
        if self.samples < 1 or self.rounds < 1 or not self.margin >= 0:
            raise ConfigError("simulate_iterated: expected samples and rounds of 1 or more")

    def quick(self) -> "SimulateIterated":
        """Fewer rows."""
        return replace(self, samples=min(self.samples, 1000))

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        space, goal = problem.space, Goal.of(problem)
        centre = mean = space.reference
        seen, values = space.reference[None], goal.values(space.reference[None])
        for strength in np.geomspace(*_STRENGTHS, self.rounds):
            rows = around(space, centre, strength, self.samples, rng)
            found = goal.values(rows)
            if goal.is_flat(found):
                return rounded(space.polytope, space.reference[None])
            mean = rows[found <= found.min() + self.margin].mean(axis=0)
            centre = 0.5 * (centre + mean)
            seen, values = np.concatenate([seen, rows]), np.concatenate([values, found])
        first = space.project(np.where(mean < _DROPPED, 0.0, mean)[None])[0]
        rows = with_others(space, first, seen[np.argsort(values, kind="stable")], count)
        return rounded(space.polytope, rows)


def around(
    space: Space, centre: Array, strength: float, count: int, rng: np.random.Generator
) -> Array:
    """Legal rows (at most `count`, width) of a Dirichlet around `centre`, phase by phase."""
    shares = centre.reshape(len(space.phases), space.d)
    gamma = rng.standard_gamma(strength * space.d * shares, (count, *shares.shape))
    sums = gamma.sum(axis=2, keepdims=True)
    drawn = np.where(sums > 0, gamma / np.where(sums > 0, sums, 1.0), shares)
    rows = drawn.reshape(count, space.width)
    legal = space.contains(rows)
    return rows[legal] if legal.mean() >= _FEWEST else space.project(rows)
