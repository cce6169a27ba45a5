"""megatron: a blend file for Megatron-LM's `--data-args-path`, one "weight prefix" pair a line.

Megatron splits the file on white space and divides the weights by their sum; a weight counts
samples of fixed length, so it is a share of tokens. The prefix is a path without .bin and .idx.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Source, Sources
from mixopt.exchange.labels import by_domain, paths
from mixopt.exchange.markup import numbers

UNIT = "sequences of fixed length"


@dataclass
class Megatron(Format):
    """The blend of one mixture; domains without a share are left out.

    >>> decision = Decision(
    ...     "pick",
    ...     ((1.0, {"web": 0.75, "code": 0.25, "maths": 0.0}),),
    ...     sources={"web": Source("/tok/web_text_document")},
    ... )
    >>> print(Megatron().write(decision), end="")
    0.75 /tok/web_text_document
    0.25 code
    """

    unit: ClassVar[str] = UNIT
    ending: ClassVar[str | None] = ".idx"

    def write(self, decision: Decision) -> str:
        """The text of the blend file."""
        words = blend(decision.mixture("a megatron blend file"), decision.used)
        return "".join(f"{a} {b}\n" for a, b in zip(words[::2], words[1::2], strict=True))

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares that Megatron would draw."""
        return Reading(((1.0, blend_shares(text.split(), sources)),))


def blend(mixture: Mapping[str, float], sources: Sources) -> list[str]:
    """Weights and prefixes in turn, as Megatron and its relatives take them.

    Raises DataError for a prefix with white space and for one that stands for several domains.
    """
    names = prefixes(sources)
    return [word for name, share in mixture.items() for word in (f"{share:.9g}", names[name])]


def blend_shares(words: Sequence[str], sources: Sources) -> dict[str, float]:
    """Shares by domain of a list of weights and prefixes in turn."""
    if not words or len(words) % 2:
        raise DataError(f"expected pairs of weight and prefix, got {len(words)} words")
    drawn = numbers(words[::2])
    shares = {prefix: weight / sum(drawn) for prefix, weight in zip(words[1::2], drawn)}
    return by_domain(prefixes(sources), shares)


def prefixes(sources: Sources) -> dict[str, str]:
    """The prefix of each domain: its path without .bin or .idx."""
    labels = paths({name: _without_ending(item) for name, item in sources.items()})
    for name, prefix in labels.items():
        check_prefix(name, prefix)
    return labels


def check_prefix(name: str, prefix: str) -> None:
    """Raise DataError for a prefix that Megatron would read as several words."""
    if not prefix or len(prefix.split()) != 1:
        raise DataError(
            f"megatron splits its blend file on white space, the prefix {prefix!r} of "
            f"{name!r} has some: please move the data"
        )


def held_out(sources: Sources, reader: str) -> list[str]:
    """The prefixes of validation text by domain, for readers that ask for them.

    Raises DataError for a domain without one.
    """
    found = []
    for name, item in sources.items():
        if item.validation is None:
            raise DataError(
                f"{reader} names validation data too, and {name!r} has none: give a CSV with "
                "name,path,validation (--sources)"
            )
        prefix = item.validation.removesuffix(".bin").removesuffix(".idx")
        check_prefix(name, prefix)
        found.append(prefix)
    return found


def _without_ending(item: Source) -> Source:
    path = item.path
    return Source(None if path is None else path.removesuffix(".bin").removesuffix(".idx"))
