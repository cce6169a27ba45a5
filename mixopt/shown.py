"""How results look in a Python prompt and a notebook: a sentence first, then small tables.

A number is shown with as many digits as its uncertainty deserves; `frame()` and `to_json()` of a
result hold the whole numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple, TypeVar

import pandas as pd

from mixopt.digits import rounded
from mixopt.errors import DataError, nearest

T = TypeVar("T")

_ROWS = 20
"""Rows of a table that are shown."""


class Section(NamedTuple):
    """A sentence and a table of texts."""

    heading: str
    table: pd.DataFrame


class Shown(ABC):
    """A result that says in a prompt and a notebook what people look for in it."""

    @abstractmethod
    def sections(self) -> Iterable[Section]:
        """What is shown, in its order; a long table is cut."""

    def __repr__(self) -> str:
        parts = []
        for heading, table in self.sections():
            text = table.head(_ROWS).to_string(index=False)
            parts.append("\n".join([heading, text, *_cut(table)]))
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        parts = []
        for heading, table in self.sections():
            rest = [f"<p>{line}</p>" for line in _cut(table)]
            text = table.head(_ROWS).to_html(index=False, border=0)
            parts.append("\n".join([f"<p><b>{escape(heading)}</b></p>", text, *rest]))
        return "\n".join(parts)


def between(mean: float, low: float, high: float, scale: float = 1.0) -> str:
    """A value times `scale` with its interval.

    >>> between(0.0123, 0.0051, 0.0195, scale=100)
    '1.23 (0.51 to 1.95)'
    """
    width = scale * (high - low) / 2
    texts = [rounded(scale * value, width) for value in (mean, low, high)]
    return f"{texts[0]} ({texts[1]} to {texts[2]})"


def chance(p: float) -> str:
    """A probability.

    >>> chance(0.0421), chance(0.00002)
    ('0.042', '< 0.001')
    """
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def named_or_first(parts: Mapping[str, T], name: str | None) -> T:
    """The part of a report of that name, or the first. Raises DataError where there is none."""
    if name is None:
        return next(iter(parts.values()))
    if name not in parts:
        raise DataError(f"nothing here is called {name!r}, {nearest(name, parts)}")
    return parts[name]


def _cut(table: pd.DataFrame) -> list[str]:
    """What a cut table leaves out, in words."""
    left = len(table) - _ROWS
    return [f"... and {left} more: frame() holds all"] if left > 0 else []
