"""Priors of a swarm from Olmix's files: natural shares, token counts and the limit on repetition.

Read from a fit configuration, from the output of `olmix priors compute` (YAML) or from a launch's
metadata (JSON, which is YAML): `priors.relative_sizes`, `priors.token_counts`, and `constraints`,
of which caps follow only where Olmix had them enabled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.errors import DataError
from mixopt.exchange.dialects import domain_name
from mixopt.exchange.markup import from_yaml, weights
from mixopt.exchange.sheet import few

_SAME = 1e-6


@dataclass(frozen=True)
class Priors:
    """What is known of the domains beside the runs."""

    tokens: Mapping[str, float] = field(default_factory=dict)
    """Unique tokens by domain."""
    shares: Mapping[str, float] | None = None
    """The prior, where it is not the shares of the tokens."""
    target_tokens: float | None = None
    max_epochs: float | None = None
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def read_priors(path: Path, domains: Sequence[str]) -> Priors:
    """The priors of `domains`, by name. Raises DataError for a file that has none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} could not be read: {error}") from error
    document = from_yaml(text)
    if not isinstance(document, dict):
        raise DataError(f"{path}: expected a mapping with priors")
    told = document.get("priors", document)
    if not isinstance(told, dict) or not {"token_counts", "relative_sizes"} & set(told):
        raise DataError(f"{path}: expected priors with token_counts or relative_sizes")
    tokens, sizes = (_named(path, told.get(key)) for key in ("token_counts", "relative_sizes"))
    notes = [*_strangers({**tokens, **sizes}, domains), *_absent(tokens or sizes, domains)]
    tokens = {name: tokens[name] for name in domains if name in tokens}
    target, epochs, more = _caps(path, document.get("constraints") or {})
    return Priors(tokens, _prior(tokens, sizes, domains), target, epochs, (*notes, *more))


def _named(path: Path, table: Any) -> dict[str, float]:
    """A table by our names of the domains."""
    if not table:
        return {}
    found: dict[str, float] = {}
    for column, value in weights(table).items():
        name = domain_name(column, column)
        if name in found:
            raise DataError(
                f"{path}: two priors would be called {name!r}, please rename {column!r}"
            )
        found[name] = value
    return found


def _prior(
    tokens: Mapping[str, float], sizes: Mapping[str, float], domains: Sequence[str]
) -> dict[str, float] | None:
    """Relative sizes of all domains as shares, where the tokens do not say the same."""
    total = sum(sizes.get(name, 0.0) for name in domains)
    if not all(name in sizes for name in domains) or not total > 0:
        return None
    shares = {name: sizes[name] / total for name in domains}
    whole = sum(tokens.values())
    natural = {name: count / whole for name, count in tokens.items()} if whole else {}
    same = all(abs(natural.get(name, -1.0) - share) < _SAME for name, share in shares.items())
    return None if same else shares


def _caps(path: Path, table: Any) -> tuple[float | None, float | None, list[str]]:
    """Target tokens and epochs of `constraints`, and what is to be said of them."""
    if not isinstance(table, dict):
        raise DataError(f"{path}: expected constraints to be a mapping, got {table!r}")
    if not table.get("enabled"):
        return None, None, ["Olmix set no cap on repetition here: [target] tokens would"]
    try:
        return float(table["target_tokens"]), float(table["repetition_factor"]), []
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: constraints are enabled, expected target_tokens and repetition_factor"
        ) from error


def _strangers(named: Mapping[str, float], domains: Sequence[str]) -> list[str]:
    strange = [name for name in named if name not in domains]
    return [f"priors without a column of shares: {few(strange)}"] if strange else []


def _absent(named: Mapping[str, float], domains: Sequence[str]) -> list[str]:
    absent = [name for name in domains if name not in named]
    return [f"domains without a prior: {few(absent)}"] if absent else []
