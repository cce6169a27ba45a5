"""utilimax: utilities of single domains balanced against concentration (Held 2025).

    w* = argmin  |U'w - 1|_v + c w'w                           arXiv:2501.11747

U (d, m) is how much of what any domain alone can do for a metric domain j alone does: 0 for the
worst of them, 1 for the best; v are the objective's weights. U'w = 1 would serve every metric as
well as its own best domain does. The portfolio's covariance is taken as the identity: from one
ablation a domain none can be estimated. Caps and other limits are those of the space.
"""

from dataclasses import dataclass

import numpy as np

from mixopt.errors import ConfigError, DataError
from mixopt.problem import Problem
from mixopt.proposers.base import Array, Proposer
from mixopt.proposers.rounding import rounded
from mixopt.proposers.solver import convex_minimum
from mixopt.space import Space

ALONE = 0.95
"""Share from which a run counts as one of a single domain."""
_ROUND_OFF = 1e-12
"""Under the root, so that a perfect portfolio has a slope."""


@dataclass
class UtiliMax(Proposer):
    """One row, from the table's runs of single domains."""

    needs_law = False

    concentration: float = 1.0
    """c, the weight of concentration; 0: utilities alone decide."""

    def __post_init__(self) -> None:
        if not self.concentration >= 0:
            raise ConfigError(
                f"utilimax: expected a concentration of 0 or more, got {self.concentration}"
            )

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        utilities, weights = single_domain_utilities(problem)
        goal = Portfolio(problem.space, utilities, weights, self.concentration)
        row = convex_minimum(goal, problem.space.polytope, problem.space.reference)
        return rounded(problem.space.polytope, row[None])


def single_domain_utilities(problem: Problem) -> tuple[Array, Array]:
    """Utilities (d, u) of the objective's metrics that single domains move, and weights (u,).

    Raises DataError without an objective, and for domains of which there is no run alone.
    """
    space, table, objective = problem.space, problem.table, problem.objective
    if table is None or objective is None:
        raise DataError("utilimax needs finished runs of each domain alone, and an objective")
    shares = space.mean_shares(table.weights)
    used = np.flatnonzero(objective.weights > 0)
    measured = np.asarray(np.isfinite(table.losses[:, used]).all(axis=1))
    alone = (shares >= ALONE) & measured[:, None]
    missing = [name for name, runs in zip(space.names, alone.T) if not runs.any()]
    if missing:
        raise DataError(
            f"utilimax needs a run of each domain alone (a share of {ALONE:g} or more), there is "
            f"none of {', '.join(missing)}: train and import these, or use another method"
        )
    losses = np.stack([table.losses[runs][:, used].mean(axis=0) for runs in alone.T])
    best, worst = losses.min(axis=0), losses.max(axis=0)
    moves = np.flatnonzero(worst > best)
    utilities = (worst - losses)[:, moves] / (worst - best)[moves]
    return utilities, objective.weights[used][moves]


class Portfolio:
    """|U'w - 1|_v + c w'w of rows, with slopes; convex."""

    def __init__(self, space: Space, utilities: Array, weights: Array, price: float) -> None:
        self._space, self._utilities, self._weights = space, utilities, weights
        self._price = price

    def values(self, rows: Array) -> Array:
        """(k,)"""
        shares = self._space.mean_shares(rows)
        return self._shortfall(shares)[0] + self._price * (shares**2).sum(axis=1)

    def gradients(self, rows: Array) -> Array:
        """(k, width)"""
        shares = self._space.mean_shares(rows)
        length, missing = self._shortfall(shares)
        slopes = (missing * self._weights / length[:, None]) @ self._utilities.T
        slopes = slopes + 2 * self._price * shares
        return np.concatenate([part * slopes for part in self._space.phases], axis=1)

    def _shortfall(self, shares: Array) -> tuple[Array, Array]:
        """The length (k,) of what is missing (k, u)."""
        missing = shares @ self._utilities - 1.0
        return np.sqrt((missing**2) @ self._weights + _ROUND_OFF), missing
