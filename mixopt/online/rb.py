"""R&B: a softmax step along the Gram matrix of the domains' gradients (arXiv:2505.00358).

p <- softmax(lambda G p / ||G p||)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.online.adaptive import FromStart
from mixopt.online.base import Feedback

Array = NDArray[np.float64]


@dataclass
class RB(FromStart):
    """Draws more of the domains whose gradients agree with the present mixture's.

    >>> gram_step(np.array([1.0, 0.0]), np.eye(2), 1.0).round(4)
    array([0.7311, 0.2689])
    """

    every: int = 20
    sharpness: float = 1.0
    """lambda"""

    kept = ("_p",)

    @property
    def needs(self) -> frozenset[str]:
        """Gradients by domain."""
        return frozenset({"gram"})

    def _begin(self) -> None:
        self._p = self.first()

    def _wanted(self) -> Array:
        return self._p

    def _learn(self, feedback: Feedback) -> None:
        assert feedback.gram is not None
        self._p = gram_step(self._p, feedback.gram, self.sharpness)

    def reasons(self) -> dict[str, Any]:
        """Where the method stands before the limits."""
        return {"wanted": dict(zip(self.budget.names, self._p.tolist(), strict=True))}


def gram_step(p: Array, gram: Array, sharpness: float) -> Array:
    """p (d,) after one step; unknown entries of the Gram matrix (d, d) count as zero."""
    pull = np.where(np.isfinite(gram), gram, 0.0) @ p
    length = float(np.linalg.norm(pull))
    scaled = sharpness * pull / length if length > 0 else np.zeros_like(p)
    moved = np.exp(scaled - scaled.max())
    return moved / moved.sum()
