"""olmo_core: the `sources` of OLMo-core's SourceMixtureList, as YAML.

`target_ratio` is a share of tokens, above 0 and summing to 1. OLMo-core takes ratio * requested
tokens of a source and refuses where that is more than tokens * `max_repetition_ratio`, which is
therefore the domain's `max_epochs`. Requested tokens, batch and seed are the launch script's.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain, file_names, paths
from mixopt.exchange.markup import from_yaml, to_yaml, weights


@dataclass
class OlmoCore(Format):
    """One source a domain with a share; token files are headerless arrays named `*.npy`."""

    unit: ClassVar[str] = "tokens"
    ending: ClassVar[str | None] = ""

    def write(self, decision: Decision) -> str:
        """The document."""
        mixture = decision.mixture("an OLMo-core source mixture")
        names, places = file_names(decision.used), paths(decision.used)
        limits = _repetition(decision)
        sources = [
            {
                "source_name": names[name],
                "target_ratio": short(share),
                "max_repetition_ratio": limits[name],
                "paths": [_token_files(places[name])],
            }
            for name, share in mixture.items()
        ]
        return to_yaml({"sources": sources})

    def read(self, text: str, sources: Sources) -> Reading:
        """The ratios, after OLMo-core's own checks of them."""
        found: list[dict[str, Any]] = from_yaml(text, "sources")
        ratios = weights({item["source_name"]: item["target_ratio"] for item in found})
        if len(ratios) != len(found) or not all(0 < ratio <= 1 for ratio in ratios.values()):
            raise DataError("OLMo-core wants distinct sources with ratios in (0, 1]")
        if not math.isclose(sum(ratios.values()), 1.0, rel_tol=1e-5, abs_tol=1e-8):
            raise DataError(f"OLMo-core wants ratios that sum to 1, got {sum(ratios.values())}")
        if any(item["max_repetition_ratio"] < 1 for item in found):
            raise DataError("OLMo-core wants a max_repetition_ratio of 1 or more")
        return Reading(((1.0, by_domain(file_names(sources), ratios)),))

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """What to request."""
        if decision.target_tokens is None:
            return ("[target] tokens are unknown: repetition is limited to max_epochs as it is",)
        return (f"requested_tokens: {round(decision.target_tokens)}",)


def _repetition(decision: Decision) -> dict[str, float]:
    """`max_repetition_ratio` by domain: `max_epochs`, never less than what the mixture needs."""
    epochs = decision.source_epochs() or {}
    limits = {}
    for name, source in decision.used.items():
        needed = math.ceil(100 * epochs.get(name, 1.0) - 1e-6) / 100
        limits[name] = max(1.0, source.max_epochs or 1.0, needed)
    return limits


def _token_files(path: str) -> str:
    """A path or pattern of token files; of a folder, all its arrays."""
    return path if path.endswith(".npy") or "*" in path else f"{path.rstrip('/')}/*.npy"
