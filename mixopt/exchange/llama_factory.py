"""llama_factory: the `dataset`, `mix_strategy` and `interleave_probs` of LLaMA-Factory, as YAML.

LLaMA-Factory hands the probabilities to `datasets.interleave_datasets`: they count examples, and
`interleave_over` starts sources again that run out. The names are keys of its dataset_info.json.
"""

from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.huggingface import check_probabilities
from mixopt.exchange.labels import by_domain, file_names
from mixopt.exchange.markup import from_yaml, numbers, to_yaml
from mixopt.exchange.samples import Samples, length_notes, sample_shares, token_shares


@dataclass
class LlamaFactory(Format):
    """Strings with commas, one probability a dataset."""

    unit: ClassVar[str] = "examples"
    samples: Samples = "documents"
    """What one example is: a document, or a sequence of fixed length."""

    def write(self, decision: Decision) -> str:
        """The document. Raises DataError where documents are drawn and not counted."""
        mixture = decision.mixture("a LLaMA-Factory configuration")
        names = file_names(decision.used)
        drawn = sample_shares(mixture, decision.used, self.samples)
        return to_yaml(
            {
                "dataset": ",".join(names[name] for name in mixture),
                "mix_strategy": "interleave_over",
                "interleave_probs": ",".join(str(short(drawn[name])) for name in mixture),
            }
        )

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares of tokens that come out of the draws."""
        if from_yaml(text, "mix_strategy") == "concat":
            raise DataError("LLaMA-Factory takes interleave_probs only for interleaved mixing")
        names = [name.strip() for name in str(from_yaml(text, "dataset")).split(",")]
        told = str(from_yaml(text, "interleave_probs")).split(",")
        drawn = check_probabilities(numbers(told), len(names))
        by_name = by_domain(file_names(sources), dict(zip(names, drawn, strict=True)))
        return Reading(((1.0, token_shares(by_name, sources, self.samples)),))

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """The lengths that were used."""
        return length_notes(decision.used, self.samples)
