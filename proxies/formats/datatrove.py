"""datatrove's tokenised data: NAME.ds of tokens, NAME.ds.index of ends, NAME.ds.metadata.

The index is uint64 ends of documents, in tokens; the first line of the metadata ends in `|` and the
bytes of a token, its second line is their number. Masks of a loss (.ds.loss) are not read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError, DataError
from proxies.formats.base import Range, TokenFormat, mapped

_DTYPES = {2: "uint16", 4: "uint32"}
_STEP = 1 << 22


@dataclass(frozen=True)
class Datatrove(TokenFormat):
    """Triples of .ds, .ds.index and .ds.metadata. A document's place is its number.

    `dtype` stands in for a .ds.metadata that is not there.
    """

    dtype: str | None = None

    def beside(self, file: Path) -> tuple[Path, ...]:
        """The index and, if it is there, the metadata."""
        metadata = _metadata(file)
        return (_index(file), metadata) if metadata.exists() else (_index(file),)

    def extent(self, file: Path) -> int:
        """Documents of the index."""
        tokens, ends = self._mapped(file)
        last = 0
        for start in range(0, len(ends), _STEP):  # the index may be larger than memory
            part = ends[start : start + _STEP]
            if part[0] < last or (part[1:] < part[:-1]).any():
                raise DataError(f"{_index(file)}: the ends of documents do not ascend")
            last = int(part[-1])
        if last != len(tokens):
            raise DataError(
                f"{_index(file)} ends at token {last}, {file.name} has {len(tokens)}: "
                "the index disagrees with its data, write both again"
            )
        return len(ends)

    def _tokens(
        self, file: Path, ranges: Iterable[Range]
    ) -> Iterator[tuple[Range, int, NDArray[np.integer]]]:
        tokens, ends = self._mapped(file)
        for start, stop in ranges:
            for number in range(start, min(stop, len(ends))):
                first = int(ends[number - 1]) if number else 0
                yield (start, stop), first, tokens[first : int(ends[number])]

    def _mapped(self, file: Path) -> tuple[NDArray[np.integer], NDArray[np.uint64]]:
        """The tokens of a file, and where its documents end (documents,)."""
        index = _index(file)
        try:
            dtype, count = self._described(file)
            size = file.stat().st_size
            if count is not None and size != count * dtype.itemsize:
                raise DataError(
                    f"{file} has {size} bytes, expected {count} tokens of {dtype.itemsize} bytes: "
                    "the file is torn, or its metadata of another one"
                )
            if not index.exists():
                raise DataError(f"{index} is missing: it says where the documents of {file} end")
            return mapped(file, dtype), mapped(index, np.dtype("<u8"))
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror or error}") from error

    def _described(self, file: Path) -> tuple[np.dtype, int | None]:
        """The type of the tokens and how many there should be, by the metadata."""
        metadata = _metadata(file)
        if not metadata.exists():
            if self.dtype is None:
                raise ConfigError(f"{metadata} is missing: say the `dtype` of the tokens instead")
            return np.dtype(self.dtype).newbyteorder("<"), None
        try:
            name, count, *_ = metadata.read_text(encoding="utf-8").splitlines()
            dtype = np.dtype(_DTYPES[int(name.rpartition("|")[2])])
            return dtype.newbyteorder("<"), int(count)
        except (ValueError, KeyError) as error:
            raise DataError(
                f"{metadata} does not say the size of a token and their number: write it again"
            ) from error


def _index(file: Path) -> Path:
    return file.with_name(file.name + ".index")


def _metadata(file: Path) -> Path:
    return file.with_name(file.name + ".metadata")
