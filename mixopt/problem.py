"""Problem: everything that a design or a proposer may look at, so that both are pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixopt.laws.base import Law
    from mixopt.objective import Objective
    from mixopt.space import Space
    from mixopt.table import Table


@dataclass(frozen=True)
class Problem:
    """Where mixtures may lie, what is known, and to what end."""

    space: Space
    table: Table | None = None
    law: Law | None = None
    objective: Objective | None = None
