"""unimax: equal shares filled up under the epoch caps (Chung 2023, arXiv:2304.09151)."""

from dataclasses import dataclass

import numpy as np

from mixopt.baselines import unimax
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer, everywhere


@dataclass
class UniMax(Proposer):
    """One row: as equal as `max_epochs` of each domain allows, inside the other limits."""

    needs_law = False

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        return everywhere(problem.space, unimax(problem.space.caps))
