"""Format: the contract of a file that a trainer reads, and the check of what the trainer will do.

A format writes a decision in its reader's unit and reads its own text back with that reader's
arithmetic. Read back, every share is what was decided up to 1e-6, unless the reader counts in whole
things (sequences in a block, documents kept) and cannot do better: then the difference is told.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from mixopt.errors import DataError, nearest

Schedule = tuple[tuple[float, Mapping[str, float]], ...]
"""(fraction of training, mixture) pairs; a mixture is a schedule of one."""

TOLERANCE = 1e-6

TARGET_TOKENS = "tokens of the target's tokenizer"
TRAINER_TOKENS = "tokens of the trainer's tokenizer"


@dataclass(frozen=True)
class Source:
    """Where the text of one domain lies for the trainer, and how much of it there is."""

    path: str | None = None
    validation: str | None = None
    """Path of its held-out text, for readers that name it beside the training text."""
    tokens: float | None = None
    """Unique tokens, in the unit of the shares."""
    documents: float | None = None
    max_epochs: float | None = None
    """Times that the domain may be read."""

    @property
    def mean_tokens(self) -> float | None:
        """Tokens a document, None where nobody knows."""
        return self.tokens / self.documents if self.tokens and self.documents else None


Sources = Mapping[str, Source]
"""Sources by domain."""


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
    sources: Sources = field(default_factory=dict)

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains with a share in any phase, in the order in which they are first named."""
        named = (name for _, mixture in self.schedule for name, share in mixture.items() if share)
        return tuple(dict.fromkeys(named))

    @property
    def used(self) -> Sources:
        """The sources of the domains with a share, empty ones where nothing is known."""
        return {name: self.sources.get(name, Source()) for name in self.domains}

    def mixture(self, reader: str) -> Mapping[str, float]:
        """The positive shares of a decision that stays the same throughout training.

        Raises DataError for a schedule of several phases: `reader` cannot hold one.
        """
        if len(self.schedule) != 1:
            raise DataError(
                f"{reader} holds one mixture and {self.name!r} is a schedule of "
                f"{len(self.schedule)} phases: export it to json, csv, nanotron or levanter, "
                "or one phase at a time (--phase)"
            )
        return positive(self.schedule[0][1])

    def phase(self, number: int) -> Self:
        """One phase, from 1, as a decision of its own: its mixture and its part of the tokens."""
        if not 1 <= number <= len(self.schedule):
            raise DataError(f"{self.name!r} has {len(self.schedule)} phases, got phase {number}")
        fraction, mixture = self.schedule[number - 1]
        total = None if self.target_tokens is None else self.target_tokens * fraction
        name = f"{self.name}:phase-{number}"
        one = replace(self, name=name, schedule=((1.0, mixture),), target_tokens=total)
        return replace(one, epochs=one.source_epochs() or {})

    def source_epochs(self) -> dict[str, float] | None:
        """Times that the whole training reads each domain with a share; None where unknown."""
        sizes = {name: source.tokens for name, source in self.used.items()}
        if self.target_tokens is None or not all(sizes.values()):
            return None
        shares = mean_shares(self.schedule)
        return {name: shares[name] * self.target_tokens / (sizes[name] or 1.0) for name in sizes}


@dataclass(frozen=True)
class Reading:
    """What a trainer takes from a file."""

    schedule: Schedule
    """Shares of tokens by phase."""
    tokens: float | None = None
    """Tokens of the training, where the file and not the number of steps decides them."""
    rounding: float = 0.0
    """Largest error of a share or fraction that the reader's whole units force."""


@dataclass(frozen=True)
class Told:
    """One domain in one phase: what was decided, and what the trainer will do."""

    phase: int
    domain: str
    wanted: float
    """Share of the phase's tokens."""
    read: float
    epochs: float | None
    """Times that the phase reads the domain; None where token counts are unknown."""


@dataclass(frozen=True)
class Export:
    """The text for a trainer, read back."""

    text: str
    rows: tuple[Told, ...]
    fractions: tuple[float, ...]
    """Of training, as the trainer will spend them, by phase."""
    error: float
    """Largest difference of a share from what was decided."""
    notes: tuple[str, ...] = ()


