"""JSON lines: a line is an object, one column of it a document."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from sys import maxsize
from typing import NamedTuple

from mixopt.errors import DataError
from proxies.formats.base import Range, TableFormat
from proxies.formats.cursor import kept
from proxies.formats.streams import is_packed, line_number, opened, read_line


@dataclass(frozen=True)
class JsonLines(TableFormat):
    """Files of one JSON object a line. Documents begin where their lines do, in bytes."""

    def in_order(self, file: Path) -> bool:
        """Packed files are."""
        return is_packed(file)

    def extent(self, file: Path) -> int:
        """Bytes of the file."""
        return file.stat().st_size

    def records(self, file: Path) -> Iterator[tuple[int, tuple["_Line", bytes]]]:
        """Every line, with the byte where it begins."""
        for _, (line, content) in _lines(file, ((0, maxsize),)):
            yield line.position, (line, content)

    def _texts(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        lines = kept(self, file).within(ranges) if is_packed(file) else _lines(file, ranges)
        for place, (line, content) in lines:
            if content.strip():
                text = self.columns.text_of(_parsed(line, content), line)
                if text is not None:
                    yield place, text


class _Line(NamedTuple):
    """A line by its first byte; which number it has is found out only if somebody asks."""

    file: Path
    position: int

    def __str__(self) -> str:
        return f"{self.file}:{line_number(self.file, self.position)}"


def _lines(file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, tuple[_Line, bytes]]]:
    """The lines that begin in the ranges, of a file that can be entered unless it is in one go."""
    with opened(file) as stream:
        position = 0
        for start, stop in ranges:
            if position < start:  # it may begin at `start`, or be in the middle of a line there
                position = stream.seek(start - 1)
                position += len(read_line(file, stream, position))
            while position < stop:
                content = read_line(file, stream, position)
                if not content:
                    return
                yield (start, stop), (_Line(file, position), content)
                position += len(content)


def _parsed(line: _Line, content: bytes) -> object:
    try:
        return json.loads(content.decode("utf-8" if line.position else "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{line} is not UTF-8: convert the file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{line} is not JSON: {error}") from error
