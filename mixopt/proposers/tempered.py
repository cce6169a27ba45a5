"""tempered: natural shares to a power, between natural (1) and equal ones (0)."""

from dataclasses import dataclass

import numpy as np

from mixopt.baselines import tempered
from mixopt.errors import ConfigError
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer, everywhere


@dataclass
class Tempered(Proposer):
    """One row: tempered shares inside the limits."""

    needs_law = False

    power: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.power <= 1:
            raise ConfigError(f"tempered: expected a power from 0 to 1, got {self.power}")

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        return everywhere(problem.space, tempered(problem.space, self.power))
