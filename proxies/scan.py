"""What lies in the files of each domain: hash and bytes of every unit, and which are copies.

Text stays on the disk; a unit is 17 bytes here. The passes after this one read chosen units again,
by the ranges of files in which they were found.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxies.listing import File, Listing
from proxies.parts import ONE, PART_BYTES, Part, Piece, Reader, grouped, lay_out, read_part
from proxies.seeds import key
from proxies.units import Unit, content_bytes, content_hash, in_units
from proxies.work import Arrays, Job, Workshop, name_of

GRAINS = 512
"""Ranges, about, that a sample of a domain consists of."""
SMALLEST_GRAIN = 16 << 10
LARGEST_GRAIN = 1 << 20
SAMPLED_RANGES = 64
"""Ranges of a sample that are one piece of work at most: finding each may cost a while."""
_ENOUGH = 0.8  # of the wanted bytes
_MORE = 1.25  # than seems to be needed, when a sample was too small


@dataclass(frozen=True)
class Scan:
    """The units of one domain: `hashes` (u,), `sizes` (u,) in bytes, in the order of the files.

    `kept` (u,) says which of them count: no copies. `rows` (r, 4) are the ranges that hold units:
    number of the file, where documents begin from and up to, units.
    """

    reader: Reader
    files: tuple[File, ...]
    unit: Unit
    rows: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    kept: NDArray[np.bool_]
    share: float
    """Of the bytes of the files, those that were looked at."""

    @cached_property
    def parts(self) -> list[tuple[Part, slice]]:
        """All ranges as pieces of work, each with the units that lie in it."""
        ends = np.cumsum(self.rows[:, 3])
        sizes = np.diff(np.concatenate([[0], np.cumsum(self.sizes)])[np.concatenate([[0], ends])])
        pieces = [
            Piece(self.files[file], (start, stop), size)
            for (file, start, stop, _), size in zip(self.rows.tolist(), sizes.tolist())
        ]
        parts = list(grouped(pieces, None if self.share == 1.0 else SAMPLED_RANGES))
        last = accumulate(sum(len(tuple(one.ranges)) for one in part.stretches) for part in parts)
        bounds = [0, *(int(ends[row - 1]) for row in last)]
        return [(part, slice(a, b)) for part, a, b in zip(parts, bounds, bounds[1:])]

    def jobs(
        self, function: Callable[..., Arrays], chosen: NDArray[np.integer | np.bool_], *more: Any
    ) -> list[Job]:
        """A job for each piece of work in which `chosen` (u,) is not all 0.

        The function is called with the part, the reader, the unit, its own units of `chosen` and
        `more`, which describes itself by its `repr`.
        """
        return [
            Job(
                function,
                (part, self.reader, self.unit, chosen[units], *more),
                [
                    part.describe(),
                    self.reader.describe(),
                    self.unit,
                    name_of(chosen[units]),
                    repr(more),
                ],
                part.size,
            )
            for part, units in self.parts
            if chosen[units].any()
        ]


@dataclass(frozen=True)
class Request:
    """A domain to read, and about how many bytes of text of it; None for all."""

    name: str
    listing: Listing
    reader: Reader
    wanted: int | None


def scan(requests: Sequence[Request], seed: int, workshop: Workshop) -> list[Scan]:
    """Read each domain once: all of it, or what is wanted, evenly over its files.

    Raises DataError for what is no document, in what was read.
    """
    found: dict[str, Scan] = {}
    shares = {one.name: (one.wanted or one.listing.size) / one.listing.size for one in requests}
    while shares:
        now = [one for one in requests if one.name in shares]
        found |= zip(
            shares, _scanned([_layout(one, shares[one.name], seed) for one in now], workshop)
        )
        shares = {
            one.name: _MORE * shares[one.name] * one.wanted / max(size, one.wanted / 64)
            for one in now
            if found[one.name].share < 1.0
            and one.wanted is not None
            and (size := int(found[one.name].sizes.sum())) < _ENOUGH * one.wanted
        }
    return [found[one.name] for one in requests]


def in_pieces(scans: Sequence[Scan], workshop: Workshop) -> list[Scan]:
    """The same documents cut into pieces; those of a copy are copies."""
    parts = [[part for part, _ in whole.parts] for whole in scans]
    jobs = [
        [_job(part, whole.reader, "pieces") for part in own] for own, whole in zip(parts, scans)
    ]
    cut = []
    for whole, own, found in zip(scans, parts, workshop.run("pieces", jobs)):
        results = list(found)
        kept = [whole.kept[units][one["owners"]] for (_, units), one in zip(whole.parts, results)]
        layout = _Layout(whole.files, whole.reader, own, whole.share)
        cut.append(replace(_joined(layout, "pieces", results), kept=np.concatenate(kept)))
    return cut


def without_copies(scans: Sequence[Scan]) -> list[Scan]:
    """Each domain with the units as kept that no earlier one, or earlier file, already has."""
    first = firsts(np.concatenate([scan.hashes for scan in scans]))
    ends = np.cumsum([len(scan.hashes) for scan in scans])[:-1]
    return [replace(scan, kept=kept) for scan, kept in zip(scans, np.split(first, ends))]


def firsts(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each hash (u,) is the first of its value."""
    _, places = np.unique(hashes, return_index=True)
    first = np.zeros(len(hashes), dtype=np.bool_)
    first[places] = True
    return first


