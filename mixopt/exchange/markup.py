"""YAML and JSON as trainers read them: plain mappings and lists in the order given, only data."""

import json
from collections.abc import Callable
from typing import Any

import yaml

from mixopt.errors import DataError


def to_yaml(document: Any) -> str:
    """A document in block style; numbers are written so that every reader sees numbers."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=4096)


def from_yaml(text: str, *keys: str) -> Any:
    """What stands under `keys` in a document. Raises DataError where nothing does."""
    return _under(text, yaml.safe_load, "YAML", keys)


def to_json_text(document: Any) -> str:
    """A document, indented for people."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def from_json(text: str, *keys: str) -> Any:
    """What stands under `keys` in a document. Raises DataError where nothing does."""
    return _under(text, json.loads, "JSON", keys)


def numbers(values: Any) -> list[float]:
    """A list of finite numbers, none below zero and not all zero: the weights of a file."""
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise DataError(f"expected a list of weights, got {values!r}") from error
    if not all(0 <= value < float("inf") for value in found) or not sum(found) > 0:
        raise DataError(f"expected weights of 0 or more with a positive sum, got {found}")
    return found


def weights(values: Any) -> dict[str, float]:
    """A mapping of labels to numbers, as `numbers`."""
    if not isinstance(values, dict):
        raise DataError(f"expected a mapping of names to weights, got {values!r}")
    return dict(zip(map(str, values), numbers(values.values()), strict=True))


def _under(text: str, parse: Callable[[str], Any], kind: str, keys: tuple[str, ...]) -> Any:
    try:
        here = parse(text)
        for key in keys:
            here = here[key]
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        where = f" with {'.'.join(keys)}" if keys else ""
        raise DataError(f"expected {kind}{where}: {error!r}") from error
    return here
