"""gpt_neox: the data keys of a GPT-NeoX configuration, as JSON (which is YAML too).

NeoX divides "train-data-weights" by their sum; a weight counts samples of fixed length, unless
"weight-by-num-documents" replaces all weights, which is therefore switched off.
"""

from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain
from mixopt.exchange.markup import from_json, numbers, to_json_text
from mixopt.exchange.megatron import UNIT, held_out, prefixes


@dataclass
class GptNeoX(Format):
    """The paths and weights of one mixture; validation paths where every domain has one."""

    unit: ClassVar[str] = UNIT
    ending: ClassVar[str | None] = ".idx"

    def write(self, decision: Decision) -> str:
        """The document."""
        mixture = decision.mixture("a GPT-NeoX configuration")
        names = prefixes(decision.used)
        document: dict[str, object] = {
            "train-data-paths": [names[name] for name in mixture],
            "train-data-weights": [short(share) for share in mixture.values()],
            "weight-by-num-documents": False,
        }
        if all(item.validation for item in decision.used.values()):
            valid = held_out(decision.used, "GPT-NeoX")
            for split in ("valid", "test"):
                document[f"{split}-data-paths"] = valid
                document[f"{split}-data-weights"] = [1.0] * len(valid)
        return to_json_text(document)

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares that NeoX would draw."""
        document = from_json(text)
        if from_json(text, "weight-by-num-documents"):
            raise DataError("weight-by-num-documents replaces the weights, expected false")
        found = from_json(text, "train-data-paths")
        drawn = numbers(from_json(text, "train-data-weights"))
        if len(found) != len(drawn):
            raise DataError(f"expected a weight for each path, got {document}")
        shares = {path: weight / sum(drawn) for path, weight in zip(found, drawn)}
        return Reading(((1.0, by_domain(prefixes(sources), shares)),))

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """GPT-NeoX takes the paths of all splits or of none."""
        if all(item.validation for item in decision.used.values()):
            return ()
        return ("GPT-NeoX wants valid- and test-data-paths beside these: they are yours to add",)
