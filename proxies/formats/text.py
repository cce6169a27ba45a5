"""Text as it is: a file is a document, a longer one several of about 4 MiB, strictly UTF-8."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from sys import maxsize
from typing import BinaryIO

from mixopt.errors import DataError
from proxies.formats.base import Range, TextFormat
from proxies.formats.cursor import kept
from proxies.formats.cutting import BLOCK, last_break
from proxies.formats.streams import is_packed, opened


@dataclass(frozen=True)
class Text(TextFormat):
    """Files of prose or code. Document k begins at k blocks, as far as ranges are concerned."""

    block: int = BLOCK

    def in_order(self, file: Path) -> bool:
        """Packed files are."""
        return is_packed(file)

    def extent(self, file: Path) -> int:
        """Bytes of the file."""
        return file.stat().st_size

    def records(self, file: Path) -> Iterator[tuple[int, str]]:
        """Every document, with the byte where its block begins."""
        for number, (_, text) in enumerate(self._blocks(file, ((0, maxsize),))):
            yield number * self.block, text

    def _texts(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        if is_packed(file):
            return kept(self, file).within(ranges)
        return self._blocks(file, ranges)

    def _blocks(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        with opened(file) as stream:
            blocks = _Blocks(file, stream, self.block)
            for start, stop in ranges:
                number = -(-start // self.block)
                while number * self.block < stop:
                    text = blocks.take(number)
                    if text is None:
                        return
                    yield (start, stop), text
                    number += 1


class _Blocks:
    """Reads on in a file, always one block ahead: the last document goes to the file's end."""

    def __init__(self, file: Path, stream: BinaryIO, size: int) -> None:
        self._file = file
        self._stream = stream
        self._size = size
        self._number = 0
        self._block = stream.read(size)
        """The bytes of block `_number`."""
        self._rest = b""
        """What the block before left to it."""

    def take(self, number: int) -> str | None:
        """Document `number`, which is later than those that were taken; None behind the last."""
        if number > self._number:
            self._enter(number)
        if not self._block:
            return None
        block, begin = self._block, self._number * self._size - len(self._rest)
        rest = self._rest
        end = self._advance()
        return _decoded(self._file, rest + block[:end], begin)

    def _advance(self) -> int:
        """Read the next block; returns where the present one is cut."""
        block = self._block
        self._block = self._stream.read(self._size)
        self._number += 1
        end = last_break(block) if self._block else len(block)
        self._rest = block[end:]
        return end

    def _enter(self, number: int) -> None:
        """Go on to block `number`, through the one before it, which may leave something."""
        if number - 1 > self._number:
            self._stream.seek((number - 1) * self._size)
            self._number = number - 1
            self._block = self._stream.read(self._size)
        self._advance()


def _decoded(file: Path, block: bytes, position: int) -> str:
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 at byte {position + error.start} "
            f"(0x{block[error.start]:02x}): convert it, or leave it out"
        ) from error
    nul = block.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{file} has a NUL at byte {position + nul}: it is not the text that its ending says"
        )
    return text if position else text.removeprefix("\ufeff")
