"""Formats in which decisions leave for a trainer; tables in which runs come and go."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.exchange.base import Format

FORMATS = {
    "json": Entry("mixopt.exchange.json_format:Json"),
    "megatron": Entry("mixopt.exchange.megatron:Megatron"),
}


def make_format(name: str, settings: Mapping[str, Any] | None = None) -> "Format":
    """The format registered as `name`, e.g. `make_format("megatron", {"paths": {...}})`."""
    return make(FORMATS, "format", name, settings or {})
