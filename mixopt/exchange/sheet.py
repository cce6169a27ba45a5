"""Sheet: a CSV file as rows by column name, every mistake in it named by file, line and column."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

from mixopt.errors import DataError, nearest

_SHOWN = 3
UNNAMED = "Unnamed: 0"
"""What pandas calls a first column without a name, and what it is called here."""


@dataclass(frozen=True)
class Sheet:
    """The cells of a CSV file, stripped of white space."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]
    """The line on which each row ends."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file with a header and a row at least.

        Raises DataError for bytes that are no UTF-8 text, columns without a name or with that of
        another, and rows of another length than the header.
        """
        table = _lines(path)
        first_line, names = table[0]
        header = tuple(cell.strip() for cell in names)
        if header[0] == "":  # as pandas leaves the head of an index
            header = ("index" if "index" not in header else UNNAMED, *header[1:])
        for name in header:
            if not name or header.count(name) > 1:
                what = "an empty column name" if not name else f"the column {name!r} twice"
                raise DataError(f"{path}:{first_line}: {what} in the header")
        for line, row in table[1:]:
            if len(row) != len(header):
                raise DataError(f"{path}:{line}: expected {len(header)} cells, got {len(row)}")
        cells = [[cell.strip() for cell in row] for _, row in table[1:]]
        rows = tuple(dict(zip(header, row, strict=True)) for row in cells)
        return cls(path, header, rows, tuple(line for line, _ in table[1:]))

    def where(self, i: int) -> str:
        """File and line of row i."""
        return f"{self.path}:{self.lines[i]}"

    def number(self, i: int, column: str) -> float:
        """The number in a cell; NaN only where the cell says so."""
        cell = self.rows[i][column]
        try:
            return float(cell)
        except ValueError as error:
            raise DataError(
                f"{self.where(i)}: column {column!r} holds {cell!r}, expected a number"
            ) from error

    def require(self, column: str) -> None:
        """Raise DataError where there is no such column."""
        if column not in self.header:
            hint = nearest(column, self.header)
            raise DataError(f"{self.path}:1: no column is called {column!r}, {hint}")

    def matching(self, pattern: str) -> tuple[str, ...]:
        """The columns that a pattern (`ratio_*`) names. Raises DataError where there are none."""
        found = tuple(name for name in self.header if fnmatchcase(name, pattern))
        if not found:
            raise DataError(
                f"{self.path}:1: no column matches {pattern!r}, it has {', '.join(self.header)}"
            )
        return found

    def require_unique(self, column: str) -> None:
        """Raise DataError where a cell of the column is empty or stands on two lines."""
        first: dict[str, int] = {}
        for i, row in enumerate(self.rows):
            cell = row[column]
            if not cell:
                raise DataError(f"{self.where(i)}: the column {column!r} is empty, expected an id")
            if cell in first:
                line = self.lines[first[cell]]
                raise DataError(f"{self.where(i)}: {column} {cell!r} stands on line {line} already")
            first[cell] = i


def few(items: Sequence[str]) -> str:
    """The first items of a list, and how many more there are."""
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """(line, cells) of every line that is not empty, two at least."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            table = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} could not be read as a CSV: {error}") from error
    if len(table) < 2:
        raise DataError(f"{path}: expected a header and a line for each run, got {len(table)}")
    return table
