"""olmix: the `mix` of an Olmix launch configuration, as YAML.

Levels are nested: `dclm:games` stands under `dclm`, and its share of tokens is the product of the
weights on the way. `repetition_factor` limits how often a leaf is read: its `max_epochs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain
from mixopt.exchange.markup import from_yaml, to_yaml

_KEYS = ("weight", "repetition_factor")


@dataclass
class OlmixMix(Format):
    """One leaf a domain with a share."""

    unit: ClassVar[str] = "tokens"

    def write(self, decision: Decision) -> str:
        """The document. Raises DataError for a domain that is also a level of another."""
        mixture = decision.mixture("an Olmix launch configuration")
        epochs = decision.source_epochs() or {}
        tree: dict[str, Any] = {}
        for name, share in mixture.items():
            limit = decision.used[name].max_epochs or 1.0
            leaf = {"weight": share, _KEYS[1]: short(max(1.0, limit, epochs.get(name, 1.0)))}
            _hang(tree, name, leaf)
        return to_yaml({"mix": {key: _relative(node, 1.0) for key, node in tree.items()}})

    def read(self, text: str, sources: Sources) -> Reading:
        """The products of the weights."""
        shares = _leaves(from_yaml(text, "mix"), 1.0, ())
        return Reading(((1.0, by_domain({name: name for name in sources}, shares)),))


def _hang(tree: dict[str, Any], name: str, leaf: dict[str, float]) -> None:
    """Put a leaf where its levels say."""
    *levels, last = name.split(":")
    if not all([*levels, last]) or set(_KEYS) & {*levels, last}:
        raise DataError(f"Olmix has no place for a domain called {name!r}: rename it")
    here = tree
    for level in levels:
        here = here.setdefault(level, {})
        if "weight" in here:
            raise DataError(f"Olmix nests levels, and one above {name!r} is a domain itself")
    if last in here:
        raise DataError(f"Olmix nests levels, and {name!r} is a domain and a level of others")
    here[last] = leaf


def _relative(node: dict[str, Any], above: float) -> dict[str, Any]:
    """A node with weights relative to the level above it."""
    if not isinstance(node.get("weight"), dict) and "weight" in node:
        return {**node, "weight": _digits(node["weight"] / above)}
    total = _total(node)
    below = {key: _relative(child, total) for key, child in node.items()}
    return {"weight": _digits(total / above), **below}


def _total(node: Mapping[str, Any]) -> float:
    """The share of everything below a node."""
    if "weight" in node:
        return node["weight"]
    return sum(_total(child) for child in node.values())


def _leaves(tree: Any, above: float, levels: tuple[str, ...]) -> dict[str, float]:
    """Shares of the leaves by their full names."""
    found: dict[str, float] = {}
    for key, node in tree.items():
        if not isinstance(node, dict) or "weight" not in node:
            raise DataError(f"expected a weight for each level of mix, {key!r} has none")
        share, names = above * float(node["weight"]), (*levels, str(key))
        below = {name: child for name, child in node.items() if name not in _KEYS}
        found.update(_leaves(below, share, names) if below else {":".join(names): share})
    return found


def _digits(value: float) -> float:
    """A weight of twelve digits: products over levels keep nine."""
    return float(f"{value:.12g}")
