"""Quadratic law of MoDoMoDo: L(w) = a + b . w + w' C w (Liang et al., arXiv:2505.24871).

The paper fits d (d + 1) / 2 interactions to few runs; here they are under a ridge whose strength
is chosen by leaving mixtures out. Nothing makes C definite: the law shows harm and over-repetition,
and an optimum may be a vertex.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixopt.laws.base import Array
from mixopt.laws.interactions import Interactions


@dataclass
class Quadratic(Interactions):
    """A polynomial of degree two in the shares.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 20)
    >>> losses = 3.0 - weights[:, :1] + 2.0 * weights[:, :1] * weights[:, 1:2]
    >>> law = Quadratic().fit(weights, losses)
    >>> bool(np.abs(law.predict(weights) - losses).max() < 1e-5)
    True
    """

    ratios: Sequence[float] = (0.1, 3.0, 100.0)
    """Strengths of the ridge on C, by that on b, tried in turn."""

    def _main(self, weights: Array) -> Array:
        return weights

    def _bent(self, weights: Array) -> Array:
        """Squares, so that the ridge on all of C is its Frobenius norm."""
        return weights**2 / np.sqrt(2.0)

    def gradient(self, weights: Array) -> Array:
        """d L / d w, (k, m, d)."""
        rows = self._checked(weights)
        d = rows.shape[1]
        linear = self.theta_[:, 1 : d + 1] * self.spread_[:, None]
        squares = self.theta_[:, d + 1 : 2 * d + 1] * self.spread_[:, None]
        crossed = np.tensordot(rows, self.products(), axes=(1, 1))
        return linear + np.sqrt(2.0) * squares * rows[:, None, :] + crossed
