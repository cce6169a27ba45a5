"""axolotl: the `datasets` of an Axolotl configuration, as YAML.

Axolotl's `weight` is no probability: it is the part of a dataset's rows that are kept, above 0 and
at most 1, before all are put together and shuffled. A domain of 2.4 epochs is listed with 1, 1 and
0.4, and the training is one epoch of the list. Without token counts of the target, the domain that
is read most is kept whole and the others in proportion to shares / tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import domain_of, paths
from mixopt.exchange.markup import from_yaml, to_yaml

_MOST = 100
_TINY = 1e-9
"""Parts of an epoch that are none."""


@dataclass
class Axolotl(Format):
    """One entry for each time that a domain is read."""

    unit: ClassVar[str] = "part of the rows that is kept"
    ending: ClassVar[str | None] = ""
    type: str = "completion"
    """Axolotl's way to make a prompt of a row."""

    def write(self, decision: Decision) -> str:
        """The document. Raises DataError where a domain's tokens are unknown."""
        mixture = decision.mixture("an Axolotl configuration")
        names, entries = paths(decision.used), []
        for name, epochs in _epochs(decision, mixture).items():
            if epochs > _MOST:
                raise DataError(f"Axolotl lists a domain once an epoch, {name!r} has {epochs:.0f}")
            whole = math.floor(epochs + _TINY)
            rest = short(epochs - whole)
            kept = [1.0] * whole + ([rest] if rest > _TINY else [])
            entries += [{"path": names[name], "type": self.type, "weight": w} for w in kept]
        return to_yaml({"datasets": entries, "num_epochs": 1})

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares of tokens: int(weight * rows) of each entry, where rows are known."""
        if from_yaml(text, "num_epochs") != 1:
            raise DataError("the list is the whole training, expected num_epochs: 1")
        labels, tokens, lost = paths(sources), dict[str, float](), 0.0
        entries: list[dict[str, Any]] = from_yaml(text, "datasets")
        for entry in entries:
            name, weight = domain_of(labels, entry["path"]), float(entry["weight"])
            if not 0 < weight <= 1:
                raise DataError(f"Axolotl wants weights in (0, 1], got {weight} for {name!r}")
            kept, size = _kept(weight, sources[name].documents), sources[name].tokens or 0.0
            tokens[name] = tokens.get(name, 0.0) + kept * size
            lost += (weight - kept) * size
        total = sum(tokens.values())
        if not total > 0:
            raise DataError("Axolotl would keep no row of any dataset: the weights are too small")
        shares = {name: part / total for name, part in tokens.items()}
        return Reading(((1.0, shares),), total, rounding=lost / total)

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """What the list leaves open."""
        told = "releases up to 0.19 have no weight and keep every row: use one that knows it"
        if decision.source_epochs() is None:
            return (told, "[target] tokens are unknown: the domain read most is kept whole")
        return (told, "a domain that is listed several times is read several times")


def _epochs(decision: Decision, mixture: Mapping[str, float]) -> dict[str, float]:
    """Times that each domain is read, the most read one once where the target is unknown."""
    for name, source in decision.used.items():
        if not source.tokens:
            raise DataError(
                f"Axolotl keeps a part of each dataset, and nobody says how many tokens {name!r} "
                "has: give a CSV with name,tokens (--sources), or add them to space.toml"
            )
    known = decision.source_epochs()
    if known is not None:
        return known
    rates = {name: share / (decision.used[name].tokens or 1.0) for name, share in mixture.items()}
    return {name: rate / max(rates.values()) for name, rate in rates.items()}


def _kept(weight: float, rows: float | None) -> float:
    """The part that is kept of a dataset of so many rows."""
    return weight if rows is None else int(weight * round(rows)) / round(rows)
