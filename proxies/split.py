"""Which text is for training, validation and test: by the hash of a document, never by its place.

Documents are put in the order of a keyed hash; validation takes them from the front and test from
the back until each has enough. Where that would be only a few documents, the units are pieces of
about 4 kB instead, so that a scarce domain keeps some text of every kind for every purpose.
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.seeds import key, mix

MINIMUM_BYTES = 60_000
"""Held-out text that a domain should have for each of validation and test."""
FEW = 16
"""Documents under which held-out text says more about them than about their domain."""


def split(
    name: str,
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    evaluation_bytes: int,
    train: bool,
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """The numbers of the units of each split, from the hashes (u,) and bytes (u,) of a domain.

    Validation and test get `evaluation_bytes` each, but of a domain with training text at most a
    tenth, or 60 kB, or a third where even that is more; of an unseen one at most a half.
    Raises DataError for a domain with fewer units than splits.
    """
    purposes = 3 if train else 2
    if len(sizes) < purposes:
        raise DataError(
            f"domain {name!r} has only {sizes.sum()} bytes of text: expected at least "
            f"{MINIMUM_BYTES} for each of validation and test, and more where it is trained on"
        )
    total = int(sizes.sum())
    share = min(max(total // 10, MINIMUM_BYTES), total // 3) if train else total // 2
    wanted = min(evaluation_bytes, share)
    order = np.argsort(mix(hashes, key(seed, "split")), kind="stable")
    front = min(_count(sizes[order], wanted), len(sizes) - purposes + 1)
    back = min(_count(sizes[order[::-1]], wanted), len(sizes) - front - purposes + 2)
    end = len(sizes) - back
    parts = {"train": order[front:end]} if train else {}
    return {**parts, "validation": order[:front], "test": order[end:]}


def sample(
    hashes: NDArray[np.uint64], sizes: NDArray[np.int64], wanted: float, seed: int, purpose: str
) -> NDArray[np.int64]:
    """The numbers of units in the order of a keyed hash, until they have `wanted` bytes."""
    order = np.argsort(mix(hashes, key(seed, purpose)), kind="stable")
    return order[: _count(sizes[order], wanted)]


def _count(sizes: NDArray[np.int64], wanted: float) -> int:
    """How many of the first units have `wanted` bytes together; all where they have less."""
    return min(len(sizes), int(np.searchsorted(np.cumsum(sizes), wanted)) + 1)
