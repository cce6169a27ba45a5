"""JSON that is no lines: an array of objects, or objects one after another, one column of each."""

import json
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mixopt.errors import DataError
from proxies.formats.base import Range, TableFormat
from proxies.formats.cursor import kept
from proxies.formats.streams import LONGEST_LINE, opened

_STEP = 1 << 20
_SPACE = " \t\n\r"


@dataclass(frozen=True)
class JsonArray(TableFormat):
    """Files of one array, or of objects; one object at a time is in memory.

    Documents begin where their objects do, in characters.
    """

    def in_order(self, file: Path) -> bool:
        """Always: no place but the first is known to be the beginning of an object."""
        return True

    def extent(self, file: Path) -> int:
        """Bytes of the file, which are no fewer than its characters."""
        return file.stat().st_size

    def records(self, file: Path) -> Iterator[tuple[int, tuple[int, object]]]:
        """Every object and its number, with the character where it begins."""
        with opened(file) as stream:
            for number, (position, row) in enumerate(_objects(_Window(file, stream)), start=1):
                yield position, (number, row)

    def _texts(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        for place, (number, row) in kept(self, file).within(ranges):
            text = self.columns.text_of(row, _Object(file, number))
            if text is not None:
                yield place, text


class _Object(NamedTuple):
    """An object of a file, by its number."""

    file: Path
    number: int

    def __str__(self) -> str:
        return f"object {self.number} of {self.file}"


class _Window:
    """The part of a file that is in memory, as text."""

    def __init__(self, file: Path, stream: BinaryIO) -> None:
        self.file = file
        self.text = ""
        self.here = 0
        """Where in `text` the next thing begins."""
        self.position = 0
        """Where in the file `text` begins, in characters."""
        self._stream = stream
        self._decoder = getincrementaldecoder("utf-8-sig")()
        self._ended = False

    def grow(self) -> bool:
        """Read on, twice as much as is waiting; whether there was anything to read."""
        if self._ended:
            return False
        self.position += self.here
        self.text, self.here = self.text[self.here :], 0
        content = self._stream.read(max(_STEP, len(self.text)))
        self._ended = not content
        try:
            self.text += self._decoder.decode(content, final=self._ended)
        except UnicodeDecodeError as error:
            raise DataError(f"{self.file} is not UTF-8: convert the file") from error
        return not self._ended

    def next_character(self) -> str:
        """The next one that is no white space, which `here` then points to; empty at the end."""
        while True:
            while self.here < len(self.text) and self.text[self.here] in _SPACE:
                self.here += 1
            if self.here < len(self.text):
                return self.text[self.here]
            if not self.grow():
                return ""


def _objects(window: _Window) -> Iterator[tuple[int, object]]:
    """Every value of an array, or of a sequence of values, with its place."""
    in_array = window.next_character() == "["
    if in_array:
        window.here += 1
    first = True
    while (character := window.next_character()) not in ("", "]" if in_array else ""):
        if in_array and not first:
            if character != ",":
                raise _not_json(window, "expected ',' or ']'")
            window.here += 1
            window.next_character()
        position = window.position + window.here
        yield position, _value(window)
        first = False
    if in_array:
        if character != "]":
            raise _not_json(window, "the array has no end")
        window.here += 1
        if window.next_character():
            raise _not_json(window, "expected nothing behind the array")


def _value(window: _Window) -> object:
    """The value that begins here; `here` goes behind it."""
    decoder = json.JSONDecoder()
    while True:
        try:
            value, end = decoder.raw_decode(window.text, window.here)
        except (ValueError, RecursionError) as error:
            if len(window.text) - window.here > LONGEST_LINE or not window.grow():
                raise _not_json(window, str(error)) from error
        else:
            window.here = end
            return value


def _not_json(window: _Window, reason: str) -> DataError:
    place = window.position + window.here
    return DataError(f"{window.file} is not JSON at character {place}: {reason.splitlines()[0]}")
