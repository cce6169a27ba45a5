"""simulate: the mean of the best of many samples, as RegMix decides (Liu 2024, arXiv:2407.01492).

Rows are drawn from Dirichlets around the tempered prior, with strengths from 0.1 to 5, and
projected into the limits; the law predicts them all; the answer is the mean of the `best` ones.
Near a face of the limits the mean is pulled inwards, which `exact` avoids.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixopt.problem import Problem
from mixopt.proposers.base import APART, Proposer, distance
from mixopt.proposers.goal import Goal
from mixopt.proposers.rounding import rounded
from mixopt.space import Space

Array = NDArray[np.float64]

_STRENGTHS = (0.1, 5.0)
_TEMPERATURE = 0.5
_FEW = 5000


@dataclass
class Simulate(Proposer):
    """The mean of the best predicted samples, then the best of them that are far from it."""

    samples: int = 100_000
    best: int = 128
    """How many samples the answer is a mean of."""

    def quick(self) -> "Simulate":
        """Fewer samples, and as much fewer of the best."""
        few = min(self.samples, _FEW)
        return replace(self, samples=few, best=max(1, self.best * few // self.samples))

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        space, goal = problem.space, Goal.of(problem)
        rows = dirichlet_rows(space, self.samples, rng)
        values = goal.values(rows)
        order = np.argsort(values, kind="stable")
        mean = rows[order[: self.best]].mean(axis=0)
        first = space.reference if goal.is_flat(values) else mean
        return rounded(space.polytope, with_others(space, first, rows[order], count))


def with_others(space: Space, first: Array, ordered: Array, count: int) -> Array:
    """`first` (width,) and the first of `ordered` (k, width) that are apart from all before."""
    chosen, rest = [first], ordered
    apart = APART + 1e-4 * space.width  # what rounding may take away
    while len(chosen) < count:
        rest = rest[distance(space, rest, chosen[-1]) >= apart]
        if len(rest) == 0:
            break
        chosen.append(rest[0])
    return np.stack(chosen)


def dirichlet_rows(space: Space, count: int, rng: np.random.Generator) -> Array:
    """`count` rows (count, width) inside the limits, from sparse ones to ones near the prior."""
    prior = space.prior.reshape(len(space.phases), space.d)
    tempered = prior**_TEMPERATURE
    tempered /= tempered.sum(axis=1, keepdims=True)
    low, high = np.log(_STRENGTHS)
    strength = np.exp(rng.uniform(low, high, (count, 1, 1)))
    gamma = rng.standard_gamma(strength * space.d * tempered, (count, *prior.shape))
    gamma = np.where(gamma.sum(axis=2, keepdims=True) > 0, gamma, tempered)
    shares = gamma / gamma.sum(axis=2, keepdims=True)
    return space.project(shares.reshape(count, space.width))
