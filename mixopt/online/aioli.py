"""Aioli: the linear mixing law measured on the live run (Chen et al. 2024, arXiv:2411.05735).

    u_j = o on domain j, (1 - o) / (d - 1) elsewhere;   D_ij the drop of loss i under u_j
    W A_i = D_i, the rows of W the u_j;   A shifted to be non-negative, over its sum
    x_j <- x_j exp(eta sum_i A_ij)

Either forks of the run train under all u_j side by side (`learning="forks"`, the run itself never
sees them), or the run trains under one after the other (`learning="run"`, the paper's form).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError
from mixopt.online.adaptive import FromStart
from mixopt.online.base import Feedback
from mixopt.online.exponentiated import exponentiated

Array = NDArray[np.float64]


@dataclass
class Aioli(FromStart):
    """Draws more of what was seen to lower the losses.

    `learning="run"`: sweeps of `steps` steps for each domain, `rounds` of them, then `refresh`
    steps under the weights that came out. `learning="forks"`: every `refresh` steps, forks of
    `rounds * steps` steps.
    """

    every: int = field(default=1, init=False)
    learning: Literal["forks", "run"] = "forks"
    refresh: int = 100
    steps: int = 4
    rounds: int = 4
    own: float = 0.625
    """o: the share of the domain that a perturbed mixture is about."""
    rate: float = 0.2
    """eta"""
    average: float | None = None
    """Weight of the newest A in a moving average that moves the start; None: A moves x itself."""

    kept = ("_x", "_matrix", "_last", "_drops", "_turn")

    def __post_init__(self) -> None:
        if self.learning not in ("forks", "run"):
            raise ConfigError(f"aioli: learning must be forks or run, got {self.learning!r}")
        if min(self.refresh, self.steps, self.rounds) < 1:
            raise ConfigError("aioli: refresh, steps and rounds must be 1 or more")
        perturbed(self.budget.d, self.own)
        self.every = self.refresh if self.learning == "forks" else self.steps
        super().__post_init__()

    @property
    def needs(self) -> frozenset[str]:
        """Held-out losses; with forks also theirs; nothing while it follows its weights."""
        if self.learning == "forks":
            return frozenset({"eval_loss", "probe_loss"})
        return frozenset({"eval_loss"} if self._turn <= self._sweeps else ())

    def probes(self) -> tuple[Array, int] | None:
        """All perturbed mixtures, where forks are trained."""
        if self.learning == "run":
            return None
        return perturbed(self.d, self.own), self.rounds * self.steps

    @property
    def _sweeps(self) -> int:
        """Feedbacks of one learning phase after the one that opens it."""
        return self.rounds * self.d

    def _begin(self) -> None:
        self._x = self.first()
        self._matrix = np.zeros((0, self.d))
        self._last = np.zeros(0)
        self._drops = np.zeros((0, 0))
        self._turn = 0

    def _wanted(self) -> Array:
        if self.learning == "run" and 1 <= self._turn <= self._sweeps:
            return perturbed(self.d, self.own)[(self._turn - 1) % self.d]
        return self._x

    def _learn(self, feedback: Feedback) -> None:
        if self.learning == "forks":
            assert feedback.eval_loss is not None
            assert feedback.probe_loss is not None
            self._move(feedback.eval_loss[None] - feedback.probe_loss)
        else:
            self._listen(feedback.eval_loss)

    def _listen(self, losses: Array | None) -> None:
        """One turn of the run's own phases: open, learn d times `rounds`, follow, open again."""
        if self._turn == 0:
            assert losses is not None
            self._last, self._drops = losses, np.zeros((self.d, len(losses)))
        elif self._turn <= self._sweeps:
            assert losses is not None
            drops = self._drops.copy()
            drops[(self._turn - 1) % self.d] += (self._last - losses) / self.rounds
            self._last, self._drops = losses, drops
            if self._turn == self._sweeps:
                self._move(drops)
        self._turn += 1
        if self._turn > self._sweeps + max(1, self.refresh // self.steps) - 1:
            self._turn = 0

    def _move(self, drops: Array) -> None:
        """Take the step that drops (d, m) of the losses ask for."""
        matrix = normalised(mixing_matrix(drops, self.own))
        if self.average is None:
            self._x = exponentiated(self._x, matrix.sum(axis=0), self.rate)
        else:
            fresh = not self._matrix.size
            old = matrix if fresh else self._matrix
            matrix = (1.0 - self.average) * old + self.average * matrix
            self._x = exponentiated(self.first(), matrix.sum(axis=0), self.rate)
        self._matrix = matrix

    def reasons(self) -> dict[str, Any]:
        """A by metric and domain, and whether the run is in a learning phase."""
        learning = self.learning == "run" and 1 <= self._turn <= self._sweeps
        return {"matrix": self._matrix.tolist(), "learning": learning}


def perturbed(d: int, own: float) -> Array:
    """The mixtures u_j (d, d). ConfigError for o = 1/d, which tells the domains not apart.

    >>> perturbed(2, 0.75)
    array([[0.75, 0.25],
           [0.25, 0.75]])
    """
    if d == 1:
        return np.ones((1, 1))
    if not 0.0 <= own <= 1.0 or abs(own - 1.0 / d) < 1e-9:
        raise ConfigError(
            f"aioli: own must lie between 0 and 1 and not be 1/d ({1 / d:.4g}), got {own}"
        )
    rest = (1.0 - own) / (d - 1)
    return np.full((d, d), rest) + np.eye(d) * (own - rest)


def mixing_matrix(drops: Array, own: float) -> Array:
    """A (m, d) from the drops (d, m) of losses under each u_j: W A_i = D_i, W = c I + r 1 1'."""
    d = len(drops)
    if d == 1:
        return drops.T.copy()
    rest = (1.0 - own) / (d - 1)
    return ((drops - rest * drops.sum(axis=0)) / (own - rest)).T


def normalised(matrix: Array) -> Array:
    """A without negative entries and with sum 1; metrics with a missing entry count as zero."""
    known = np.isfinite(matrix).all(axis=1, keepdims=True)
    clean = np.where(known, matrix, 0.0)
    clean = np.where(known, clean - min(clean.min(initial=0.0), 0.0), 0.0)
    return clean / clean.sum() if clean.sum() > 0 else clean
