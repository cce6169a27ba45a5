"""Random: mixtures drawn uniformly inside the limits, what every other design must beat."""

from dataclasses import dataclass

import numpy as np

from mixopt.designs.base import Array, Design, Plan, completed
from mixopt.problem import Problem
from mixopt.space import Space


@dataclass
class Random(Design):
    """Independent uniform points; of a finite set of candidates, some that were not taken."""

    def _plan(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        return completed(space, space.uniform(count, rng), count, rng)

    def _detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        if problem.candidates is None:
            return super()._detailed(problem, count, rng)
        taken = [problem.pending, None if problem.table is None else problem.table.weights]
        rows = problem.candidates[rng.permutation(len(problem.candidates))]
        for part in taken:
            if part is not None and len(part):
                away = np.abs(rows[:, None] - part[None]).max(axis=2).min(axis=1)
                rows = rows[away > 1e-9] if (away > 1e-9).any() else rows  # all are: replicates
        return Plan(rows[np.arange(count) % len(rows)])
