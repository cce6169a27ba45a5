"""cautious: a mixture whose gain is large and sure, from joint draws of the law.

    w_R = argmax  mean[g(w)] - R sd[g(w)],    g(w) = (J(b) - J(w)) / s_J - strength * KL(w || p0')

b is the mixture to beat. The mean is the law's own prediction and the sd is over draws of it, in
which errors that w and b share cancel. R = 1.645 maximises the lower end of a one-sided 95 %
interval under normal errors; where no gain is as sure as that, the answer is b. The law's sd has no
slopes to follow, so rows are searched in rounds: good samples, the optimum, and ways from it
towards b, the prior and the runs; then mixtures of the best, ever nearer to them.
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.proposers.goal import Goal

Array = NDArray[np.float64]

_ROWS = 200
_DRAWS = 100
_KEPT = 12
_REACH = (1.0, 0.5, 0.25)
"""How far a round's rows go from the best towards others."""


def cautious(
    goal: Goal,
    optimum: Array,
    over: Array,
    rows: Array,
    values: Array,
    risk: float,
    rng: np.random.Generator,
) -> Array:
    """The best row (width,) found for `risk` R against `over` (width,), among `rows` (k, width),
    their `values` (k,), the `optimum` (width,) and mixtures of them.
    """
    reference = goal.space.reference
    best = rows[np.argsort(values, kind="stable")[:_ROWS]]
    kept = np.stack([optimum, goal.space.project(over[None])[0], reference])
    seed = int(rng.integers(2**32))  # the same draws in each round, so that rounds compare
    for reach in _REACH:
        ends = np.concatenate([best, kept, reference[None]])
        starts = kept[rng.integers(len(kept), size=_ROWS)]
        step = reach * rng.random((_ROWS, 1))
        between = (1 - step) * starts + step * ends[rng.integers(len(ends), size=_ROWS)]
        pool = np.concatenate([kept, between])
        scores = _scores(goal, pool, over, risk, np.random.default_rng(seed))
        kept = pool[np.argsort(scores, kind="stable")[:_KEPT]]
    return kept[0]


def _scores(goal: Goal, pool: Array, over: Array, risk: float, rng: np.random.Generator) -> Array:
    """What is minimised, (k,), in s_J."""
    together = np.concatenate([pool, over[None]])
    drawn = goal.told(goal.law.sample(together, _DRAWS, rng))
    sd = (drawn[:, -1:] - drawn[:, :-1]).std(axis=0) / goal.unit
    return goal.values(pool) + risk * sd