def scan_part(part: Part, reader: Reader, unit: Unit) -> Arrays:
    """Hashes and bytes of the units of a part, the documents that they are of, and its ranges."""
    hashes, sizes, owners = array("Q"), array("q"), array("q")
    rows: list[list[int]] = []
    words = reader.scheme.vocabulary
    for owner, (stretch, place, content) in enumerate(read_part(part, reader)):
        if not rows or rows[-1][:3] != [stretch, *place]:
            rows.append([stretch, *place, 0])
        for one in in_units((content,), unit):
            hashes.append(content_hash(one))
            sizes.append(content_bytes(one, words))
            owners.append(owner)
            rows[-1][3] += 1
    return {
        "hashes": np.array(hashes, dtype=np.uint64),
        "sizes": np.array(sizes, dtype=np.int64),
        "owners": np.array(owners, dtype=np.int64),
        "rows": np.array(rows, dtype=np.int64).reshape(-1, 4),
    }


class _Layout(NamedTuple):
    """What is read of one domain."""

    files: tuple[File, ...]
    reader: Reader
    parts: list[Part]
    share: float


def _layout(request: Request, share: float, seed: int) -> _Layout:
    """The whole of a domain in pieces of work, or a share of it."""
    files, reader = request.listing.files, request.reader
    if share >= 1.0 or request.wanted is None:
        return _Layout(files, reader, list(grouped(lay_out(files, reader, PART_BYTES))), 1.0)
    width = min(max(request.wanted // GRAINS, SMALLEST_GRAIN), LARGEST_GRAIN)
    reader = replace(reader, block=width)
    shift = key(seed, "ranges", request.name) % ONE
    pieces = list(lay_out(files, reader, width, max(1, int(share * ONE)), shift))
    read = sum(piece.size for piece in pieces) / request.listing.size
    return _Layout(files, reader, list(grouped(pieces, SAMPLED_RANGES)), read)


def _scanned(layouts: Sequence[_Layout], workshop: Workshop) -> list[Scan]:
    jobs = [[_job(part, one.reader, "documents") for part in one.parts] for one in layouts]
    found = workshop.run("scan", jobs)
    return [_joined(one, "documents", list(results)) for one, results in zip(layouts, found)]


def _job(part: Part, reader: Reader, unit: Unit) -> Job:
    depends = [part.describe(), reader.describe(), unit]
    return Job(scan_part, (part, reader, unit), depends, part.size)


def _joined(layout: _Layout, unit: Unit, results: Sequence[Arrays]) -> Scan:
    """The units of all parts; each row gets the number of its file in the domain."""
    numbers = {file: number for number, file in enumerate(layout.files)}
    rows = [np.empty((0, 4), dtype=np.int64)]
    for part, result in zip(layout.parts, results):
        own = result["rows"].copy()
        place = np.array([numbers[stretch.file] for stretch in part.stretches], dtype=np.int64)
        own[:, 0] = place[own[:, 0]]
        rows.append(own)
    hashes = np.concatenate([np.empty(0, np.uint64), *(one["hashes"] for one in results)])
    sizes = np.concatenate([np.empty(0, np.int64), *(one["sizes"] for one in results)])
    return Scan(
        layout.reader,
        layout.files,
        unit,
        np.concatenate(rows),
        hashes,
        sizes,
        np.ones(len(hashes), dtype=np.bool_),
        layout.share,
    )
