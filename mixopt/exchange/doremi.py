"""doremi: the domain weights of DoReMi's repository, as JSON.

{"train_domain_weights": {...}, "eval_domain_weights": {...}}: divided by their sum, they draw
examples of the folders that the names are. DoReMi numbers domains by the sorted names, so both
tables have the same ones.
"""

from dataclasses import dataclass
from typing import ClassVar

from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain, file_names
from mixopt.exchange.markup import from_json, to_json_text, weights
from mixopt.exchange.samples import Samples, length_notes, sample_shares, token_shares


@dataclass
class DoReMi(Format):
    """The weights of one mixture, twice."""

    unit: ClassVar[str] = "examples"
    samples: Samples = "sequences"
    """What one example is: a packed sequence, or a document (preprocessed without packing)."""

    def write(self, decision: Decision) -> str:
        """The document."""
        mixture = decision.mixture("a DoReMi configuration")
        names = file_names(decision.used)
        drawn = sample_shares(mixture, decision.used, self.samples)
        table = {names[name]: short(drawn[name]) for name in mixture}
        return to_json_text({"train_domain_weights": table, "eval_domain_weights": table})

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares of tokens that come out of the draws."""
        drawn = by_domain(file_names(sources), weights(from_json(text, "train_domain_weights")))
        return Reading(((1.0, token_shares(drawn, sources, self.samples)),))

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """The lengths that were used."""
        return length_notes(decision.used, self.samples)
