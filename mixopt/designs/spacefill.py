"""SpaceFill: points after which a smooth law is uncertain nowhere (IMSE, Sacks et al. 1989).

Greedy: of a pool of candidates, take the one that lowers most the integrated posterior variance of
a Gaussian process on sqrt(w), with a linear and a Matern-5/2 part. Square roots because losses move
with powers of a share near 1/2. Against maximin distance in sqrt(w) this places fewer points in
corners that nobody will train in; both beat Dirichlet draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import Design, completed, distinct
from mixopt.space import Space

Array = NDArray[np.float64]


@dataclass
class SpaceFill(Design):
    """Even knowledge over the space, its faces and the neighbourhood of the prior."""

    length: float = 2.0
    """Of the Matern kernel, in units of sqrt(w)."""
    noise: float = 0.1
    """sd of a run, of the law's sd."""
    pool: int = 3000
    """Candidates for each slice."""
    targets: int = 1000
    """Points over which the variance is integrated."""
    slice: int = 256
    """Longer designs are built slice by slice, each from a pool of its own."""

    def _plan(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        slices = [min(self.slice, count - start) for start in range(0, count, self.slice)]
        rows = [self._slice(space, size, rng) for size in slices]
        return completed(space, np.concatenate(rows), count, rng)

    def _slice(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        pool = distinct(candidates(space, max(self.pool, 4 * count), rng))
        at, over = _roots(space, pool), _roots(space, candidates(space, self.targets, rng))
        covariance = self._kernel(at, over)
        variance = np.full(len(pool), 2.0)
        explained = np.zeros((len(pool), count))
        picked: list[int] = []
        for step in range(min(count, len(pool))):
            gain = (covariance**2).sum(axis=1) / (variance + self.noise**2)
            gain[picked] = -1.0
            best = int(gain.argmax())
            picked.append(best)
            column = self._kernel(at, at[[best]])[:, 0] - explained @ explained[best]
            size = np.sqrt(variance[best] + self.noise**2)
            explained[:, step] = column / size
            covariance -= np.outer(column / size**2, covariance[best])
            variance = np.maximum(variance - explained[:, step] ** 2, 0.0)
        return pool[picked]

    def _kernel(self, one: Array, other: Array) -> Array:
        """Covariance of the process between unit rows (a, width) and (b, width)."""
        product = one @ other.T
        far = np.sqrt(10.0 * np.maximum(1.0 - product, 0.0)) / self.length
        return product + (1.0 + far + far**2 / 3.0) * np.exp(-far)


def candidates(space: Space, count: int, rng: np.random.Generator) -> Array:
    """About `count` legal points: uniform, near faces and corners, central, and near the prior."""
    part = -(-count // 5)
    even = np.full(space.d, 1.0)
    leanings = [0.5 * even, 0.2 * even, 3.0 * even, 2.0 * space.d * space.prior[: space.d]]
    phases = len(space.phases)
    drawn = [
        rng.dirichlet(np.maximum(leaning, 1e-3), (part, phases)).reshape(part, -1)
        for leaning in leanings
    ]
    middle = np.stack([space.prior, np.full(space.width, 1.0 / space.d)])
    return np.concatenate(
        [space.uniform(part, rng), space.project(np.concatenate([middle, *drawn]))]
    )


def _roots(space: Space, rows: Array) -> Array:
    """sqrt of the shares, weighted by the phases' fractions: rows of unit length."""
    return np.sqrt(rows * np.repeat(np.asarray(space.phases), space.d))
