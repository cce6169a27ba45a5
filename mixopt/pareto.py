"""Pareto sets: mixtures that no other beats on every objective, and what one costs another.

    w_t = argmin  sum_o t_o J_o(law(w)) / s_o        for shares t of a lattice on the simplex

Each corner is an objective's own optimum. Sums reach every such mixture where law and objectives
are convex; elsewhere those inside a dent of the front are missed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.base import distance
from mixopt.proposers.exact import Exact
from mixopt.proposers.goal import Goal
from mixopt.proposers.smoothing import Weighted

Array = NDArray[np.float64]

_STEPS = {2: 8, 3: 4}
"""Steps of the lattice along an edge, by objectives; 2 for more of them."""
_SAME = 0.02
"""Points nearer than this in L1 are one."""
_NEVER_WORSE = 1e-9
_MOST = 7
"""Points that people can weigh."""


class Trade(NamedTuple):
    """What a point of the set gives up of one objective and buys of another."""

    point: int
    lost: str
    """The objective of which something is given up ..."""
    cost: float
    """... and how much of it."""
    won: str
    gain: float


@dataclass(frozen=True, eq=False)
class ParetoSet:
    """Mixtures (k) among which every choice gives up something, ordered by the first objective."""

    objectives: tuple[str, ...]
    rows: Array
    """(k, width)"""
    losses: Array
    """(k, o) objectives as predicted, lower is better."""

    def named(self) -> dict[str, Array]:
        """Rows by the names under which rankings and exports know them."""
        return {f"pareto-{i}": row for i, row in enumerate(self.rows, start=1)}

    def to_json(self) -> dict[str, Any]:
        """The set for machines."""
        points = [
            {"name": name, "losses": dict(zip(self.objectives, losses))}
            for name, losses in zip(self.named(), self.losses.tolist())
        ]
        trades = [
            {**trade._asdict(), "point": f"pareto-{trade.point + 1}"} for trade in self.trades()
        ]
        return {"objectives": list(self.objectives), "points": points, "trades": trades}

    def trades(self) -> list[Trade]:
        """For each point that costs an objective something, its cheapest trade.

        What is given up is counted from the optimum of the objective that gives it up, and what
        is bought from the same mixture; cheap is much bought for little, in ranges of the front.
        """
        found, best = [], self.losses.argmin(axis=0)
        span = np.maximum(np.ptp(self.losses, axis=0), _NEVER_WORSE)
        for point in range(len(self.rows)):
            trades = []
            for o, start in enumerate(best):
                gains = self.losses[start] - self.losses[point]
                bought = int((gains / span).argmax())
                if -gains[o] > _NEVER_WORSE and gains[bought] > _NEVER_WORSE:
                    price = -gains[o] / span[o] / (gains[bought] / span[bought])
                    names = self.objectives[o], self.objectives[bought]
                    trade = Trade(point, names[0], float(-gains[o]), names[1], float(gains[bought]))
                    trades.append((price, trade))
            if trades:
                found.append(min(trades, key=lambda item: item[0])[1])
        return found


def pareto_set(
    problem: Problem, objectives: Mapping[str, Objective], rng: np.random.Generator
) -> ParetoSet:
    """The set for two or more objectives of a problem with a law (its own objective is not asked).

    Raises DataError for fewer objectives.
    """
    if len(objectives) < 2:
        raise DataError(
            "a trade-off needs two objectives or more: name them in space.toml, [objective.NAME]"
        )
    problems = [replace(problem, objective=objective) for objective in objectives.values()]
    goals = [Goal.of(one) for one in problems]
    solver = Exact(samples=1024, starts=2)
    rows = np.concatenate(
        [solver.minimum(_weighted(goals, shares), problem, rng) for shares in _lattice(len(goals))]
    )
    losses = np.stack([goal.objective_values(rows) for goal in goals], axis=1)
    order = np.lexsort(losses.T[::-1])
    kept = _not_beaten(problem, rows[order], losses[order])
    kept = _thinned(losses[order], kept)
    return ParetoSet(tuple(objectives), rows[order][kept], losses[order][kept])


def _weighted(goals: Sequence[Goal], shares: Array) -> Goal:
    """The goal whose objective is the sum of the goals' own, each in its s_J."""
    parts = tuple(goal.objective for goal in goals)
    units = np.array([goal.unit for goal in goals])
    return replace(goals[0], objective=Weighted(parts, shares / units), spread=1.0)


def _lattice(count: int) -> list[Array]:
    """Shares (count,) in equal steps, the corners among them."""
    steps = _STEPS.get(count, 2)
    picks = combinations_with_replacement(range(count), steps)
    return [np.bincount(pick, minlength=count) / steps for pick in picks]


def _not_beaten(problem: Problem, rows: Array, losses: Array) -> list[int]:
    """Which rows no other beats everywhere, near ones once."""
    kept: list[int] = []
    for i, mine in enumerate(losses):
        beats = (losses <= mine + _NEVER_WORSE).all(axis=1) & (losses < mine - _NEVER_WORSE).any(
            axis=1
        )
        near = kept and distance(problem.space, rows[kept], rows[i]).min() < _SAME
        if not beats.any() and not near:
            kept.append(i)
    return kept


def _thinned(losses: Array, kept: list[int]) -> list[int]:
    """At most 7 of the points: the optimum of each objective, then what is farthest from them."""
    span = np.maximum(np.ptp(losses[kept], axis=0), _NEVER_WORSE)
    places = losses / span
    chosen = list(dict.fromkeys(kept[int(i)] for i in losses[kept].argmin(axis=0)))
    while len(chosen) < min(_MOST, len(kept)):
        apart = np.abs(places[kept][:, None] - places[chosen]).sum(axis=2).min(axis=1)
        chosen.append(kept[int(apart.argmax())])
    return sorted(chosen)
