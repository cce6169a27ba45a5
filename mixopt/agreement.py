"""Whether the members of a law agree on what the best mixture gains.

EDL cannot see a domain that harms, the Gaussian process can: where they promise different gains
for their own optima, there is something to train before there is anything to claim.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mixopt.gain import gains
from mixopt.laws.base import Law
from mixopt.objective import Objective

Array = NDArray[np.float64]

_DRAWS = 300
APART = 2.0
"""Standard deviations of the difference from which two gains are not the same."""


@dataclass(frozen=True)
class MemberOptimum:
    """The optimum of one member of the law by that member alone."""

    law: str
    row: Array
    """(width,)"""
    gain: float
    """Over the baseline, in units of the objective."""
    sd: float


def member_optima(
    law: Law,
    objective: Objective,
    reference: Array,
    baseline: tuple[str, Array],
    propose: Callable[[Law], Array],
    rng: np.random.Generator,
) -> list[MemberOptimum]:
    """What each member of `law` would propose and promise over `baseline`, a name and its row.

    `propose` finds the optimum (width,) of a law; none for a law without members.
    """
    optima = []
    for name, member in law.parts().items():
        row = propose(member)
        found = gains(member, objective, reference, row, dict([baseline]), rng, _DRAWS)[0]
        optima.append(MemberOptimum(name, row, found.mean, found.sd))
    return optima


def disagree(optima: Sequence[MemberOptimum]) -> bool:
    """Whether two promised gains differ by more than 2 sd of their difference."""
    return any(
        abs(one.gain - other.gain) > APART * float(np.hypot(one.sd, other.sd))
        for one, other in combinations(optima, 2)
    )
