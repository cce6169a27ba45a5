"""Mixing: a controller in a training loop that is not ours - batches, losses, log and restarts.

    batch = mixing.draw()                  # which sequences come next, by the current shares
    ...                                    # the loop reads them and trains
    mixing.add(nats, tokens, sequences)    # sums by domain
    mixing.finish_step()                   # every `controller.every` steps the controller observes

A loader may draw ahead: what was drawn and not yet trained on is part of the state and is issued
again after a restart, so that a resumed run reads what the whole one would have read. Batches that
are drawn ahead keep the shares under which they were drawn.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError, DataError
from mixopt.files import digest
from mixopt.online.adaptive import Adaptive
from mixopt.online.base import Controller, Feedback
from mixopt.online.draws import Draws
from mixopt.online.trail import Trail

Array = NDArray[np.float64]
Evidence = Mapping[str, Callable[[], Array]]
"""How the loop measures what a controller needs: a function for each such field of Feedback."""

_IN_FEEDBACK = ("eval_loss", "gram", "influence", "reference")


@dataclass
class Mixing:
    """Draws batches by a controller's shares and tells the controller what became of them.

    Sequences are of one length, so that shares of sequences are shares of tokens. Raises
    ConfigError for numbers that do not fit together and for a controller whose needs are not met.

    >>> from mixopt.online import make_controller
    >>> from mixopt.online.budget import Budget
    >>> odm = make_controller("odm", {"budget": Budget.of(["web", "law"])})
    >>> mixing = Mixing(odm, {"web": 90, "law": 10}, sequence_tokens=128, batch=4, steps=10)
    >>> for _ in range(3):
    ...     sequences = np.bincount(mixing.draw()[:, 0], minlength=2)
    ...     mixing.add(sequences * 128 * np.array([3.0, 1.0]), sequences * 128, sequences)
    ...     mixing.finish_step()
    >>> sum(mixing.consumed.values()), bool(mixing.controller.weights()[0] > 0.5)
    (1536, True)
    """

    controller: Controller
    sizes: Mapping[str, int | None]
    """Sequences of each domain, in the controller's order; None of a stream."""
    sequence_tokens: int
    batch: int
    """Sequences of a step: of all ranks, and of all batches whose gradients are accumulated."""
    steps: int
    """Steps of the whole run."""
    seed: int = 0
    evidence: Evidence = field(default_factory=dict)
    log: Path | None = None
    """A file of JSON lines for the way of the shares: replaced as a whole, at most 256 lines."""

    def __post_init__(self) -> None:
        self._check()
        self._draws = Draws(list(self.sizes.values()), self.seed)
        self._ahead: deque[NDArray[np.int64]] = deque()
        self._used = np.zeros(self.d, dtype=np.int64)
        # since the last feedback: nats, tokens, sequences told of, sequences that were due
        self._sums = np.zeros((4, self.d))
        self._trail = Trail(self.names, self.steps)
        self.step = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The domains."""
        return tuple(self.sizes)

    @property
    def d(self) -> int:
        """The number of domains."""
        return len(self.sizes)

    @property
    def due(self) -> bool:
        """Whether the controller observes at the end of the present step."""
        return (self.step + 1) % self.controller.every == 0

    @property
    def ahead(self) -> tuple[NDArray[np.int64], ...]:
        """Batches (batch, 2) that were drawn and not yet trained on, the oldest first."""
        return tuple(self._ahead)

    @property
    def consumed(self) -> dict[str, int]:
        """Tokens by domain that were trained on."""
        return dict(zip(self.names, (self._used * self.sequence_tokens).tolist(), strict=True))

    @property
    def epochs(self) -> dict[str, float]:
        """How often each domain was read, of those of known size; 0 of one without text."""
        return {
            name: round(int(used) / max(size, 1), 6)
            for (name, size), used in zip(self.sizes.items(), self._used, strict=True)
            if size is not None
        }

    def draw(self) -> NDArray[np.int64]:
        """The next batch (batch, 2): the column of a domain, and the place of a sequence in it."""
        drawn = self._draws.next(self.controller.weights(), self.batch)
        self._ahead.append(drawn)
        return drawn

    def add(self, nats: Array, tokens: Array, sequences: Array) -> None:
        """Sums (d,) over what was trained on, of all ranks: nats, tokens, and how many sequences.

        Before the step is finished, or, where that costs time, before one after which the
        controller observes (`due`). NaN nats are a missing loss.
        """
        self._sums = self._sums + np.stack([nats, tokens, sequences, np.zeros(self.d)])

    def finish_step(self) -> None:
        """Note that the oldest batch was trained on; where it is due, the controller observes.

        Raises DataError where no batch was drawn, and where losses of other sequences were told
        than were drawn: ranks that read the same, batches that were left out.
        """
        if not self._ahead:
            raise DataError("a step was finished for which no batch was drawn: draw, then train")
        due = self.due
        counts = np.bincount(self._ahead.popleft()[:, 0], minlength=self.d)
        self._used = self._used + counts
        self._sums[3] += counts
        self.step += 1
        self._trail.step(counts / self.batch)
        if due:
            self._check_counts()
            self._tell()

    def lines(self) -> list[dict[str, Any]]:
        """The log so far: of each step in it the shares since the last one, from then on, and why.

        The last line may lack the latter two.
        """
        return self._trail.lines()

    def schedule(self) -> list[tuple[float, dict[str, float]]]:
        """What was drawn so far as (fraction, mixture) pairs; `few_phases` makes few of many."""
        return self._trail.schedule()

    def fingerprint(self) -> str:
        """16 hex digits of all that decides the next batches: the same on every rank, or an error.

        Losses since the last feedback are left out: ranks sum them up when they are due.
        """
        decided = {"controller": self.controller.state(), "draws": self._draws.state()}
        return digest({**decided, "step": self.step, "ahead": [len(one) for one in self._ahead]})

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on exactly, as JSON values."""
        return {
            "sizes": dict(self.sizes),
            "plan": self._plan(),
            "step": self.step,
            "controller": self.controller.state(),
            "draws": self._draws.state(),
            "ahead": [one.tolist() for one in self._ahead],
            "used": self._used.tolist(),
            "sums": [
                [None if np.isnan(one) else one for one in row] for row in self._sums.tolist()
            ],
            "trail": self._trail.state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Go on from `state_dict`; returns self.

        Raises DataError where it is of other domains, another controller, or another plan.
        """
        expected = {"sizes": dict(self.sizes), "plan": self._plan()}
        for key, value in expected.items():
            if state.get(key) != value:
                raise DataError(
                    f"the checkpoint is of a run with {key} {state.get(key)}, expected {value}: "
                    "go on with what it was made with, or start anew"
                )
        self.controller.restore(state["controller"])
        self._draws.restore(state["draws"])
        self._ahead = deque(np.array(one, dtype=np.int64).reshape(-1, 2) for one in state["ahead"])
        self._used = np.array(state["used"], dtype=np.int64)
        self._sums = np.array(state["sums"], dtype=np.float64)
        self._trail.restore(state["trail"])
        self.step = int(state["step"])
        return self

    def _check(self) -> None:
        for name in ("sequence_tokens", "batch", "steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"expected {name} of 1 or more, got {getattr(self, name)}")
        known = self.controller.budget.names if isinstance(self.controller, Adaptive) else None
        shape = self.controller.weights().shape
        if shape != (len(self.sizes),) or known not in (None, tuple(self.sizes)):
            raise ConfigError(
                f"the sizes are of {list(self.sizes)}, expected those of the controller in its "
                f"order: {list(known) if known else f'{shape[0]} domains'}"
            )
        unmet = sorted(self.controller.needs - set(self.evidence))
        if unmet:
            able = [name for name in unmet if name in _IN_FEEDBACK]
            told = "give a function for it in evidence" if able == unmet else "choose another one"
            raise ConfigError(f"the controller needs {', '.join(unmet)}: {told}")

    def _plan(self) -> dict[str, int]:
        """What a restart must keep."""
        names = ("sequence_tokens", "batch", "steps", "seed")
        return {name: getattr(self, name) for name in names}

    def _check_counts(self) -> None:
        told, wanted = self._sums[2:]
        if (told != wanted).any():
            j = int(np.argmax(told != wanted))
            raise DataError(
                f"losses of {told[j]:.0f} sequences of {self.names[j]!r} were told since the last "
                f"feedback, expected {wanted[j]:.0f}, as many as were drawn: every sequence of "
                "every rank must be trained on once, in the order of the batches"
            )

    def _tell(self) -> None:
        """The controller observes; the log says what it did and why."""
        nats, tokens = self._sums[:2]
        losses = np.divide(nats, tokens, out=np.full(self.d, np.nan), where=tokens > 0)
        drawn = (self._draws.drawn * self.sequence_tokens).astype(np.float64)
        needed = sorted(self.controller.needs & set(self.evidence))
        found = {name: np.asarray(self.evidence[name](), dtype=np.float64) for name in needed}
        feedback = Feedback(
            step=self.step,
            steps=self.steps,
            tokens=int(drawn.sum()),
            drawn=drawn,
            train_loss=losses,
            **found,
        )
        self.controller.observe(feedback)
        self._sums = np.zeros((4, self.d))
        self._trail.mark(self.controller.weights(), self._reasons(losses))
        if self.log is not None:
            self._trail.write(self.log)

    def _reasons(self, losses: Array) -> dict[str, Any]:
        """What a line of the log says beside the shares."""
        return {
            "loss": dict(zip(self.names, _numbers(losses.round(6)), strict=True)),
            "epochs": self.epochs,
            **self.controller.reasons(),
            "remarks": list(self.controller.remarks()),
        }


def _numbers(values: Array) -> list[float | None]:
    """As JSON: None for what is no number."""
    return [value if np.isfinite(value) else None for value in values.tolist()]
