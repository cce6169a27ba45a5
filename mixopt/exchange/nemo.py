"""nemo: a JSON list of weights and prefixes in turn, for NeMo and Megatron-Bridge.

[WEIGHT, PREFIX, WEIGHT, PREFIX, ...], all strings: `data_paths` of Megatron-Bridge, `paths` of
NeMo's PreTrainingDataModule. Both hand it to Megatron, whose arithmetic is that of `megatron`.
"""

from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources
from mixopt.exchange.markup import from_json, to_json_text
from mixopt.exchange.megatron import UNIT, blend, blend_shares


@dataclass
class Nemo(Format):
    """The blend of one mixture as a list."""

    unit: ClassVar[str] = UNIT
    ending: ClassVar[str | None] = ".idx"

    def write(self, decision: Decision) -> str:
        """The document."""
        return to_json_text(blend(decision.mixture("a NeMo blend"), decision.used))

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares that Megatron would draw."""
        words = from_json(text)
        if not isinstance(words, list):
            raise DataError(f"expected a JSON list of weights and prefixes, got {words!r}")
        return Reading(((1.0, blend_shares([str(word) for word in words], sources)),))
