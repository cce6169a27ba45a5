"""regmix: the training file of RegMix's repository, as YAML.

{train: {PREFIX: weight}, valid: {PREFIX: 1.0}, model_name: ...}. Weights are divided by their sum
and draw packed sequences. A dataset is every file whose name begins with the prefix, so no prefix
may be the beginning of another; one without files is left out in silence by the trainer.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain, file_names
from mixopt.exchange.markup import from_yaml, to_yaml, weights


@dataclass
class RegMixFile(Format):
    """Prefixes are `train_NAME` and `valid_NAME`."""

    unit: ClassVar[str] = "sequences of fixed length"
    model_name: str = "tinyllama_1_1b"

    def write(self, decision: Decision) -> str:
        """The document. Raises DataError where files of two domains could not be told apart."""
        mixture = decision.mixture("a RegMix configuration")
        names = file_names(decision.used)
        _check_prefixes(sorted(names.values()))
        return to_yaml(
            {
                "train": {f"train_{names[name]}": short(part) for name, part in mixture.items()},
                "valid": {f"valid_{names[name]}": 1.0 for name in mixture},
                "model_name": self.model_name,
            }
        )

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares that RegMix would draw."""
        drawn = weights(from_yaml(text, "train"))
        labels = {name: f"train_{label}" for name, label in file_names(sources).items()}
        shares = {prefix: weight / sum(drawn.values()) for prefix, weight in drawn.items()}
        return Reading(((1.0, by_domain(labels, shares)),))


def _check_prefixes(ordered: list[str]) -> None:
    for first, second in pairwise(ordered):
        if second.startswith(first):
            raise DataError(
                f"RegMix finds the files of a dataset by their beginning, and {first!r} is the "
                f"beginning of {second!r}: rename a domain"
            )
