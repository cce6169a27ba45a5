"""Adaptive: what all controllers that move share - limits, bookkeeping, and exact restarts.

A subclass says what it wants (`_wanted`) and what it learns (`_learn`); the mixture that is drawn
is the projection of the wish into what is left of every domain. Losses that are no numbers are
missing, and what is missing changes nothing.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError, DataError
from mixopt.online.base import Controller, Feedback
from mixopt.online.budget import Budget
from mixopt.online.projection import FLOOR, affordable, into_budget

Array = NDArray[np.float64]

COLLAPSED = 0.99
"""A wish for one domain above this is said."""
_LARGEST = 1e12  # no loss and no product of gradients: such a number is an accident


@dataclass
class Adaptive(Controller):
    """A controller of the domains of a budget."""

    budget: Budget = field(repr=False)
    every: int = 1
    """Steps between two calls of `observe`."""
    floor: float = FLOOR
    """What every domain keeps of its prior share."""

    kept: ClassVar[tuple[str, ...]] = ()
    """Attributes, numbers or arrays, that make up what was learned."""

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or self.every < 1:
            raise ConfigError(f"{self.title}: every must be a number of steps, got {self.every!r}")
        if not 0.0 <= self.floor <= 1.0:
            raise ConfigError(f"{self.title}: floor must lie between 0 and 1, got {self.floor!r}")
        self._step, self._steps, self._tokens = 0, 1, 0.0
        self._drawn = np.zeros(self.budget.d)
        self._said: tuple[str, ...] = ()
        self._begin()
        self._place()

    @property
    def title(self) -> str:
        """What messages and checkpoints call it."""
        return type(self).__name__.lower()

    @property
    def d(self) -> int:
        """The number of domains."""
        return self.budget.d

    def weights(self) -> Array:
        """The present mixture (d,), inside every limit."""
        return self._weights

    def observe(self, feedback: Feedback) -> None:
        """Learn from what happened, then move. DataError for feedback of other domains."""
        self._check(feedback)
        seen = _cleaned(feedback)
        self._learn(seen)
        for name in self.kept:  # laid out as a restored one would be: sums round by layout
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                setattr(self, name, np.ascontiguousarray(value))
        self._drawn = np.array(feedback.drawn, dtype=np.float64)
        self._step, self._steps = feedback.step, feedback.steps
        self._tokens = float(feedback.tokens)
        self._place()

    def remarks(self) -> tuple[str, ...]:
        """`collapsed:NAME` for a domain that was wanted alone, `ran_out:NAME` for a spent one,
        `limits_broken:NAME` for a group or constraint that what is left cannot keep to."""
        return self._said

    def state(self) -> dict[str, Any]:
        """Who it is, where it stands, and what it learned."""
        return {
            "controller": self.title,
            "domains": list(self.budget.names),
            "settings": self._settings(),
            "step": self._step,
            "steps": self._steps,
            "tokens": self._tokens,
            "drawn": self._drawn.tolist(),
            "said": list(self._said),
            "learned": {name: _packed(getattr(self, name)) for name in self.kept},
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on from `state`. DataError where it is another controller's, or of other domains."""
        own = self.state()
        for key in ("controller", "domains", "settings"):
            if state.get(key) != own[key]:
                raise DataError(
                    f"the checkpoint is of a controller with {key} {state.get(key)!r}, expected "
                    f"{own[key]!r}: go on with the controller it was made with, or start anew"
                )
        self._step, self._steps = int(state["step"]), int(state["steps"])
        self._tokens = float(state["tokens"])
        self._drawn = np.array(state["drawn"], dtype=np.float64)
        for name in self.kept:
            setattr(self, name, _unpacked(state["learned"][name]))
        self._place()
        self._said = tuple(state["said"])
        return self

    def _begin(self) -> None:
        """Set what is learned to where it starts."""

    @abstractmethod
    def _wanted(self) -> Array:
        """The mixture (d,) it would choose were there no limits; finite and not negative."""

    @abstractmethod
    def _learn(self, feedback: Feedback) -> None:
        """Take note of feedback in which every number is finite or NaN."""

    def _place(self) -> None:
        """Project the wish, and say what a reader should know."""
        wanted = self._wanted()
        weights = into_budget(self.budget, wanted, self._drawn, self._tokens, self.floor)
        weights.setflags(write=False)
        self._weights = weights
        spent = affordable(self.budget, self._drawn, self._tokens) <= 0.0
        alone = (wanted > COLLAPSED * wanted.sum()) & (self.d > 1) & (self._step > 0)
        notes = [f"limits_broken:{name}" for name in self.budget.broken(weights)]
        for kind, those in (("collapsed", alone), ("ran_out", spent & (self._drawn > 0))):
            notes += [f"{kind}:{self.budget.names[j]}" for j in np.flatnonzero(those)]
        self._said += tuple(note for note in notes if note not in self._said)

    def _settings(self) -> dict[str, Any]:
        """Hyper-parameters, without the budget, as JSON values."""
        named = [one.name for one in fields(self) if one.name != "budget"]
        return {name: _plain(getattr(self, name)) for name in named}

    def _check(self, feedback: Feedback) -> None:
        """The shapes and the evidence that this controller expects."""
        for name in ("drawn", "train_loss", *self.needs):
            value = getattr(feedback, name)
            if value is None:
                if name == "probe_loss" and self.probes() is None:
                    continue
                raise DataError(
                    f"{self.title} needs {name} in its feedback, got none: measure it, or choose a "
                    "controller that does without"
                )
            wide = name not in ("eval_loss", "probe_loss")
            if wide and np.shape(value)[-1] != self.d:
                raise DataError(
                    f"{self.title}: expected {name} of {self.d} domains, got {np.shape(value)[-1]}"
                )


@dataclass
class FromStart(Adaptive):
    """A controller that moves away from where it starts, step by step."""

    start: Literal["uniform", "prior"] = "uniform"
    """Equal shares, as the papers do, or the prior of the budget."""

    def __post_init__(self) -> None:
        if self.start not in ("uniform", "prior"):
            raise ConfigError(f"{self.title}: start must be uniform or prior, got {self.start!r}")
        super().__post_init__()

    def first(self) -> Array:
        """The mixture (d,) that it starts from."""
        return self.budget.prior.copy() if self.start == "prior" else np.full(self.d, 1.0 / self.d)


def _cleaned(feedback: Feedback) -> Feedback:
    """The same with NaN for every number that cannot be one."""
    named = ("train_loss", "eval_loss", "gram", "influence", "reference", "probe_loss")
    clean = {}
    for name in named:
        value = getattr(feedback, name)
        if value is not None:
            value = np.asarray(value, dtype=np.float64)
            clean[name] = np.where(np.abs(value) <= _LARGEST, value, np.nan)
    return replace(feedback, **clean)


def _packed(value: Any) -> Any:
    """A number as it is; an array as its shape and values, None for NaN."""
    if not isinstance(value, np.ndarray):
        return value
    values = [None if np.isnan(one) else one for one in value.ravel().tolist()]
    return {"shape": list(value.shape), "values": values}


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return np.array(value["values"], dtype=np.float64).reshape(value["shape"])


def _plain(value: Any) -> Any:
    """A setting as JSON gives it back."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return value
