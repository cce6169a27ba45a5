"""uniform: equal shares, inside the limits."""

from dataclasses import dataclass

import numpy as np

from mixopt.baselines import uniform
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer, everywhere


@dataclass
class Uniform(Proposer):
    """One row: equal shares inside the limits."""

    needs_law = False

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        return everywhere(problem.space, uniform(problem.space))
