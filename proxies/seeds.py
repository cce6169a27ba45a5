"""Random streams by name: a function of (block, purpose, names), so that no stream moves another.

Two runs of one block see the same window order, allocation start and initial weights whatever
their mixtures are; adding a domain, a member or a purpose changes nothing for the others.
"""

import hashlib
import json

import numpy as np
from numpy.typing import NDArray


def key(block: int, purpose: str, *names: str | int) -> int:
    """64 bits that name one stream.

    >>> key(0, "order", "web") == key(0, "order", "web") != key(1, "order", "web")
    True
    """
    text = json.dumps([block, purpose, *names])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def stream(block: int, purpose: str, *names: str | int) -> np.random.Generator:
    """The generator of one stream, at its beginning."""
    return np.random.default_rng(key(block, purpose, *names))


def mix(values: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """A keyed hash of each value (splitmix64's finaliser): sorting by it is a stable shuffle."""
    x = values ^ np.uint64(seed)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
