"""The bytes of a file, unpacked on the way where its name ends in .gz, .bz2, .xz or .zst."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

from mixopt.errors import DataError, MissingExtraError
from proxies.formats import PACKED

LONGEST_LINE = 64 << 20
"""Bytes of one line, or of one JSON value, at most: more would have to fit into memory."""
_MAGIC = {".gz": b"\x1f\x8b", ".xz": b"\xfd7zXZ\0", ".zst": b"\x28\xb5\x2f\xfd"}
_STEP = 1 << 20
_PACKED_STEP = 1 << 12  # a block of 4 bytes may unpack to 128 KiB
_WIDEST_WINDOW = 1 << 31  # what `zstd --long=31` needs


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The unpacked bytes of a file; whatever is wrong with reading them is one sentence."""
    try:
        with _open(path) as stream:
            yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(
            f"{path} is not a whole {_packing(path)[1:]} file ({error}): fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def is_packed(path: Path) -> bool:
    """Whether a file is unpacked while it is read, from its beginning on.

    >>> is_packed(Path("a.jsonl.gz")), is_packed(Path("a.jsonl"))
    (True, False)
    """
    return _packing(path) != ""


def read_line(path: Path, stream: BinaryIO, position: int) -> bytes:
    """The next line, which begins at byte `position`; empty at the end.

    Raises DataError for a line that is too long to be one.
    """
    line = stream.readline(LONGEST_LINE + 1)
    if len(line) > LONGEST_LINE:
        raise DataError(
            f"{path} has a line of more than {LONGEST_LINE >> 20} MiB at byte {position}: "
            "is it what its ending says?"
        )
    return line


def line_number(path: Path, position: int) -> int:
    """The line, from 1, that begins at a byte of the unpacked file: for an error's sentence."""
    number, left = 1, position
    with opened(path) as stream:
        while left and (block := stream.read(min(left, _STEP))):
            number += block.count(b"\n")
            left -= len(block)
    return number


def _packing(path: Path) -> str:
    ending = path.suffix.lower()
    return ending if ending in PACKED else ""


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        start = file.read(8)
    for ending, magic in _MAGIC.items():
        if start.startswith(magic) and path.suffix.lower() != ending:
            raise DataError(f"{path} is a {ending[1:]} file: name it {path.name}{ending}")
    match _packing(path):
        case ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        case ".bz2":
            return cast(BinaryIO, bz2.open(path, "rb"))
        case ".xz":
            return cast(BinaryIO, lzma.open(path, "rb"))
        case ".zst":
            return cast(BinaryIO, BufferedReader(_Zstandard(path), _STEP))
        case _:
            return path.open("rb")


class _Zstandard(RawIOBase):
    """The frames of a .zst file; unlike the library's own reader, it notices a torn end."""

    def __init__(self, path: Path) -> None:
        library = _zstandard()
        self._error = library.ZstdError
        self._make = library.ZstdDecompressor(max_window_size=_WIDEST_WINDOW).decompressobj
        self._file = path.open("rb")
        self._frame: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            packed = self._packed or self._file.read(_PACKED_STEP)
            if not packed:
                if self._frame is not None:
                    raise EOFError("it ends within a frame")
                return 0
            self._unpack(packed)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _unpack(self, packed: bytes) -> None:
        if self._frame is None:
            self._frame = self._make()
        try:
            self._ready = memoryview(self._frame.decompress(packed))
        except self._error as error:
            raise EOFError(str(error)) from error
        ended = self._frame.eof
        self._packed = self._frame.unused_data if ended else b""
        if ended:
            self._frame = None


def _zstandard() -> Any:
    try:
        return import_module("zstandard")
    except ModuleNotFoundError as error:
        raise MissingExtraError(".zst files need zstandard: pip install 'mixopt[data]'") from error
