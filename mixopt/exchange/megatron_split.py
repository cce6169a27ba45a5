"""megatron_split: a JSON file for Megatron-LM's `--per-split-data-args-path`.

{"train": [WEIGHT, PREFIX, ...], "valid": [PREFIX, ...], "test": [PREFIX, ...]}. Megatron looks up
all three keys, and cannot be given `--split` then; a list of prefixes alone is read by size.
"""

from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources
from mixopt.exchange.markup import from_json, to_json_text
from mixopt.exchange.megatron import UNIT, blend, blend_shares, held_out


@dataclass
class MegatronSplit(Format):
    """The blend of one mixture with validation text of every domain; test text is the same."""

    unit: ClassVar[str] = UNIT
    ending: ClassVar[str | None] = ".idx"

    def write(self, decision: Decision) -> str:
        """The document. Raises DataError where a domain has no validation path."""
        mixture = decision.mixture("megatron's per-split file")
        valid = held_out(decision.used, "megatron's per-split file")
        train = blend(mixture, decision.used)
        return to_json_text({"train": train, "valid": valid, "test": valid})

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares that Megatron would draw for training."""
        document = from_json(text)
        for split in ("train", "valid", "test"):
            if not isinstance(document, dict) or not document.get(split):
                raise DataError(f"megatron looks up train, valid and test, {split!r} is missing")
        words = document["train"]
        words = words.split() if isinstance(words, str) else [str(word) for word in words]
        return Reading(((1.0, blend_shares(words, sources)),))
