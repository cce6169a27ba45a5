"""litdata: the arguments of litdata's CombinedStreamingDataset, as JSON.

Each draw takes one sample of the dataset that `weights` (divided by their sum) chose. litdata
refuses weights unless `iterate_over_all` is false; then an epoch ends when a dataset does.
"""

from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain, paths
from mixopt.exchange.markup import from_json, numbers, to_json_text
from mixopt.exchange.samples import Samples, length_notes, sample_shares, token_shares


@dataclass
class LitData(Format):
    """`input_dirs` in order, `weights`, `seed`, `iterate_over_all`."""

    unit: ClassVar[str] = "samples"
    ending: ClassVar[str | None] = ""
    samples: Samples = "sequences"
    """What one sample is: a block of tokens (TokensLoader), or a document."""
    seed: int = 42

    def write(self, decision: Decision) -> str:
        """The document."""
        mixture = decision.mixture("a CombinedStreamingDataset")
        names = paths(decision.used)
        drawn = sample_shares(mixture, decision.used, self.samples)
        document = {
            "input_dirs": [names[name] for name in mixture],
            "weights": [short(drawn[name]) for name in mixture],
            "seed": self.seed,
            "iterate_over_all": False,
        }
        return to_json_text(document)

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares of tokens that come out of the draws."""
        found = from_json(text, "input_dirs")
        drawn = numbers(from_json(text, "weights"))
        if len(found) != len(drawn) or from_json(text, "iterate_over_all"):
            raise DataError("litdata wants a weight a dataset, and iterate_over_all false")
        by_name = by_domain(paths(sources), dict(zip(found, drawn, strict=True)))
        return Reading(((1.0, token_shares(by_name, sources, self.samples)),))

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """When an epoch ends, and the lengths that were used."""
        told = "an epoch ends with the first dataset that does: wrap the loader to go on"
        return (told, *length_notes(decision.used, self.samples))
