"""edl_ts: Thompson sampling of the effective-data law; each next run is the optimum of one draw.

A draw is a whole law that the runs allow (Thompson 1933): where they leave the optimum open, draws
differ and the batch spreads by itself; where they settle it, draws agree.
"""

from dataclasses import dataclass

import numpy as np

from mixopt.designs.base import Array, Plan
from mixopt.designs.edl_greedy import centres
from mixopt.designs.search import Known, Search, pick_apart, pool, with_pending
from mixopt.laws.base import Law
from mixopt.laws.edl import EDL
from mixopt.problem import Problem

_AT_ONCE = 16
"""Draws held in memory."""


@dataclass
class EDLThompson(Search):
    """Optima of draws of EDL, its lack of fit included."""

    first: str = "spacefill"
    starts: int | None = None
    pool: int = 2000
    """Mixtures among which to choose."""

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        law = EDL().fit(known.table.weights, known.table.losses, known.table.info)
        rows = thompson(problem, known, law, self.pool, count, rng)
        return Plan(rows, searched=True, notes=law.notes())


def thompson(
    problem: Problem, known: Known, law: Law, size: int, count: int, rng: np.random.Generator
) -> Array:
    """Optima (count, width) of as many draws of a law, among about `size` mixtures."""
    rows = pool(problem, centres(problem, known, law, rng), size, rng)
    chosen = np.empty((0, problem.space.width))
    for start in range(0, count, _AT_ONCE):
        draws = law.sample(rows, min(_AT_ONCE, count - start), rng)
        for values in known.told(draws):
            ordered = rows[np.argsort(values, kind="stable")]
            left = with_pending(problem, chosen)
            chosen = np.vstack([chosen, pick_apart(left, ordered, 1, known.table.weights)])
    return chosen
