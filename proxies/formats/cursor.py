"""A place in a file that is read in order, kept between calls: neighbouring parts unpack it once.

A process that is given ascending parts of one file, as workers are, goes on where it stopped; asked
for what lies behind it, it begins anew. What is read does not depend on what was read before.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from proxies.formats.base import Range

T = TypeVar("T")


class InOrder(Protocol[T]):
    """A format, as far as its files are read in order."""

    def records(self, file: Path) -> Iterator[tuple[int, T]]:
        """Everything in the file with the ascending numbers where it begins."""
        ...


class Cursor(Generic[T]):
    """Goes through records once, forward, and from the beginning again where it must."""

    def __init__(self, begin: Callable[[], Iterator[tuple[int, T]]]) -> None:
        self._begin = begin
        self._records: Iterator[tuple[int, T]] | None = None
        self._passed = -1
        """Where the last record began that was given or left out."""
        self._waiting: tuple[int, T] | None = None
        """A record that was read and lies beyond what was asked for."""

    def within(self, ranges: Iterable[Range]) -> Iterator[tuple[Range, T]]:
        """The records that begin in ascending ranges, each with its range."""
        places = iter(ranges)
        here = next(places, None)
        if here is not None and (self._records is None or here[0] <= self._passed):
            self._records, self._passed, self._waiting = self._begin(), -1, None
        while here is not None and (record := self._next()) is not None:
            while here is not None and record[0] >= here[1]:
                here = next(places, None)
            if here is None:
                self._waiting = record
                return
            self._passed = record[0]
            if record[0] >= here[0]:
                yield here, record[1]

    def _next(self) -> tuple[int, T] | None:
        record, self._waiting = self._waiting, None
        if record is not None or self._records is None:
            return record
        records, self._records = self._records, None  # where reading fails, it begins anew
        record = next(records, None)
        self._records = records
        return record


def kept(form: InOrder[T], file: Path) -> Cursor[T]:
    """The cursor of this file where it was the last one, else a new one at its beginning."""
    told = file.stat()
    return _cursor(form, file, told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=1)
def _cursor(form: InOrder[Any], file: Path, size: int, modified: int) -> Cursor[Any]:
    return Cursor(lambda: form.records(file))
