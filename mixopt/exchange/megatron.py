"""megatron: a blend file for Megatron-LM's `--data-args-path`, one "weight prefix" pair a line.

Megatron splits the file on white space and divides the weights by their sum; a weight counts
samples of fixed length, so it is a share of tokens. The prefix is a path without .bin and .idx.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixopt.errors import DataError, nearest
from mixopt.exchange.base import Decision, Format, Schedule


@dataclass
class Megatron(Format):
    """The blend of one mixture; domains without a share are left out.

    >>> decision = Decision("pick", ((1.0, {"web": 0.75, "code": 0.25, "maths": 0.0}),))
    >>> print(Megatron(paths={"web": "/tok/web_text_document"}).write(decision), end="")
    0.75 /tok/web_text_document
    0.25 code
    """

    paths: Mapping[str, str] = field(default_factory=dict)
    """Prefix of each domain; a domain that is not named here is its own prefix."""

    def write(self, decision: Decision) -> str:
        """The text of the blend file."""
        mixture = decision.mixture("a megatron blend file")
        for name in self.paths:
            if name not in mixture:
                raise DataError(f"paths name no domain {name!r}, {nearest(name, mixture)}")
        kept = {name: share for name, share in mixture.items() if share > 0}
        total = sum(kept.values())
        prefixes = [self._prefix(name) for name in kept]
        if len(set(prefixes)) < len(prefixes):
            twice = next(prefix for prefix in prefixes if prefixes.count(prefix) > 1)
            raise DataError(f"expected a prefix for each domain, {twice!r} stands for several")
        lines = [
            f"{share / total:.9g} {prefix}\n"
            for prefix, share in zip(prefixes, kept.values(), strict=True)
        ]
        return "".join(lines)

    def read(self, text: str) -> Schedule:
        """The shares that Megatron would draw."""
        words = text.split()
        if not words or len(words) % 2:
            raise DataError(f"expected pairs of weight and prefix, got {len(words)} words")
        names = {prefix: name for name, prefix in self.paths.items()}
        try:
            weights = [float(word) for word in words[::2]]
        except ValueError as error:
            raise DataError(f"expected a weight before each prefix: {error}") from error
        total = sum(weights)
        if not total > 0:
            raise DataError(f"expected weights with a positive sum, got {total}")
        pairs = zip(words[1::2], weights, strict=True)
        return ((1.0, {names.get(prefix, prefix): weight / total for prefix, weight in pairs}),)

    def _prefix(self, name: str) -> str:
        prefix = self.paths.get(name, name)
        if not prefix or len(prefix.split()) != 1:
            raise DataError(
                f"megatron splits its blend file on white space, the prefix {prefix!r} of "
                f"{name!r} has some: please move the data"
            )
        return prefix
