"""Megatron's indexed data: NAME.bin of tokens, NAME.idx of where sequences and documents begin.

The index: "MMIDIDX\\0\\0", uint64 version 1, uint8 code of the dtype, uint64 S sequences, uint64
documents + 1, int32 lengths (S,), int64 first bytes (S,), int64 first sequences of the documents
and S at their end; the modes of multimodal data may follow.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.formats.base import Range, TokenFormat, mapped

_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")
_DTYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
_STEP = 1 << 22


@dataclass(frozen=True)
class Megatron(TokenFormat):
    """Pairs of .idx and .bin. A document's place is its number."""

    def beside(self, file: Path) -> tuple[Path, ...]:
        """The tokens."""
        return (file.with_suffix(".bin"),)

    def extent(self, file: Path) -> int:
        """Documents of the index."""
        index = _Index(file)
        index.check()
        return len(index.documents) - 1

    def _tokens(
        self, file: Path, ranges: Iterable[Range]
    ) -> Iterator[tuple[Range, int, NDArray[np.integer]]]:
        index = _Index(file)
        for start, stop in ranges:
            for number in range(start, min(stop, len(index.documents) - 1)):
                first, last = index.bounds(number)
                yield (start, stop), first, index.tokens[first:last]


class _Index:
    """The arrays of an index and of its data, mapped from the disk."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.data = file.with_suffix(".bin")
        try:
            content = np.memmap(file, dtype=np.uint8, mode="r")
            self.dtype, sequences, documents = _header(file, bytes(content[: _HEADER.size]))
            parts = np.cumsum([_HEADER.size, 4 * sequences, 8 * sequences, 8 * documents])
            if len(content) not in (parts[-1], parts[-1] + sequences):  # with or without modes
                raise DataError(
                    f"{file} has {len(content)} bytes, expected {parts[-1]} for {sequences} "
                    f"sequences and {documents - 1} documents: write it again"
                )
            self.lengths = content[parts[0] : parts[1]].view("<i4")
            self.pointers = content[parts[1] : parts[2]].view("<i8")
            self.documents = content[parts[2] : parts[3]].view("<i8")
            self.tokens: NDArray[np.integer] = mapped(self.data, self.dtype)
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read: {error}") from error

    def check(self) -> None:
        """DataError where the parts of the index, or index and data, disagree."""
        documents = self.documents
        if (
            documents[0] != 0
            or documents[-1] != len(self.lengths)
            or (np.diff(documents) < 0).any()
        ):
            raise self._wrong("its documents are no parts of its sequences")
        total = 0
        for start in range(0, len(self.lengths), _STEP):  # the index may be larger than memory
            lengths = self.lengths[start : start + _STEP].astype(np.int64)
            begins = total + np.cumsum(lengths) - lengths
            if (lengths < 0).any() or (
                self.pointers[start : start + _STEP] != begins * self.dtype.itemsize
            ).any():
                raise self._wrong("its sequences do not lie one behind the other")
            total += int(lengths.sum())
        if total != len(self.tokens):
            raise self._wrong(f"it counts {total} tokens, the data has {len(self.tokens)}")

    def bounds(self, number: int) -> tuple[int, int]:
        """The first token of a document and the one behind its last."""
        first, last = int(self.documents[number]), int(self.documents[number + 1])
        return self._begin(first), self._begin(last)

    def _begin(self, sequence: int) -> int:
        """The first token of a sequence; all tokens behind the last one."""
        if sequence == len(self.pointers):
            return len(self.tokens)
        return int(self.pointers[sequence]) // self.dtype.itemsize

    def _wrong(self, reason: str) -> DataError:
        return DataError(f"{self.file} disagrees with {self.data.name}: {reason}; write both again")


def _header(file: Path, content: bytes) -> tuple[np.dtype, int, int]:
    """The dtype of the tokens, how many sequences, and how many documents (and one)."""
    if len(content) < _HEADER.size or not content.startswith(_MAGIC):
        raise DataError(f"{file} is no index of Megatron: it does not begin with MMIDIDX")
    _, version, code, sequences, documents = _HEADER.unpack(content)
    if version != 1:
        raise DataError(f"{file} has version {version} of the index, expected 1")
    if code not in _DTYPES:
        raise DataError(f"{file} has the dtype code {code}: expected one of whole numbers")
    if not documents or max(sequences, documents) > file.stat().st_size:
        raise DataError(
            f"{file} counts {sequences} sequences and {documents} ends of documents, more than it "
            "can hold: write it again"
        )
    return np.dtype(_DTYPES[code]).newbyteorder("<"), sequences, documents
