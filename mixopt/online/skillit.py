"""Skill-It: weights by a graph of what teaches what (Chen et al. 2023, arXiv:2307.14430).

    G_ij = max(0, (L_i - L_i after training on j alone) / L_i) / sum of all
    x_j is proportional to start_j exp(eta sum over the last refreshes of sum_i G_ij L_i)

The graph comes from short runs on one domain each, forks of the run at its first feedback; and
again later where `relearn` says so: what can be learned only after something else is not seen
before. The paper's runs on pairs of skills are left out: they grow with the square of d.
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
class SkillIt(FromStart):
    """Draws more of what teaches the domains that are badly predicted.

    >>> from mixopt.online.budget import Budget
    >>> SkillIt(Budget.of(["web", "law"])).probes()
    (array([[1., 0.],
           [0., 1.]]), 20)
    """

    every: int = 100
    rate: float = 0.2
    """eta"""
    window: int = 3
    """Refreshes that count."""
    steps: int = 20
    """Training steps on one domain that make the graph."""
    relearn: int = 0
    """Feedbacks after which the graph is measured again; 0: never."""

    kept = ("_graph", "_gains", "_turn")

    @property
    def needs(self) -> frozenset[str]:
        """Held-out losses, and those of the runs on one domain when the graph is due."""
        return frozenset({"eval_loss", "probe_loss"} if self._is_due else {"eval_loss"})

    def probes(self) -> tuple[Array, int] | None:
        """Each domain alone, when the graph is due."""
        return (np.eye(self.d), self.steps) if self._is_due else None

    @property
    def _is_due(self) -> bool:
        return self._turn == 0 or (self.relearn > 0 and self._turn % self.relearn == 0)

    def _begin(self) -> None:
        self._graph = np.zeros((0, self.d))
        self._gains = np.zeros((0, self.d))
        self._turn = 0

    def _wanted(self) -> Array:
        return exponentiated(self.first(), self._gains.sum(axis=0), self.rate)

    def _learn(self, feedback: Feedback) -> None:
        assert feedback.eval_loss is not None
        if self._is_due:
            assert feedback.probe_loss is not None
            self._graph = skill_graph(feedback.eval_loss, feedback.probe_loss)
        losses = np.where(np.isfinite(feedback.eval_loss), feedback.eval_loss, 0.0)
        gain = losses @ self._graph
        self._gains = np.concatenate([self._gains, gain[None]])[-self.window :]
        self._turn += 1

    def reasons(self) -> dict[str, Any]:
        """The graph, and what each domain promises."""
        gains = self._gains.sum(axis=0).tolist()
        return {
            "gains": dict(zip(self.budget.names, gains, strict=True)),
            "graph": self._graph.tolist(),
        }


def skill_graph(before: Array, after: Array) -> Array:
    """G (m, d), its sum 1, from losses (m,) and those after training on each domain (d, m).

    >>> skill_graph(np.array([2.0, 4.0]), np.array([[1.0, 4.0], [2.0, 3.0]])).round(3)
    array([[0.667, 0.   ],
           [0.   , 0.333]])
    """
    gone = np.divide(before - after, before, out=np.zeros_like(after), where=before > 0)
    graph = np.maximum(np.where(np.isfinite(gone), gone, 0.0), 0.0).T
    return graph / graph.sum() if graph.sum() > 0 else graph
