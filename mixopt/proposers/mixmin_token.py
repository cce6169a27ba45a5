"""mixmin_token: `mixmin` token by token, as Mixtures of Data Experts mix (Belenki 2025).

    w* = argmin  -(1/n) sum_t ln sum_j w_j p_j(t | what went before)         arXiv:2502.15950

A text whose parts come from different domains may use another proxy for each token, where
`mixmin` must give the whole sequence to one of them.
"""

from dataclasses import dataclass

import numpy as np

from mixopt.errors import DataError
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer
from mixopt.proposers.mixmin import experts_of, minimum


@dataclass
class MixMinToken(Proposer):
    """One row: the minimum inside the limits; the prior where all proxies are alike."""

    needs_law = False

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        experts = experts_of(problem)
        if (experts.tokens != 1).any():
            raise DataError(
                "mixmin_token needs a line for each token of the target's text, the experts' table "
                "has whole sequences: write one line a token, or use mixmin"
            )
        return minimum(problem, experts)