class Format(ABC):
    """One trainer's way to say a mixture; subclasses are dataclasses, their fields are options."""

    unit: ClassVar[str]
    """What the numbers of the file count."""
    ending: ClassVar[str | None] = None
    """What the trainer puts behind a path to find the file; None of files that name no paths."""

    @abstractmethod
    def write(self, decision: Decision) -> str:
        """The text of the file. Raises DataError where the format cannot say it."""

    @abstractmethod
    def read(self, text: str, sources: Sources) -> Reading:
        """What the trainer would take from the text; `sources` has every domain of the decision.

        Raises DataError for a text that the trainer would refuse.
        """

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """What the reader of the file should know of it."""
        return ()


def export(decision: Decision, form: Format) -> Export:
    """The text of `decision` in a format, read back with its reader's arithmetic and compared.

    Raises DataError where the file would say something else than what was decided.
    """
    text = form.write(decision)
    told = form.read(text, decision.used)
    error = _difference(decision.schedule, told)
    if error > max(TOLERANCE, told.rounding):
        raise DataError(_mismatch(decision.schedule, told))
    rows = _rows(decision, told)
    notes = list(form.notes(decision))
    if any(row.epochs is None for row in rows):
        notes.append("epochs are unknown: they need [target] tokens and each domain's tokens")
    fractions = tuple(fraction for fraction, _ in told.schedule)
    return Export(text, rows, fractions, error, tuple(notes))


def positive(mixture: Mapping[str, float]) -> dict[str, float]:
    """The shares above zero, divided by their sum.

    >>> positive({"web": 0.5, "law": 0.0, "code": 0.5})
    {'web': 0.5, 'code': 0.5}
    """
    kept = {name: float(share) for name, share in mixture.items() if share > 0}
    total = sum(kept.values())
    if not total > 0:
        raise DataError(f"expected a mixture with a share above 0, got {dict(mixture)}")
    return {name: share / total for name, share in kept.items()}


def mean_shares(schedule: Schedule) -> dict[str, float]:
    """Shares by domain over all phases."""
    names = dict.fromkeys(name for _, mixture in schedule for name in mixture)
    return {name: sum(part * mix.get(name, 0.0) for part, mix in schedule) for name in names}


def short(value: float) -> float:
    """A number of nine digits: sums stay within the 1e-8 that some readers allow.

    >>> short(0.1 + 0.2)
    0.3
    """
    return float(f"{value:.9g}")


def _difference(wanted: Schedule, told: Reading) -> float:
    """The largest difference of a share or of a phase's fraction."""
    if len(told.schedule) != len(wanted):
        raise DataError(
            f"the export was read back with {len(told.schedule)} phases instead of {len(wanted)}"
        )
    largest = 0.0
    for (fraction, mixture), (told_fraction, got) in zip(wanted, told.schedule, strict=True):
        for name in got:
            if name not in mixture:
                hint = nearest(name, mixture)
                raise DataError(f"the export was read back with an unknown domain {name!r}, {hint}")
        gaps = [abs(share - got.get(name, 0.0)) for name, share in mixture.items()]
        largest = max(largest, abs(fraction - told_fraction), *gaps)
    return largest


def _mismatch(wanted: Schedule, told: Reading) -> str:
    """The sentence about the phase or share that differs most."""
    worst, sentence = 0.0, ""
    for (fraction, mixture), (told_fraction, got) in zip(wanted, told.schedule, strict=True):
        pairs = [("a phase of", fraction, told_fraction, "")]
        pairs += [
            ("a share of", share, got.get(name, 0.0), f" for {name!r}")
            for name, share in mixture.items()
        ]
        for kind, expected, found, whose in pairs:
            if abs(expected - found) > worst:
                worst = abs(expected - found)
                sentence = (
                    f"the export was read back with {kind} {found:.9f}{whose}, "
                    f"expected {expected:.9f}"
                )
    return sentence


def _rows(decision: Decision, told: Reading) -> tuple[Told, ...]:
    """Every domain of every phase with what the trainer makes of it."""
    total = decision.target_tokens if told.tokens is None else told.tokens
    rows = []
    for number, ((_, wanted), (fraction, got)) in enumerate(
        zip(decision.schedule, told.schedule, strict=True), start=1
    ):
        for name, share in wanted.items():
            read, size = got.get(name, 0.0), decision.sources.get(name, Source()).tokens
            epochs = None if total is None or not size else read * fraction * total / size
            rows.append(Told(number, name, share, read, 0.0 if read == 0 else epochs))
    return tuple(rows)
