"""Format: the contract of a reader, the documents that begin in given ranges of one file.

Where a document begins is a number: a byte of text, a row, a document of an index, a token. Most
files can be entered at any number; others (packed ones, tables of lines) are read in order, from
their beginning. The documents of ranges that join are those of the whole, whatever the ranges are.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.formats.columns import Columns
from proxies.formats.cutting import cut_text

Range = tuple[int, int]
"""Where documents begin: from the first number on, before the second."""
Tokens = NDArray[np.uint32]
Content = str | Tokens
"""A document: text, or tokens that were made of it elsewhere."""

LONGEST_TOKENS = 1 << 20
"""Tokens of a document at most; a longer one is several."""


class Format(ABC):
    """One way in which documents lie in a file; subclasses are dataclasses of their options."""

    def files(self, found: Sequence[Path]) -> list[Path]:
        """Of the files with this format's endings, those that hold documents.

        Raises DataError where one of a set is missing.
        """
        return list(found)

    def beside(self, file: Path) -> tuple[Path, ...]:
        """Files that must be, or may be, beside `file` and are read with it."""
        return ()

    def in_order(self, file: Path) -> bool:
        """Whether the file is read from its beginning on, and its extent found only by that."""
        return False

    @abstractmethod
    def extent(self, file: Path) -> int:
        """A number before which every document begins, of a file that can be entered anywhere.

        Raises DataError where a file contradicts itself, its index or its options.
        """

    @abstractmethod
    def read(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, Content]]:
        """The documents of ascending ranges, each with its range; ranges may go on beyond the end.

        No document is blank or longer than 8 MiB or 1 Mi tokens: longer ones are several.
        Raises DataError for what is no document, with its file and place.
        """


class TextFormat(Format):
    """Documents of text."""

    def read(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        """The documents of ascending ranges; see Format."""
        for place, text in self._texts(file, ranges):
            for part in cut_text(text):
                if part and not part.isspace():
                    yield place, part

    @abstractmethod
    def _texts(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        """Texts as they stand in the file."""


@dataclass(frozen=True)
class TableFormat(TextFormat):
    """Documents in one column of a table."""

    columns: Columns


@dataclass(frozen=True)
class TokenFormat(Format):
    """Documents of tokens: ids below `vocabulary`, `eos` at the end of a document, or nothing."""

    vocabulary: int
    eos: int

    def read(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, Tokens]]:
        """The documents of ascending ranges, without their end tokens; see Format."""
        for place, first, tokens in self._tokens(file, ranges):
            if len(tokens) and tokens[-1] == self.eos:
                tokens = tokens[:-1]
            for start in range(0, len(tokens), LONGEST_TOKENS):
                part = tokens[start : start + LONGEST_TOKENS]
                yield place, self._checked(file, first + start, part)

    @abstractmethod
    def _tokens(
        self, file: Path, ranges: Iterable[Range]
    ) -> Iterator[tuple[Range, int, NDArray[np.integer]]]:
        """Documents as they stand in the file, each with its range and its first token's place."""

    def _checked(self, file: Path, first: int, tokens: NDArray[np.integer]) -> Tokens:
        wrong = (tokens < 0) | (tokens >= self.vocabulary)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise DataError(
                f"{file} has the id {tokens[place]} at token {first + place}, expected 0 to "
                f"{self.vocabulary - 1}: the vocabulary or the dtype ({tokens.dtype.name}) is not "
                "that of these tokens"
            )
        return tokens.astype(np.uint32)


def mapped(file: Path, dtype: np.dtype) -> NDArray:
    """An array without a header, on the disk still. Raises OSError, or DataError for a torn one."""
    size = file.stat().st_size
    if size % dtype.itemsize:
        raise DataError(
            f"{file} has {size} bytes, no multiple of the {dtype.itemsize} of {dtype.name}: "
            "the file is torn, or its dtype another one"
        )
    return np.memmap(file, dtype=dtype, mode="r") if size else np.empty(0, dtype=dtype)
