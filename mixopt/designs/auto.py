"""auto: a first round in blocks that covers the space, then the search that does best for its size.

Which search that is was read off made-up worlds, never off public tables, by the number of domains:

    python benchmarks/searchers.py

Where earlier studies are given to start from, it is `bo`, which reads them. A loop stops `auto`
where the expected further gain is under the detectable one, and verifies what EDL, the Gaussian
process and their mean claim as optima, because EDL sees no harm.
"""

from dataclasses import dataclass, replace

import numpy as np

from mixopt.designs.base import Plan
from mixopt.designs.search import Known, Search
from mixopt.errors import MissingExtraError
from mixopt.problem import Problem

CHOSEN = ((10, "bo"), (None, "edl_ts"))
"""(most columns, design) in order; None: no limit."""
WARM = "bo"
"""The search that starts from earlier studies."""
WITHOUT_EXTRA = "edl_ts"
"""What stands in where the chosen design needs an extra that is not installed."""


@dataclass
class Auto(Search):
    """The design that the table of sizes names."""

    first: str = "spacefill"
    starts: int | None = None

    def _detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        from mixopt.designs import make_design

        if problem.warm is None:
            return super()._detailed(problem, count, rng)
        plan = make_design(WARM).detailed(problem, count, rng)
        return replace(plan, notes=(f"auto chose {WARM}, which reads earlier studies", *plan.notes))

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        from mixopt.designs import make_design  # the registry names this class

        name, notes = chosen(problem.space.width), ()
        try:
            design = make_design(name)
        except MissingExtraError as error:
            notes = (f"{WITHOUT_EXTRA} stands in: {error}",)
            name, design = WITHOUT_EXTRA, make_design(WITHOUT_EXTRA)
        plan = design.detailed(problem, count, rng)
        return Plan(
            plan.rows, plan.searched, (f"auto chose {name}", *notes, *plan.notes), plan.fidelity
        )


def chosen(width: int) -> str:
    """The search for so many columns.

    >>> chosen(5), chosen(1000)
    ('bo', 'edl_ts')
    """
    return next(name for most, name in CHOSEN if most is None or width <= most)
