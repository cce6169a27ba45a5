"""DoReMi: weights by excess loss over a reference run, Group DRO (Xie et al., arXiv:2305.10429).

    lambda_j = max(0, loss_j - reference_j)     alpha_j <- alpha_j exp(eta lambda_j) / Z
    alpha <- (1 - c) alpha + c / d              output: the mean of alpha over training

The paper cuts the excess at 0 token by token, on batches of equal shares whose losses it weights;
here the excess of a domain's mean is cut, and alpha is what is drawn.

The offline recipe is two runs: a reference, then this controller. The mean of alpha over the second
is the mixture that the method proposes (`average`; a run of the swarm writes it as its `mixture`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.online.adaptive import FromStart
from mixopt.online.base import Feedback
from mixopt.online.exponentiated import exponentiated

Array = NDArray[np.float64]


@dataclass
class DoReMi(FromStart):
    """Draws more of what a reference run predicted better.

    >>> excess_step(np.array([0.5, 0.5]), np.array([np.log(2.0), 0.0]), 1.0, 0.0).round(4)
    array([0.6667, 0.3333])
    """

    rate: float = 1.0
    """eta"""
    smoothing: float = 1e-3
    """c: the part of equal shares in alpha (1e-4 in the published code)."""
    reference: str = ""
    """Id of the run whose losses are the reference; for the trainer of the swarm."""

    kept = ("_alpha", "_sum", "_turns", "_excess")

    @property
    def needs(self) -> frozenset[str]:
        """The losses of the reference."""
        return frozenset({"reference"})

    def _begin(self) -> None:
        self._alpha = self.first()
        self._sum = np.zeros(self.d)
        self._turns = 0
        self._excess = np.zeros(self.d)

    def average(self) -> Array:
        """The mean of alpha so far (d,): the method's proposal."""
        return self._sum / self._turns if self._turns else self._alpha.copy()

    def _wanted(self) -> Array:
        return self._alpha

    def _learn(self, feedback: Feedback) -> None:
        assert feedback.reference is not None
        above = feedback.train_loss - feedback.reference
        self._excess = np.maximum(np.where(np.isfinite(above), above, self._excess), 0.0)
        self._alpha = excess_step(self._alpha, self._excess, self.rate, self.smoothing)
        self._sum = self._sum + self._alpha
        self._turns += 1

    def reasons(self) -> dict[str, Any]:
        """The excess losses by domain."""
        return {"excess": dict(zip(self.budget.names, self._excess.tolist(), strict=True))}


def excess_step(alpha: Array, excess: Array, rate: float, smoothing: float) -> Array:
    """alpha (d,) after one step on the excess losses (d,); those below 0 count as 0."""
    moved = exponentiated(alpha, np.maximum(excess, 0.0), rate)
    return (1.0 - smoothing) * moved + smoothing / len(alpha)
