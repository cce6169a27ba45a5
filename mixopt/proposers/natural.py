"""natural: shares by the tokens that there are, or the prior where counts are unknown."""

from dataclasses import dataclass

import numpy as np

from mixopt.baselines import natural
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer, everywhere


@dataclass
class Natural(Proposer):
    """One row: natural shares inside the limits."""

    needs_law = False

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        return everywhere(problem.space, natural(problem.space))
