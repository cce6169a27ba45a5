"""Near-duplicates of held-out text in training text: Jaccard similarity of 5-grams by MinHash.

A unit's set is its runs of five words (or tokens); 128 permutations estimate |A n B| / |A u B|
within about .04. Candidates come from locality-sensitive hashing [Broder 1997; the library is
datasketch], and an estimate at or above the threshold makes a near-duplicate.
"""

from functools import lru_cache
from pathlib import Path
from re import compile as pattern
from typing import Any
from zlib import crc32

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from proxies.encoding import chosen_units
from proxies.formats.base import Content
from proxies.parts import Part, Reader
from proxies.units import Unit
from proxies.work import Arrays

GRAM = 5
PERMUTATIONS = 128
_SCHEME = "affine32"
_WEIGHTS = (0.1, 0.9)  # rather a candidate too many than one too few: each is compared
_WORD = pattern(r"\w+")
_FACTOR = np.uint32(0x9E3779B1)


class HeldOut:
    """Signatures (n, 128) of held-out units, to be asked for near-duplicates of them."""

    def __init__(self, signatures: NDArray[np.uint32], threshold: float) -> None:
        self._signatures = signatures
        self._threshold = threshold
        self._index: Any = MinHashLSH(threshold, PERMUTATIONS, weights=_WEIGHTS)
        for number, one in enumerate(signatures):
            self._index.insert(number, _minhash(one))

    def is_near(self, content: Content) -> bool:
        """Whether a unit is as similar as the threshold to any of them."""
        own = signature(content)
        candidates = self._signatures[self._index.query(_minhash(own))]
        return len(candidates) > 0 and (candidates == own).mean(1).max() >= self._threshold


def signature(content: Content) -> NDArray[np.uint32]:
    """The least value (128,) of each permutation over the grams of a unit."""
    made = MinHash(PERMUTATIONS, hashfunc=int, permutations=_permutations(), scheme=_SCHEME)
    made.update_batch(grams(content).tolist())
    return made.hashvalues


def grams(content: Content) -> NDArray[np.uint32]:
    """A hash of each run of five words of a text (any case), or of five tokens."""
    if isinstance(content, str):
        words = _WORD.findall(content.lower()) or [content]
        values = np.array([crc32(word.encode()) for word in words], dtype=np.uint32)
    else:
        values = content.astype(np.uint32) * _FACTOR
    if len(values) < GRAM:
        values = np.concatenate([values, np.zeros(GRAM - len(values), dtype=np.uint32)])
    count = len(values) - GRAM + 1
    mixed = np.zeros(count, dtype=np.uint32)
    for start in range(GRAM):
        mixed = (mixed ^ values[start : start + count]) * _FACTOR
        mixed ^= mixed >> np.uint32(15)
    return mixed


def sign_part(part: Part, reader: Reader, unit: Unit, chosen: NDArray[np.bool_]) -> Arrays:
    """The signatures (n, 128) of the chosen units of a part."""
    found = [signature(content) for content in chosen_units(part, reader, unit, chosen)]
    return {"signatures": np.array(found, dtype=np.uint32).reshape(-1, PERMUTATIONS)}


def screen_part(
    part: Part,
    reader: Reader,
    unit: Unit,
    chosen: NDArray[np.bool_],
    signatures: Path,
    threshold: float,
) -> Arrays:
    """Which of the chosen units (n,) of a part are near-duplicates of held-out ones."""
    held_out = _loaded(signatures, threshold)
    contents = chosen_units(part, reader, unit, chosen)
    return {"near": np.array([held_out.is_near(one) for one in contents], dtype=np.bool_)}


@lru_cache(maxsize=1)
def _loaded(signatures: Path, threshold: float) -> HeldOut:
    """The held-out units; a process asks the same ones for all its parts."""
    return HeldOut(np.load(signatures, allow_pickle=False), threshold)


def _minhash(own: NDArray[np.uint32]) -> MinHash:
    return MinHash(hashvalues=own, permutations=_permutations(), scheme=_SCHEME)


@lru_cache(maxsize=1)
def _permutations() -> Any:
    """The same for every signature; making them costs more than a unit does."""
    return MinHash(PERMUTATIONS, scheme=_SCHEME).permutations
