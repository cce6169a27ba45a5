"""verify: mixtures to train because laws that err differently claim them as their optima.

The picks of `mixopt.verification`, as a design: they lie inside the caps, not twice the caps, since
they stand for what would be proposed.
"""

from dataclasses import dataclass, replace

import numpy as np

from mixopt.designs.base import Plan
from mixopt.designs.search import Known, Search, pick_apart, pool, refocused
from mixopt.problem import Problem
from mixopt.verification import verification_picks


@dataclass
class Verify(Search):
    """The optima of `edl_gp`, `gp` and `edl`, then what `edl_gp` proposes beside its own."""

    first: str = "spacefill"
    starts: int | None = None

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        strict = problem.space.widened(1.0 / problem.space.cap_factor)
        inside = replace(refocused(problem, known), space=strict)
        picks = verification_picks(inside, count, rng)
        beside = pool(replace(problem, space=strict), picks, 200, rng)
        ranked = np.concatenate([picks, beside[rng.permutation(len(beside))]])
        chosen = pick_apart(replace(problem, space=strict), ranked, count, known.table.weights)
        return Plan(chosen, searched=True)
