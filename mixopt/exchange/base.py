"""Format: the contract of a file that a trainer reads, and the check of what it says."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from mixopt.errors import DataError, nearest

Schedule = tuple[tuple[float, Mapping[str, float]], ...]
"""(fraction of training, mixture) pairs; a mixture is a schedule of one."""

TOLERANCE = 1e-6

TARGET_TOKENS = "tokens of the target's tokenizer"
TRAINER_TOKENS = "tokens of the trainer's tokenizer"


@dataclass(frozen=True)
class Decision:
    """A mixture or schedule that was chosen, with what a reader must know to use it."""

    name: str
    schedule: Schedule
    target_tokens: float | None = None
    epochs: Mapping[str, float] = field(default_factory=dict)
    """Times that each domain is read in the full run; empty where token counts are unknown."""
    caps: Mapping[str, float] = field(default_factory=dict)
    """Largest share of each domain."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the inputs by name."""
    unit: str = TARGET_TOKENS
    """What shares and token counts are in."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains with a share in any phase, in the order in which they are first named."""
        named = (name for _, mixture in self.schedule for name, share in mixture.items() if share)
        return tuple(dict.fromkeys(named))

    def mixture(self, reader: str) -> Mapping[str, float]:
        """The shares of a decision that stays the same throughout training.

        Raises DataError for a schedule of several phases: `reader` cannot hold one.
        """
        if len(self.schedule) != 1:
            raise DataError(
                f"{reader} holds one mixture and {self.name!r} is a schedule of "
                f"{len(self.schedule)} phases: export it to json"
            )
        return self.schedule[0][1]


class Format(ABC):
    """One trainer's way to say a mixture; subclasses are dataclasses, their fields are options."""

    @abstractmethod
    def write(self, decision: Decision) -> str:
        """The text of the file. Raises DataError where the format cannot say it."""

    @abstractmethod
    def read(self, text: str) -> Schedule:
        """The token shares that a trainer would take from the text."""


def export(decision: Decision, form: Format) -> str:
    """The text of `decision` in a format, read back and checked: every share to 1e-6.

    Raises DataError where the file would say something else than what was decided.
    """
    text = form.write(decision)
    told = form.read(text)
    if len(told) != len(decision.schedule):
        raise DataError(
            f"the export was read back with {len(told)} phases instead of {len(decision.schedule)}"
        )
    for (fraction, wanted), (told_fraction, got) in zip(decision.schedule, told, strict=True):
        if abs(fraction - told_fraction) > TOLERANCE:
            raise DataError(
                f"the export was read back with a phase of {told_fraction}, expected {fraction}"
            )
        _check_shares(wanted, got)
    return text


def _check_shares(wanted: Mapping[str, float], got: Mapping[str, float]) -> None:
    for name in got:
        if name not in wanted:
            raise DataError(
                f"the export was read back with an unknown domain {name!r}, {nearest(name, wanted)}"
            )
    for name, share in wanted.items():
        if abs(share - got.get(name, 0.0)) > TOLERANCE:
            raise DataError(
                f"the export was read back with a share of {got.get(name, 0.0):.9f} for "
                f"{name!r}, expected {share:.9f}"
            )
