"""DoGE: weights by how far a domain's gradient helps all (Fan et al., arXiv:2310.15393).

    W_j = <grad L_j, sum_i grad L_i>  (or the targets' gradients)      x_j <- x_j exp(eta W_j / mu)

mu makes W a number without units: d times the mean squared norm of a gradient, or, towards targets,
the largest |W|; scores are cut at 1.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError
from mixopt.online.adaptive import FromStart
from mixopt.online.base import Feedback
from mixopt.online.exponentiated import column_gains, exponentiated

Array = NDArray[np.float64]


@dataclass
class DoGE(FromStart):
    """Draws more of what also teaches the others."""

    every: int = 20
    rate: float = 0.5
    """eta"""
    toward: Literal["domains", "targets"] = "domains"
    """Whether to help the domains that are trained on, or the text that is evaluated."""
    self_term: bool = True
    """Whether a domain's help for itself counts."""

    kept = ("_x", "_scores")

    @property
    def needs(self) -> frozenset[str]:
        """Gradients by domain, or their influence on what is evaluated."""
        return frozenset({"gram" if self.toward == "domains" else "influence"})

    def _begin(self) -> None:
        if self.toward not in ("domains", "targets"):
            raise ConfigError(f"doge: toward must be domains or targets, got {self.toward!r}")
        self._x = self.first()
        self._scores = np.zeros(self.d)

    def _wanted(self) -> Array:
        return self._x

    def _learn(self, feedback: Feedback) -> None:
        if self.toward == "domains":
            assert feedback.gram is not None
            self._scores = alignment(feedback.gram, self.self_term)
        else:
            assert feedback.influence is not None
            self._scores = _scaled(column_gains(feedback.influence))
        self._x = exponentiated(self._x, self._scores, self.rate)

    def reasons(self) -> dict[str, Any]:
        """The alignment scores by domain."""
        known = np.where(np.isfinite(self._scores), self._scores, 0.0)
        return {"alignment": dict(zip(self.budget.names, known.tolist(), strict=True))}


def alignment(gram: Array, self_term: bool = True) -> Array:
    """W_j / mu (d,) of the Gram matrix (d, d) of the domains' gradients; NaN where unknown.

    >>> alignment(np.array([[1.0, 0.0], [0.0, 1.0]]))
    array([0.5, 0.5])
    """
    known = np.isfinite(np.diag(gram))
    help_ = np.where(np.isfinite(gram), gram, 0.0).sum(axis=0)
    own = np.where(known, np.diag(gram), 0.0)
    total = help_ if self_term else help_ - own
    unit = len(gram) * own[known].mean() if known.any() else 0.0
    if not unit > 0.0:
        return np.full(len(gram), np.nan)
    return np.where(known, np.clip(total / unit, -1.0, 1.0), np.nan)


def _scaled(scores: Array) -> Array:
    """Scores over the largest of them."""
    known = np.isfinite(scores)
    largest = np.abs(scores[known]).max() if known.any() else 0.0
    return scores / largest if largest > 0.0 else np.zeros_like(scores)
