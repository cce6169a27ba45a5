"""Pieces of work: which ranges of which files are read, all of them or evenly spaced ones.

A part is some ranges, of one file or of several small ones, that one process reads at once. To
read a share q of a domain, its files are laid out in their order as ranges of one size, and those i
are read at which floor(q i + shift) steps up: every file gives its share, from its beginning to its
end, and nothing else is looked at. (A packed file must be unpacked up to its last range.)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any, NamedTuple

from proxies.formats import make_format
from proxies.formats.base import Content, Format, Range
from proxies.formats.columns import Columns
from proxies.formats.cutting import BLOCK
from proxies.listing import File
from proxies.tokenizer import Scheme

PART_BYTES = 4 << 20
"""Bytes of files, or of text, that are one piece of work."""
UNPACKED_BYTES = 16 << 20
"""The same of a file that is read in order, which every process must read for itself."""
ONE = 1 << 32
"""Shares are counted in parts of this, so that sums of them are exact."""


@dataclass(frozen=True)
class Reader:
    """How the files of one domain are read, whatever their formats."""

    columns: Columns
    dtype: str | None
    scheme: Scheme
    """Of tokens that the files hold; plays no part where they hold text."""
    block: int = BLOCK

    def format(self, name: str) -> Format:
        """A format with the options of this domain."""
        words = self.scheme.vocabulary
        return make_format(
            name,
            {
                "columns": self.columns,
                "dtype": self.dtype,
                "vocabulary": words.size,
                "eos": words.eos,
                "block": self.block,
            },
        )

    def describe(self) -> list[Any]:
        """What documents depend on besides their files, as JSON."""
        words = self.scheme.vocabulary
        where = [list(pair) for pair in self.columns.where]
        return [self.columns.text, where, self.dtype, words.size, words.eos, self.block]


@dataclass(frozen=True)
class Strides:
    """Ranges of one width without end: a share of all of them, evenly."""

    width: int
    share: int = ONE
    shift: int = 0

    def __iter__(self) -> Iterator[Range]:
        for step in count(1):
            i = _place(step, self.share, self.shift)
            yield i * self.width, (i + 1) * self.width


class Piece(NamedTuple):
    """A range of a file, or some that nobody can count yet, and its bytes."""

    file: File
    ranges: Range | Strides
    size: float


class Stretch(NamedTuple):
    """Ascending ranges of one file."""

    file: File
    ranges: tuple[Range, ...] | Strides


class Part(NamedTuple):
    """What one process reads at once, and its bytes."""

    stretches: tuple[Stretch, ...]
    size: int

    def describe(self) -> list[Any]:
        """What is read, as JSON."""
        return [
            [str(file.path), file.format, file.stamp, *_described(ranges)]
            for file, ranges in self.stretches
        ]


def lay_out(
    files: Sequence[File], reader: Reader, width: int, share: int = ONE, shift: int = 0
) -> Iterator[Piece]:
    """A share (in 1 / 2^32) of the ranges of all files, each about `width` bytes of the disk.

    Raises DataError for a file that contradicts itself.
    """
    formats = {name: reader.format(name) for name in {file.format for file in files}}
    before = 0
    for number, file in enumerate(files):
        if file.in_order:
            wide = UNPACKED_BYTES if share == ONE else width
            strides = Strides(wide, share, (shift + number * _GOLDEN) % ONE)
            yield Piece(file, strides, file.size * share / ONE)
            continue
        extent = formats[file.format].extent(file.path)
        ranges = min(max(1, round(file.size / width)), extent)
        first, last = ((i * share + shift) // ONE for i in (before, before + ranges))
        for step in range(first + 1, last + 1):
            i = _place(step, share, shift) - before
            place = extent * i // ranges, extent * (i + 1) // ranges
            yield Piece(file, place, file.size / ranges)
        before += ranges


def grouped(pieces: Iterable[Piece], most: int | None = None) -> Iterator[Part]:
    """Neighbouring pieces, together until they, or `most` of them, are worth a process's while."""
    waiting: list[Piece] = []
    size = 0.0
    for piece in pieces:
        if waiting and _is_far(piece) != _is_far(waiting[0]):
            yield _part(waiting, size)
            waiting, size = [], 0.0
        waiting.append(piece)
        size += piece.size
        enough = size >= UNPACKED_BYTES if _is_far(piece) else size >= PART_BYTES
        if enough or (len(waiting) == most and not _is_far(piece)):
            yield _part(waiting, size)
            waiting, size = [], 0.0
    if waiting:
        yield _part(waiting, size)


def read_part(part: Part, reader: Reader) -> Iterator[tuple[int, Range, Content]]:
    """The documents of a part, each with the number of its stretch and its range."""
    formats: dict[str, Format] = {}
    for number, (file, ranges) in enumerate(part.stretches):
        if file.format not in formats:
            formats[file.format] = reader.format(file.format)
        for place, content in formats[file.format].read(file.path, ranges):
            yield number, place, content


_GOLDEN = 2654435769  # 2^32 / 1.618: multiples of it are spread evenly


def _place(step: int, share: int, shift: int) -> int:
    """The range with which the sum of shares reaches `step`."""
    return -((shift - step * ONE) // share) - 1


def _is_far(piece: Piece) -> bool:
    """Whether a file must be read up to the piece: not often, then, and many ranges at once."""
    return piece.file.in_order and not isinstance(piece.ranges, Strides)


def _part(pieces: Sequence[Piece], size: float) -> Part:
    stretches = []
    for file, own in groupby(pieces, key=lambda piece: piece.file):
        ranges = [piece.ranges for piece in own]
        if isinstance(ranges[0], Strides):
            stretches.append(Stretch(file, ranges[0]))
        else:
            stretches.append(Stretch(file, tuple(ranges)))  # type: ignore[arg-type]
    return Part(tuple(stretches), round(size))


def _described(ranges: tuple[Range, ...] | Strides) -> list[Any]:
    if isinstance(ranges, Strides):
        return ["every", ranges.width, ranges.share, ranges.shift]
    return [list(place) for place in ranges]
