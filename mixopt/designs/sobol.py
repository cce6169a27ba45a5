"""Sobol: a low-discrepancy sequence on the simplex, w = g / sum g, g_j the gamma quantile of u_j.

u is Sobol's sequence, shifted by one random vector modulo 1 (Cranley and Patterson 1976). With
concentration 1 the quantile is -ln(1 - u) and the points spread uniformly. They fill the room above
the lower bounds; those outside other limits are skipped.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv
from scipy.stats import qmc

from mixopt.designs.base import Design, completed, distinct, hopeless
from mixopt.space import Space

Array = NDArray[np.float64]


@dataclass
class Sobol(Design):
    """Even coverage of the simplex; below 1 the concentration leans towards its faces."""

    concentration: float = 1.0
    draws: int = 64
    """Most points of the sequence tried for each one wanted; the rest comes uniformly."""

    def _plan(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        sequence = qmc.Sobol(space.width, scramble=False)
        shift = rng.random(space.width)
        rows = np.empty((0, space.width))
        size = 2 ** int(np.ceil(np.log2(count)))  # a power of two keeps the sequence balanced
        for tried in range(1, self.draws + 1):
            points = (sequence.random(size) + shift) % 1.0
            rows = distinct(np.concatenate([rows, self._limited(space, points)]))
            if len(rows) >= count or hopeless(len(rows), tried * size, self.draws):
                break
        return completed(space, rows, count, rng)

    def _limited(self, space: Space, points: Array) -> Array:
        """Those of the points (k, width) of the cube that land inside the limits of the space."""
        inner = np.clip(points, 1e-12, 1 - 1e-12).reshape(len(points), -1, space.d)
        quantiles = np.maximum(gammaincinv(self.concentration, inner), 1e-300)
        shares = quantiles / quantiles.sum(axis=2, keepdims=True)
        floor = space.lower.reshape(-1, space.d)
        room = 1.0 - floor.sum(axis=1, keepdims=True)
        rows = (floor + room * shares).reshape(len(points), -1)
        return rows[space.contains(rows, tol=1e-10)]
