"""Stopping: whether a further round could find a gain that a confirmation would see.

What is still to be gained is E[J(pick) - min_w J(w)] over draws of the law: 0 once every draw has
its optimum at the pick. A gain below t sigma_int sqrt(2 / S) is not seen in S paired seeds.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from mixopt.designs.search import pool
from mixopt.problem import Problem
from mixopt.proposers.goal import Goal

Array = NDArray[np.float64]

SEEDS = 5
"""Of a confirmation, where nobody sets others."""
_POOL = 1000
_AT_ONCE = 25


def detectable(sigma: float, seeds: int = SEEDS) -> float:
    """The smallest gain that paired seeds show, one-sided at 5 %: t sigma sqrt(2 / S).

    >>> round(detectable(1.0), 3)
    1.348
    """
    return float(t.ppf(0.95, seeds - 1) * sigma * np.sqrt(2.0 / seeds))


def expected_gain(
    problem: Problem, pick: Array, rng: np.random.Generator, draws: int = 100
) -> float:
    """What a perfect choice would gain over `pick` (width,), mean over draws of the law.

    In units of the objective. The problem has a law and an objective.
    """
    assert problem.law is not None
    goal = Goal.of(problem)
    centres = pick[None] if problem.table is None else np.vstack([pick, problem.table.weights[:50]])
    rows = np.vstack([pick, pool(replace(problem, candidates=None), centres, _POOL, rng)])
    gains: list[Array] = []
    for start in range(0, draws, _AT_ONCE):
        values = goal.told(problem.law.sample(rows, min(_AT_ONCE, draws - start), rng))
        gains.append(values[:, 0] - values.min(axis=1))
    return float(np.concatenate(gains).mean())
