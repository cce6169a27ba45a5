"""Problem: everything that a design or a proposer may look at, so that both are pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixopt.designs.base import Array
    from mixopt.fidelity import Fidelity
    from mixopt.laws.base import Law
    from mixopt.objective import Objective
    from mixopt.proposers.experts import Experts
    from mixopt.space import Space
    from mixopt.table import Table
    from mixopt.warm_start import WarmStart


@dataclass(frozen=True)
class Problem:
    """Where mixtures may lie, what is known, and to what end."""

    space: Space
    table: Table | None = None
    law: Law | None = None
    objective: Objective | None = None
    experts: Experts | None = None
    """What the proxy of each domain alone says of the target's text."""
    pending: Array | None = None
    """(p, width) planned runs without a result, failed ones among them: taken, but no evidence."""
    candidates: Array | None = None
    """(k, width) the only mixtures that a design may plan; None: the whole space."""
    fidelities: tuple[Fidelity, ...] = ()
    """Kinds of runs that a multi-fidelity design chooses among, the one that counts last."""
    warm: WarmStart | None = None
    """What earlier studies say of mixtures, for designs that start from it."""
