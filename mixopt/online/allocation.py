"""Systematic allocation: which domain each sequence slot comes from, by deficits.

For every slot: deficit_j += w_j; take j* = argmax_j deficit_j; deficit_j* -= 1. What was drawn from
a domain so stays within 2 sequences of its expectation at every slot, however the shares move.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def allocate(deficits: Array, shares: Array, slots: int) -> tuple[NDArray[np.int64], Array]:
    """The columns (P, slots) that P rows take next, and their deficits (P, d) afterwards.

    `deficits` and `shares` are (P, d). The first of equal deficits is taken; a domain of share zero
    never is, whatever its deficit.

    >>> picks, left = allocate(np.zeros((1, 2)), np.array([[0.75, 0.25]]), slots=4)
    >>> picks[0].tolist(), left[0].tolist()
    ([0, 0, 1, 0], [0.0, 0.0])
    """
    left = deficits.copy()
    barred = np.where(shares > 0, 0.0, -np.inf)
    rows = np.arange(len(shares))
    picks = np.empty((len(shares), slots), dtype=np.int64)
    for slot in range(slots):
        left += shares
        picks[:, slot] = np.argmax(left + barred, axis=1)  # the first of equals
        left[rows, picks[:, slot]] -= 1.0
    return picks, left
