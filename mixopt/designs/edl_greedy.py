"""edl_greedy: run next what the effective-data law predicts to be best, again and again.

From 8 runs on it found the best of RegMix's 512 mixtures with fewer runs than a Gaussian process
with expected improvement (median 18 against 23). It cannot see harm or over-repetition: verify.
"""

from dataclasses import dataclass, replace

import numpy as np

from mixopt.designs.base import Array, Plan
from mixopt.designs.search import Known, Search, best_rows, pick_apart, pool, refocused
from mixopt.laws.base import Law
from mixopt.laws.edl import EDL
from mixopt.problem import Problem
from mixopt.proposers.exact import Exact

_CENTRES = 8


@dataclass
class EDLGreedy(Search):
    """The optima of EDL that are not taken, the best predicted first."""

    first: str = "spacefill"
    starts: int | None = None
    pool: int = 4000
    """Mixtures among which to choose."""

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        law = EDL().fit(known.table.weights, known.table.losses, known.table.info)
        rows = pool(problem, centres(problem, known, law, rng), self.pool, rng)
        order = np.argsort(known.told(law.predict(rows)), kind="stable")
        chosen = pick_apart(problem, rows[order], count, known.table.weights)
        return Plan(chosen, searched=True, notes=law.notes())


def centres(problem: Problem, known: Known, law: Law, rng: np.random.Generator) -> Array:
    """Where to look closely: the optimum of a law, and the best runs."""
    if problem.candidates is not None:
        return problem.candidates[:1]
    goal = replace(refocused(problem, known), law=law)
    optimum = Exact(samples=1024, starts=4).propose(goal, 1, rng)
    return np.concatenate([optimum, best_rows(known, _CENTRES)])
