"""streaming: the streams of MosaicML Streaming, as llm-foundry's YAML.

`repeat` is the times that one epoch of the loader reads a stream: the domain's epochs of the whole
training, so that one epoch of the loader is the training. Where token counts are unknown,
`proportion` keeps the shares alone; Streaming refuses a mixture of the two.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain, file_names, paths
from mixopt.exchange.markup import from_yaml, to_yaml, weights
from mixopt.exchange.samples import Samples, length_notes, sample_shares, token_shares

_KEYS = ("train_loader", "dataset", "streams")


@dataclass
class Streaming(Format):
    """`train_loader.dataset.streams` of one mixture."""

    unit: ClassVar[str] = "epochs of a stream, or samples"
    ending: ClassVar[str | None] = ""
    samples: Samples = "sequences"
    """What one sample of an MDS shard is, where `proportion` is written."""

    def write(self, decision: Decision) -> str:
        """The document."""
        mixture = decision.mixture("a set of streams")
        names, places = file_names(decision.used), paths(decision.used)
        key, values = "repeat", decision.source_epochs()
        if values is None:
            key, values = "proportion", sample_shares(mixture, decision.used, self.samples)
        streams = {
            names[name]: {_place(places[name]): places[name], key: short(values[name])}
            for name in mixture
        }
        return to_yaml({"train_loader": {"dataset": {"streams": streams}}})

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares of tokens; with `repeat`, the tokens of one epoch of the loader too."""
        streams: dict[str, Any] = from_yaml(text, *_KEYS)
        names = file_names(sources)
        proportional = {"proportion" in stream for stream in streams.values()}
        if len(proportional) > 1:
            raise DataError("streams by proportion and by repeat exclude each other")
        if proportional == {True}:
            drawn = weights({name: item["proportion"] for name, item in streams.items()})
            shares = token_shares(by_domain(names, drawn), sources, self.samples)
            return Reading(((1.0, shares),))
        repeats = weights({name: item["repeat"] for name, item in streams.items()})
        tokens = {
            name: times * (sources[name].tokens or 0.0)
            for name, times in by_domain(names, repeats).items()
        }
        total = sum(tokens.values())
        return Reading(((1.0, {name: part / total for name, part in tokens.items()}),), total)

    def notes(self, decision: Decision) -> tuple[str, ...]:
        """How long to train, and the lengths that were used."""
        if decision.source_epochs() is not None:
            return ("one epoch of this loader is the whole training (max_duration: 1ep)",)
        told = "proportion was written, not repeat: token counts or [target] tokens are unknown"
        return (told, *length_notes(decision.used, self.samples))


def _place(path: str) -> str:
    """The key under which Streaming looks for a path."""
    return "remote" if "://" in path else "local"
