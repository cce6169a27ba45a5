"""Token arrays without a header of a stated dtype (or .npy with one), documents closed by an end.

Where 1 Mi tokens have no end of a document, one ends with them; so a file can be entered anywhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError, DataError
from proxies.formats.base import LONGEST_TOKENS, Range, TokenFormat, mapped

DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
_MAGIC = b"\x93NUMPY"
_LOOK = 1 << 16


@dataclass(frozen=True)
class Tokens(TokenFormat):
    """Headerless arrays of `dtype`. Documents begin where their first tokens do."""

    dtype: str | None = None

    def extent(self, file: Path) -> int:
        """Tokens of the file."""
        tokens = self._mapped(file)
        half = tokens[:_LOOK][1::2]
        if tokens.itemsize <= 4 and len(half) > 8 and not half.any() and tokens[:_LOOK:2].any():
            raise DataError(
                f"{file} has a 0 at every second place as {tokens.dtype.name}: "
                f"expected a dtype that is twice as wide, such as uint{16 * tokens.itemsize}"
            )
        return len(tokens)

    def _tokens(
        self, file: Path, ranges: Iterable[Range]
    ) -> Iterator[tuple[Range, int, NDArray[np.integer]]]:
        tokens = self._mapped(file)
        for start, stop in ranges:
            if start >= len(tokens):
                return
            for first, last in self._documents(tokens, start, stop):
                yield (start, stop), first, tokens[first:last]

    def _documents(
        self, tokens: NDArray[np.integer], start: int, stop: int
    ) -> Iterator[tuple[int, int]]:
        """First token, and the one behind the last, of the documents that begin in a range."""
        block = start // LONGEST_TOKENS
        first = self._cut(tokens, block)
        while first < min(stop, len(tokens)):
            begin, end = block * LONGEST_TOKENS, (block + 1) * LONGEST_TOKENS
            ends = np.flatnonzero(tokens[begin:end] == self.eos) + begin + 1
            if not len(ends) or (end >= len(tokens) and ends[-1] < len(tokens)):
                ends = np.append(ends, min(end, len(tokens)))
            for last in ends.tolist():
                if start <= first < stop:
                    yield first, last
                first = last
            block += 1

    def _cut(self, tokens: NDArray[np.integer], block: int) -> int:
        """Where the first document begins that ends in a block, or beyond."""
        if block == 0:
            return 0
        begin = (block - 1) * LONGEST_TOKENS
        ends = np.flatnonzero(tokens[begin : begin + LONGEST_TOKENS] == self.eos)
        return begin + int(ends[-1]) + 1 if len(ends) else begin + LONGEST_TOKENS

    def _mapped(self, file: Path) -> NDArray[np.integer]:
        try:
            with file.open("rb") as stream:
                magic = stream.read(len(_MAGIC))
            if magic == _MAGIC:
                return self._with_header(file)
            return mapped(file, self._dtype(file))
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror or error}") from error

    def _dtype(self, file: Path) -> np.dtype:
        if self.dtype is None:
            raise ConfigError(
                f"{file} says nothing of its tokens: say their `dtype` in space.toml, such as "
                '"uint16"'
            )
        if self.dtype not in DTYPES:
            raise ConfigError(f"expected a dtype of {', '.join(DTYPES)}, got {self.dtype!r}")
        return np.dtype(self.dtype).newbyteorder("<")

    def _with_header(self, file: Path) -> NDArray[np.integer]:
        try:
            tokens = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(f"{file} is not a whole .npy file: {error}") from error
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise DataError(
                f"{file} holds {tokens.dtype} {tokens.shape}: expected one axis of whole numbers"
            )
        if self.dtype is not None and tokens.dtype != self._dtype(file):
            raise DataError(f"{file} holds {tokens.dtype}, space.toml says dtype {self.dtype!r}")
        return tokens
