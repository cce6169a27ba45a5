"""levanter: `train_weights` and `mixture_block_size` of a levanter configuration, as YAML.

levanter fills blocks of b sequences: int(weight * b) of each dataset, and what is left over to the
largest. The weights are therefore written as whole counts that sum to b, a power of two, in which
that arithmetic is exact; b is the smallest of 2048 to 32768 that keeps every share to one per cent
of itself, else the largest. A stage begins at a step whose sequences are a whole number of blocks.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mixopt.errors import ConfigError, DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, positive
from mixopt.exchange.labels import by_domain, file_names
from mixopt.exchange.markup import from_yaml, to_yaml, weights
from mixopt.exchange.nanotron import phase_starts, staged

_BLOCKS = (2048, 4096, 8192, 16384, 32768)
_RELATIVE = 0.01


@dataclass
class Levanter(Format):
    """Weights by name, the keys of `data.components`; a list of [step, weights] for a schedule."""

    unit: ClassVar[str] = "sequences of a block"
    steps: int | None = None
    """Optimiser steps of the training; only a schedule asks for them."""
    batch: int | None = None
    """Sequences a step; only a schedule asks for them."""

    def write(self, decision: Decision) -> str:
        """The document. Raises DataError for a share that is no sequence of the largest block."""
        names = file_names(decision.used)
        phases = [positive(phase) for _, phase in decision.schedule]
        block = _block(phases)
        counts = [
            {names[name]: count for name, count in _counts(phase, block).items()}
            for phase in phases
        ]
        starts = phase_starts(decision, self.steps, "levanter", self._multiple(block, len(phases)))
        told: Any = [[a, b] for a, b in zip(starts, counts, strict=True)]
        data = {
            "train_weights": told if len(phases) > 1 else counts[0],
            "mixture_block_size": block,
        }
        return to_yaml({"data": data})

    def read(self, text: str, sources: Sources) -> Reading:
        """What the blocks hold."""
        block = int(from_yaml(text, "data", "mixture_block_size"))
        told = from_yaml(text, "data", "train_weights")
        stages = told if isinstance(told, list) else [[0, told]]
        names = file_names(sources)
        mixtures = [by_domain(names, _block_shares(stage[1], block)) for stage in stages]
        multiple = self._multiple(block, len(stages))
        reading = staged([int(stage[0]) for stage in stages], mixtures, self.steps, multiple)
        return Reading(reading.schedule, rounding=max(reading.rounding, 1.0 / block))

    def _multiple(self, block: int, phases: int) -> int:
        """Steps after which a block ends and the batch does too."""
        if phases == 1 or self.steps is None:
            return 1
        if self.batch is None:
            raise ConfigError(
                "levanter begins a phase with a block of sequences: say how many a step has "
                "(--batch)"
            )
        return block // math.gcd(block, self.batch)

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """What the names are."""
        return ("the names are keys of data.components (data.configs in older levanter)",)


def _block(phases: list[dict[str, float]]) -> int:
    """The smallest block that holds every share well enough."""
    for block in _BLOCKS:
        pairs = [
            (share, count / block)
            for phase in phases
            for share, count in zip(phase.values(), _counts(phase, block).values(), strict=True)
        ]
        if all(abs(told - share) <= _RELATIVE * share for share, told in pairs):
            return block
    return _BLOCKS[-1]


def _counts(mixture: Mapping[str, float], block: int) -> dict[str, int]:
    """Whole sequences that sum to the block, the largest remainders rounded up."""
    counts = {name: math.floor(share * block) for name, share in mixture.items()}
    order = sorted(mixture, key=lambda name: counts[name] - mixture[name] * block)
    for name in order[: block - sum(counts.values())]:
        counts[name] += 1
    return counts


def _block_shares(told: Any, block: int) -> dict[str, float]:
    """Shares of a block by levanter's arithmetic.

    Raises DataError for a dataset that would never be drawn.
    """
    drawn = weights(told)
    total = sum(drawn.values())
    counts = {name: int(weight / total * block) for name, weight in drawn.items()}
    counts[max(counts, key=lambda name: counts[name])] += block - sum(counts.values())
    for name, count in counts.items():
        if count == 0:
            raise DataError(
                f"levanter would never draw {name!r}: its share is less than one sequence of a "
                f"block of {block}, set it to 0 or above {1 / block:.1e}"
            )
    return {name: count / block for name, count in counts.items()}
