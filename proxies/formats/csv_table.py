"""Tables of comma- or tab-separated values: a row is a document, one column of it."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mixopt.errors import DataError
from proxies.formats.base import Range, TableFormat
from proxies.formats.cursor import kept
from proxies.formats.streams import LONGEST_LINE, opened, read_line


@dataclass(frozen=True)
class Csv(TableFormat):
    """Files with a line of column names; `.tsv` has tabs in place of commas.

    Documents begin where their rows do, in bytes.
    """

    def in_order(self, file: Path) -> bool:
        """Always: a line may begin within a quoted field."""
        return True

    def extent(self, file: Path) -> int:
        """Bytes of the file."""
        return file.stat().st_size

    def records(self, file: Path) -> Iterator[tuple[int, tuple[str, dict[str, str]]]]:
        """Every row below the header and its place, with the byte where it begins."""
        csv.field_size_limit(LONGEST_LINE)  # of the process; the default ends at 128 KiB
        delimiter = "\t" if ".tsv" in file.suffixes else ","
        with opened(file) as stream:
            lines = _Lines(file, stream)
            rows = _rows(file, csv.reader(lines, delimiter=delimiter, strict=True))
            header = next(rows, [])
            self.columns.check(header, file)
            position, number = lines.position, lines.number + 1
            for row in rows:
                place = f"{file}:{number}"
                if row and len(row) != len(header):
                    raise DataError(
                        f"{place} has {len(row)} fields, expected the {len(header)} of the header"
                    )
                if row:
                    yield position, (place, dict(zip(header, row)))
                position, number = lines.position, lines.number + 1

    def _texts(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        for found, (place, row) in kept(self, file).within(ranges):
            text = self.columns.text_of(row, place)
            if text is not None:
                yield found, text


class _Lines:
    """The lines of a file as text, which knows how far it has come."""

    def __init__(self, file: Path, stream: BinaryIO) -> None:
        self.position = 0
        self.number = 0
        self._file = file
        self._stream = stream

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = read_line(self._file, self._stream, self.position)
        if not line:
            raise StopIteration
        encoding = "utf-8" if self.position else "utf-8-sig"
        self.position += len(line)
        self.number += 1
        try:
            return line.decode(encoding)
        except UnicodeDecodeError as error:
            raise DataError(f"{self._file}:{self.number} is not UTF-8: convert the file") from error


def _rows(file: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        number = reader.line_num  # type: ignore[attr-defined]
        raise DataError(f"{file}:{number} is not CSV: {error}") from error
