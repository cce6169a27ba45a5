"""mixmin: the mixture whose mixture of proxies gives the target's text the most (Thudi 2025).

    w* = argmin  -(1/n) sum_z (1/|z|) ln sum_j w_j p_j(z)          arXiv:2502.10510

z are sequences of the target's text and p_j is the proxy that was trained on domain j alone. Under
cross-entropy the best model of a mixture is the mixture of the best models, so the sum is what a
proxy of the mixture would lose, if the domains taught each other nothing. Convex in w. Over long
texts one proxy takes nearly each whole sequence: `mixmin_token` asks token by token. Proxies of one
domain say nothing of repetition; the caps of the space do.
"""

from dataclasses import dataclass

import numpy as np

from mixopt.errors import DataError
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer
from mixopt.proposers.experts import Experts
from mixopt.proposers.rounding import rounded
from mixopt.proposers.solver import convex_minimum
from mixopt.space import Space


@dataclass
class MixMin(Proposer):
    """One row: the minimum inside the limits; the prior where all proxies are alike."""

    needs_law = False

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        return minimum(problem, experts_of(problem).by_sequence())


def experts_of(problem: Problem) -> Experts:
    """The problem's experts. Raises DataError where there are none, or for other domains."""
    if problem.experts is None:
        raise DataError(
            "mixmin needs what the proxy of each domain alone says of the target's text: "
            "name the table with --experts (columns: sequence, tokens and every domain)"
        )
    if problem.experts.log_likelihood.shape[1] != problem.space.d:
        raise DataError(
            f"expected experts of the space's {problem.space.d} domains, "
            f"got {problem.experts.log_likelihood.shape[1]}"
        )
    return problem.experts


def minimum(problem: Problem, experts: Experts) -> Array:
    """The row (1, width) under which the lines of `experts` lose least a token."""
    space = problem.space
    row = convex_minimum(Ensemble(space, experts), space.polytope, space.reference)
    return rounded(space.polytope, row[None])


class Ensemble:
    """Nats a token that a mixture of proxies loses, the mean over lines; convex in the row."""

    def __init__(self, space: Space, experts: Experts) -> None:
        top = experts.log_likelihood.max(axis=1, keepdims=True)
        self._space = space
        self._relative = np.exp(experts.log_likelihood - top)  # (n, d), the best proxy's is 1
        self._share = 1.0 / (experts.tokens * len(experts.tokens))
        self._least = -float(self._share @ top[:, 0])

    def values(self, rows: Array) -> Array:
        """(k,)"""
        likelihood = self._relative @ self._space.mean_shares(rows).T
        tiny = np.finfo(np.float64).tiny
        return self._least - self._share @ np.log(np.maximum(likelihood, tiny))

    def gradients(self, rows: Array) -> Array:
        """(k, width)"""
        tiny = np.finfo(np.float64).tiny
        likelihood = np.maximum(self._relative @ self._space.mean_shares(rows).T, tiny)
        slopes = -(self._share[:, None] / likelihood).T @ self._relative
        return np.concatenate([part * slopes for part in self._space.phases], axis=1)
