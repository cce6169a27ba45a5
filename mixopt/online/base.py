"""Controller: the contract of what sets the mixture while a run trains."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Feedback:
    """What a controller may see every `Controller.every` steps; costly fields only by `needs`."""

    step: int
    steps: int
    """Steps of the whole run."""
    tokens: int
    drawn: Array
    """(d,) tokens drawn from each domain since the start."""
    train_loss: Array
    """(d,) nats a token since the last feedback, NaN where nothing was drawn."""
    eval_loss: Array | None = None
    """(m,) nats a token of held-out text."""
    gram: Array | None = None
    """(d, d) inner products of the domains' gradients."""
    influence: Array | None = None
    """(m, d) what a step on domain j does for metric i: larger is better."""
    reference: Array | None = None
    """(d,) loss of a reference model."""
    probe_loss: Array | None = None
    """(a, m) losses after each of the probes."""


class Controller(ABC):
    """Sets the mixture of one run; subclasses are dataclasses."""

    every: int = 1
    """Steps between two calls of `observe`."""

    @property
    def needs(self) -> frozenset[str]:
        """Costly fields of Feedback that it wants."""
        return frozenset()

    @abstractmethod
    def weights(self) -> Array:
        """The present mixture (d,); the same until the next `observe`."""

    def probes(self) -> tuple[Array, int] | None:
        """Mixtures (a, d) to train side by side for some steps, and how many; None for none.

        Asked before `observe`, whose feedback then holds what they came to.
        """
        return None

    @abstractmethod
    def observe(self, feedback: Feedback) -> None:
        """Take note of what happened."""

    def reasons(self) -> dict[str, Any]:
        """What moved the mixture last, as JSON values: rewards, matrices."""
        return {}

    def remarks(self) -> tuple[str, ...]:
        """What a reader of the run should know, e.g. `collapsed:web`."""
        return ()

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on exactly, as JSON values."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on from `state`; returns self."""
