"""What lies in the files of each domain: hash and bytes of every document, and which are copies.

Documents stay on the disk; a million of them are 16 MB of hashes and sizes here. The passes after
this one read the files again and take the units that were chosen by number.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from proxies.reading import read_documents
from proxies.split import pieces

Unit = Literal["documents", "pieces"]


@dataclass(frozen=True)
class Scan:
    """The units of one domain: `hashes` (u,), `sizes` (u,) in bytes, in the order of the files.

    `kept` (documents,) says which documents of the files count; the units are those, or pieces.
    """

    files: tuple[Path, ...]
    unit: Unit
    kept: NDArray[np.bool_]
    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int64]

    def texts(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[int, str]]:
        """The chosen units (u,) with their numbers, read again from the files."""
        for number, text in enumerate(_units(self.files, self.kept, self.unit)):
            if chosen[number]:
                yield number, text

    def in_pieces(self) -> "Scan":
        """The same documents cut into pieces."""
        hashes, sizes = _measure(_units(self.files, self.kept, "pieces"))
        return replace(self, unit="pieces", hashes=hashes, sizes=sizes)


def scan(files: Sequence[Path], advance: Callable[[int], None]) -> Scan:
    """Read every file of a domain once; all its documents are kept. `advance` gets file sizes."""
    hashes = [np.empty(0, dtype=np.uint64)]
    sizes = [np.empty(0, dtype=np.int64)]
    for file in files:
        file_hashes, file_sizes = _measure(read_documents(file))
        hashes.append(file_hashes)
        sizes.append(file_sizes)
        advance(file.stat().st_size)
    kept = np.ones(sum(map(len, sizes)), dtype=np.bool_)
    return Scan(tuple(files), "documents", kept, np.concatenate(hashes), np.concatenate(sizes))


def without_copies(scans: Sequence[Scan]) -> list[Scan]:
    """Each domain without the documents that an earlier one, or an earlier file, already has."""
    first = firsts(np.concatenate([scanned.hashes for scanned in scans]))
    ends = np.cumsum([len(scanned.hashes) for scanned in scans])[:-1]
    return [
        replace(scanned, kept=kept, hashes=scanned.hashes[kept], sizes=scanned.sizes[kept])
        for scanned, kept in zip(scans, np.split(first, ends))
    ]


def firsts(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each hash (u,) is the first of its value."""
    _, places = np.unique(hashes, return_index=True)
    first = np.zeros(len(hashes), dtype=np.bool_)
    first[places] = True
    return first


def _units(files: Iterable[Path], kept: NDArray[np.bool_], unit: Unit) -> Iterator[str]:
    number = 0
    for file in files:
        for document in read_documents(file):
            if kept[number]:
                yield from pieces(document) if unit == "pieces" else (document,)
            number += 1


def _measure(texts: Iterable[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    hashes, sizes = array("Q"), array("q")
    for text in texts:
        content = text.encode()
        name = hashlib.blake2b(content, digest_size=8).digest()
        hashes.append(int.from_bytes(name, "little"))
        sizes.append(len(content))
    return np.array(hashes, dtype=np.uint64), np.array(sizes, dtype=np.int64)
