"""branched: schedules on few trunks; the points of a trunk differ in the last phase alone.

Training pays for a trunk once, so that n schedules with the last phase at a share f cost
n f + (n / b) (1 - f) runs for b branches a trunk. Trunks are the first points of a design; the last
phases of its other points become their branches, moved towards the trunk's own as far as the limits
of the whole ask for: L = l + t (r - l), the largest t <= 1.
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import Array
from mixopt.errors import ConfigError
from mixopt.polytope import Polytope
from mixopt.space import Space

_LEAST = 0.05
"""A branch that the limits leave less than this part of its way is a trunk of its own."""


def branched(space: Space, rows: Array, branches: int) -> tuple[Array, NDArray[np.int64]]:
    """The points (n, width) of a design as trunks with so many branches, and their trunks (n,).

    Raises ConfigError for a space of one phase.

    >>> from mixopt.space import Domain
    >>> space = Space([Domain("web"), Domain("code")], phases=[0.8, 0.2])
    >>> design = np.array([[0.5, 0.5, 0.2, 0.8], [0.9, 0.1, 0.6, 0.4]])
    >>> points, trunk = branched(space, design, 2)
    >>> points.tolist(), trunk.tolist()
    ([[0.5, 0.5, 0.2, 0.8], [0.5, 0.5, 0.6, 0.4]], [0, 0])
    """
    if len(space.phases) < 2:
        raise ConfigError(
            "branches need a last phase to differ in, got mixtures of one phase: set phases under "
            "[target] in space.toml, as in phases = [0.8, 0.2]"
        )
    count = -(-len(rows) // branches)
    points, trunk = rows.copy(), np.arange(len(rows))
    for i in range(count, len(rows)):
        own = (i - count) % count
        row = _branch(space.polytope, rows[own], rows[i], space.d)
        if row is not None:
            points[i], trunk[i] = row, own
    return points, trunk


def _branch(limits: Polytope, trunk: Array, other: Array, d: int) -> Array | None:
    """The trunk (width,) with the last phase of another point, as far as the limits let it."""
    way = np.zeros_like(trunk)
    way[-d:] = other[-d:] - trunk[-d:]
    if np.abs(limits.equal @ way).max() > 1e-9:
        return None  # what is fixed over all phases cannot change in one
    room, used = limits.limit_to - limits.limit @ trunk, limits.limit @ way
    far = np.divide(np.maximum(room, 0.0), used, out=np.ones_like(room), where=used > 1e-15)
    reach = float(far.min(initial=1.0))
    return None if reach < _LEAST or np.abs(way).sum() < _LEAST else trunk + reach * way
