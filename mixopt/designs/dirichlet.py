"""Dirichlet: RegMix's swarm (Liu et al. 2024, arXiv:2407.01492), w ~ Dirichlet(s * p), where p is
the prior to the power 1/2 and the strength s runs from 0.1 to 5 on a logarithmic scale.

RegMix throws away points over the epoch caps; here the draws fill the room above the lower bounds
and those outside other limits are drawn again. Where fewer than one draw in 100 is legal, the rest
comes uniformly from inside the limits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import Design, completed, distinct, hopeless
from mixopt.space import Space

Array = NDArray[np.float64]


@dataclass
class Dirichlet(Design):
    """Sparse points around the prior."""

    temper: float = 0.5
    """Power of the prior."""
    weakest: float = 0.1
    strongest: float = 5.0
    """Range of strengths, the sum of the concentrations."""
    smallest: float = 2e-4
    """Shares below become zero."""
    draws: int = 100
    """Most draws for each point before uniform points take over."""

    def _plan(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        rows = np.empty((0, space.width))
        for tried in range(1, self.draws + 1):
            drawn = self._draw(space, count, rng)
            rows = distinct(np.concatenate([rows, drawn[space.contains(drawn, tol=1e-10)]]))
            if len(rows) >= count or hopeless(len(rows), tried * count, self.draws):
                break
        return completed(space, rows, count, rng)

    def _draw(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        prior = space.prior.reshape(-1, space.d) ** self.temper
        prior = prior / prior.sum(axis=1, keepdims=True)
        floor = space.lower.reshape(-1, space.d)
        strengths = np.exp(rng.uniform(np.log(self.weakest), np.log(self.strongest), count))
        shares = np.empty((count, *prior.shape))
        for i, strength in enumerate(strengths):
            for p, centre in enumerate(prior):
                shares[i, p] = rng.dirichlet(np.maximum(strength * centre, 1e-6))
        shares = np.where(shares < self.smallest, 0.0, shares)
        shares = shares / shares.sum(axis=2, keepdims=True)
        room = 1.0 - floor.sum(axis=1, keepdims=True)
        return (floor + room * shares).reshape(count, -1)
