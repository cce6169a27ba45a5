"""auto: a first round in blocks that covers the space, then edl_gp_ts; after earlier studies, bo.

edl_gp_ts is the search that did best on made-up worlds of 5 to 50 domains, never chosen on public
tables: python benchmarks/searchers.py. Only `bo` reads earlier studies.

A loop stops `auto` where the expected further gain is under the detectable one, and verifies what
EDL, the Gaussian process and their mean claim as optima.
"""

from dataclasses import dataclass, replace

import numpy as np

from mixopt.designs.base import Plan
from mixopt.designs.search import Known, Search
from mixopt.problem import Problem

CHOSEN = "edl_gp_ts"
WARM = "bo"
"""The search that starts from earlier studies."""


@dataclass
class Auto(Search):
    """The design that is taken where nobody chooses one."""

    first: str = "spacefill"
    starts: int | None = None

    def _detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        if problem.warm is None:
            return super()._detailed(problem, count, rng)
        return _as(WARM, problem, count, rng)

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        return _as(CHOSEN, problem, count, rng)


def _as(name: str, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
    """What another design plans, and that it was chosen."""
    from mixopt.designs import make_design  # the registry names this module's class

    plan = make_design(name).detailed(problem, count, rng)
    return replace(plan, notes=(f"auto chose {name}", *plan.notes))
