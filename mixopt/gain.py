"""What a pick gains over the baselines by the law, its interval, and how much of it is optimism;
and how far the noise of the runs moves the pick itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import Law
from mixopt.objective import Objective
from mixopt.progress import Report, silent

Array = NDArray[np.float64]

REFITS = 30
DOMINANT = 0.2
"""Share from which a pick leans on a domain ..."""
NEARBY = 0.7
"""... and how much of it a run must have to count as near."""


@dataclass(frozen=True)
class Gain:
    """J(baseline) - J(pick), positive when the pick is better; units of the objective."""

    baseline: str
    mean: float
    sd: float
    low: float
    """Lower end of the 90 % interval: 95 % one-sided."""
    high: float

    def less(self, optimism: float) -> "Gain":
        """The gain less what choosing the pick by the same law adds to it."""
        moved = (self.mean - optimism, self.low - optimism, self.high - optimism)
        return replace(self, mean=moved[0], low=moved[1], high=moved[2])


class Optimism(NamedTuple):
    """How much a pick's predicted gain exceeds its true one, on average over refits."""

    mean: float
    se: float
    picks: Array
    """(refits, width) the pick by each refit: how far the runs' noise moves it."""


def gains(
    law: Law,
    objective: Objective,
    reference: Array,
    pick: Array,
    rivals: Mapping[str, Array],
    rng: np.random.Generator,
    draws: int = 1000,
) -> list[Gain]:
    """The gain of `pick` (width,) over each rival (width,), the best rival by the law first.

    From joint draws of the law: errors shared by pick and rival cancel.
    """
    rows = np.stack([pick, *rivals.values()])
    means = objective.value(objective.cut(law.predict(rows), reference), reference)
    values = objective.value(objective.cut(law.sample(rows, draws, rng), reference), reference)
    out = []
    for i, name in sorted(enumerate(rivals, start=1), key=lambda item: means[item[0]]):
        apart = values[:, i] - values[:, 0]
        low, high = np.quantile(apart, [0.05, 0.95])
        mean = float(means[i] - means[0])
        out.append(Gain(name, mean, float(apart.std(ddof=1)), float(low), float(high)))
    return out


def optimism(
    law: Law,
    objective: Objective,
    reference: Array,
    base: Array,
    propose: Callable[[Law], Array],
    rng: np.random.Generator,
    refits: int = REFITS,
    report: Report = silent,
) -> Optimism:
    """Parametric bootstrap: what picks by `propose` promise on simulated runs and do not keep.

    y* = f + noise, f_b the law refitted to y* (hyper-parameters kept), x_b = propose(f_b) (width,):
    mean over b of (f(x_b) - f(base)) - (f_b(x_b) - f_b(base)), in units of the objective.
    """
    means = law.predict(law.train_weights_, law.train_scales_)
    excess, picks = np.empty(refits), np.empty((refits, len(base)))
    for b in range(refits):
        report("optimism of the pick", b, refits)
        refit = law.refitted(law.simulated(rng, means))
        picks[b] = propose(refit)
        rows = np.stack([picks[b], base])
        kept = objective.value(objective.cut(law.predict(rows), reference), reference)
        promised = objective.value(objective.cut(refit.predict(rows), reference), reference)
        excess[b] = (kept[0] - kept[1]) - (promised[0] - promised[1])
    report("optimism of the pick", refits, refits)
    return Optimism(float(excess.mean()), float(excess.std(ddof=1) / np.sqrt(refits)), picks)


def weight_intervals(pick: Array, picks: Array, level: float = 0.9) -> Array:
    """(d, 2) the range of each share of `pick` (d,) over picks by refits (refits, d).

    Quantiles of what refits to simulated runs would have picked, widened to hold the pick.
    """
    low, high = np.quantile(picks, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.stack([np.minimum(low, pick), np.maximum(high, pick)], axis=1)


def support(train: Array, pick: Array) -> int:
    """Fewest runs of `train` (n, width) with at least .7 of the pick's share in a domain above .2.

    Under 3 the pick lies where the law was not shown much. A pick without such a domain is inside:
    the number of runs; one that has a domain of which no run had any is outside: 0.

    >>> support(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0.75, 0.25]))
    1
    """
    if (pick[train.max(axis=0, initial=0.0) == 0] > 0).any():
        return 0
    dominant = pick > DOMINANT
    if not dominant.any():
        return len(train)
    return int((train[:, dominant] >= NEARBY * pick[dominant]).sum(axis=0).min())
