"""A made-up corpus that a proxy can learn: letters from Markov chains, one a domain.

p(letter | the one before, domain) = (own + common) / 2, rows of both from Dirichlet(0.1): what one
domain teaches helps the others half of the time, so that losses depend on the whole mixture.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DOMAINS = ("north", "east", "south", "west")
DOCUMENTS = 480
LENGTH = 2400
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz ", dtype=np.uint8)


def write_corpus(folder: Path) -> None:
    """Write a folder of documents for each domain; the same text every time."""
    rng = np.random.default_rng(0)
    common = _chain(rng)
    for name in DOMAINS:
        text = _documents((common + _chain(rng)) / 2, rng)
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(text):
            (folder / name / f"{number:04d}.txt").write_bytes(_LETTERS[row].tobytes())


def _chain(rng: np.random.Generator) -> NDArray[np.float64]:
    """Rows (A, A) of probabilities."""
    letters = len(_LETTERS)
    return rng.dirichlet(np.full(letters, 0.1), letters)


def _documents(chain: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(DOCUMENTS, LENGTH) letters."""
    letters = len(_LETTERS)
    ends = chain.cumsum(axis=1)
    text = rng.integers(letters, size=(DOCUMENTS, LENGTH))
    for place in range(1, LENGTH):
        rows = ends[text[:, place - 1]]
        drawn = (rows < rng.random((DOCUMENTS, 1))).sum(axis=1)
        text[:, place] = np.minimum(drawn, letters - 1)
    return text
