"""Uniform: equal shares, as far as the epochs of every domain allow; what all others must beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.online.adaptive import Adaptive
from mixopt.online.base import Feedback

Array = NDArray[np.float64]


@dataclass
class Uniform(Adaptive):
    """Equal shares.

    >>> from mixopt.online.budget import Budget
    >>> Uniform(Budget.of(["web", "law"])).weights()
    array([0.5, 0.5])
    """

    def _wanted(self) -> Array:
        return np.full(self.d, 1.0 / self.d)

    def _learn(self, feedback: Feedback) -> None:
        """Nothing is learned."""
