"""Mean: the mean over the runs whatever the mixture; the law that every other must beat."""

from dataclasses import dataclass

import numpy as np

from mixopt.laws.base import Array, Info, Law, standardised


@dataclass
class Mean(Law):
    """y = c. Its `noise_` is the spread of a metric over the swarm.

    >>> law = Mean().fit(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[3.0], [5.0]]))
    >>> law.predict(np.array([[1.0, 0.0]]))
    array([[4.]])
    """

    convex = True

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        _, self.centre_, spread = standardised(losses)
        measured = np.isfinite(losses).sum(axis=0)
        self.noise_ = spread * np.sqrt(measured / np.maximum(measured - 1, 1))
        self.sd_ = self.noise_ / np.sqrt(measured)

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        shape = (len(weights), len(self.centre_))
        return np.broadcast_to(self.centre_, shape).copy(), np.broadcast_to(self.sd_, shape).copy()

    def gradient(self, weights: Array) -> Array:
        """Zero, (k, m, d)."""
        rows = self._checked(weights)
        return np.zeros((len(rows), len(self.centre_), rows.shape[1]))
