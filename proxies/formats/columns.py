"""The columns of a table of documents: which one holds the text, and which rows belong here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mixopt.errors import DataError

_SHOWN = 20


@dataclass(frozen=True)
class Columns:
    """The column `text`; of the rows, those whose columns have the values of `where` (as strings).

    A name with points leads into nested columns: `meta.source`.
    """

    text: str = "text"
    where: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that is read."""
        return (self.text, *(name for name, _ in self.where))

    def text_of(self, row: object, place: object) -> str | None:
        """The text of a row at `place`; None for a row of another domain, or without a value.

        Raises DataError where a column is missing, or its value is no text.
        """
        for name, wanted in self.where:
            if str(_value(row, name, place)) != wanted:
                return None
        text = _value(row, self.text, place)
        if text is None:
            return None
        if not isinstance(text, str):
            raise DataError(
                f"{place}: expected a string in {self.text!r}, got {type(text).__name__}"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{place} holds half a surrogate pair: mend it") from error
        return text

    def check(self, header: Iterable[str], place: object) -> None:
        """DataError unless the header of a table has every column that is read."""
        known = list(header)
        for name in self.names:
            if name not in known and name.partition(".")[0] not in known:
                raise _missing(name, known, place)


def _value(row: object, name: str, place: object) -> Any:
    if isinstance(row, Mapping) and name in row:
        return row[name]
    found: Any = row
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise _missing(name, row if isinstance(row, Mapping) else None, place)
        found = found[part]
    return found


def _missing(column: str, known: Iterable[str] | None, place: object) -> DataError:
    """The sentence about a column that is not there, with those that are."""
    names = ["no object"] if known is None else [str(name) for name in known]
    told = ", ".join(names[:_SHOWN]) or "none"
    if len(names) > _SHOWN:
        told += f" and {len(names) - _SHOWN} more"
    return DataError(
        f"{place} has no column {column!r} (it has {told}): say in space.toml which column it is"
    )
