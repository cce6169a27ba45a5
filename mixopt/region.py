"""The sampled region: mixtures of which the runs have shown enough to propose them.

w_j <= max(0.2, third largest share of j over the runs / 0.7), and 0 where no run had any of j:
every mixture inside has the support (`gain.support`) of 3 runs or more.
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InfeasibleError
from mixopt.gain import DOMINANT, NEARBY
from mixopt.space import Space
from mixopt.verdict import LEAST_SUPPORT

Array = NDArray[np.float64]

_AT_BOUND = 1e-3
_SLACK = 1e-9


def sampled_region(space: Space, train: Array) -> Space | None:
    """The part of the space that the runs (n, width) support; None where there is none.

    >>> from mixopt.space import Domain
    >>> space = Space([Domain("web"), Domain("code")])
    >>> train = np.array([[0.5, 0.5], [0.7, 0.3], [0.65, 0.35], [0.4, 0.6]])
    >>> region = sampled_region(space, train)
    >>> [round(float(share), 3) for share in region.upper]
    [0.714, 0.5]
    """
    if len(train) < LEAST_SUPPORT:
        return None
    third = np.sort(train, axis=0)[-LEAST_SUPPORT]
    reach = np.maximum(DOMINANT, third / NEARBY - _SLACK)
    reach[train.max(axis=0) == 0] = 0.0
    by_domain = reach.reshape(len(space.phases), space.d).min(axis=0)
    try:
        return space.under(np.maximum(by_domain, space.lower[: space.d]))
    except InfeasibleError:
        return None


def held_back(space: Space, region: Space, row: Array) -> dict[str, float]:
    """Largest shares by domain that kept a proposal (width,) inside the region, and not the limits.

    Domains that no run had are held at 0.
    """
    phases = row.reshape(len(space.phases), space.d).max(axis=0)
    found = {}
    for j, name in enumerate(space.names):
        bound = float(region.domains[j].maximum)
        if phases[j] > bound - _AT_BOUND and bound < space.upper[j] - _AT_BOUND:
            found[name] = bound
    return found
