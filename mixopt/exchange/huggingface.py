"""huggingface: the arguments of `datasets.interleave_datasets`, as JSON.

Each draw takes one example of the source that `probabilities` chose, so shares of tokens become
shares of examples by the domains' mean tokens an example. Sources that run out start again
("all_exhausted"): the training's number of steps decides how much is read.
"""

from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain, paths
from mixopt.exchange.markup import from_json, numbers, to_json_text
from mixopt.exchange.samples import Samples, length_notes, sample_shares, token_shares

SUM_TOLERANCE = 1e-8
"""Of numpy's `choice`, which draws the sources."""


@dataclass
class HuggingFace(Format):
    """`datasets` (paths in order), `probabilities`, `seed`, `stopping_strategy`."""

    unit: ClassVar[str] = "examples"
    ending: ClassVar[str | None] = ""
    samples: Samples = "documents"
    """What one example is: a document, or a sequence of fixed length."""
    seed: int = 0

    def write(self, decision: Decision) -> str:
        """The document. Raises DataError where documents are drawn and not counted."""
        mixture = decision.mixture("interleave_datasets")
        names = paths(decision.used)
        drawn = sample_shares(mixture, decision.used, self.samples)
        document = {
            "datasets": [names[name] for name in mixture],
            "probabilities": [short(drawn[name]) for name in mixture],
            "seed": self.seed,
            "stopping_strategy": "all_exhausted",
        }
        return to_json_text(document)

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares of tokens that come out of the draws."""
        found = from_json(text, "datasets")
        drawn = check_probabilities(numbers(from_json(text, "probabilities")), len(found))
        by_name = by_domain(paths(sources), dict(zip(found, drawn, strict=True)))
        return Reading(((1.0, token_shares(by_name, sources, self.samples)),))

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """The lengths that were used."""
        return length_notes(decision.used, self.samples)


def check_probabilities(drawn: list[float], count: int) -> list[float]:
    """The probabilities. Raises DataError where numpy would refuse to draw with them."""
    if len(drawn) != count:
        raise DataError(f"expected a probability for each of {count} datasets, got {len(drawn)}")
    if abs(sum(drawn) - 1) > SUM_TOLERANCE:
        raise DataError(f"expected probabilities that sum to 1, they sum to {sum(drawn):.9f}")
    return drawn
