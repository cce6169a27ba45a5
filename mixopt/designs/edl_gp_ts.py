"""edl_gp_ts: Thompson sampling of (EDL + GP) / 2; each next run is the optimum of one draw.

A draw is one of the effective-data law or one of the process. EDL sends runs where its curve says,
also far from what was run; the process goes where a domain harms, jumps or is read too often, which
EDL cannot show. It is the search in the law that `propose` uses (Thompson 1933; laws/edl_gp.py).
"""

from dataclasses import dataclass

import numpy as np

from mixopt.designs.base import Plan
from mixopt.designs.edl_ts import thompson
from mixopt.designs.search import Known, Search
from mixopt.laws.edl_gp import EDLGP
from mixopt.problem import Problem


@dataclass
class EDLGPThompson(Search):
    """Optima of draws of EDL-GP."""

    first: str = "spacefill"
    starts: int | None = None
    pool: int = 1000
    """Mixtures among which to choose."""
    most: int = 500
    """Runs that the law learns from: of more, the best half and a random rest."""

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        part, notes = known.part(self.most, rng), ()
        if len(known.table) > self.most:
            notes = (
                f"edl_gp_ts: {self.most} of {len(known.table)} runs, best half and random rest",
            )
        law = EDLGP().fit(part.table.weights, part.table.losses, part.table.info)
        rows = thompson(problem, known, law, self.pool, count, rng)
        return Plan(rows, searched=True, notes=(*notes, *law.notes()))
