"""Simulated epoching: a proxy repeats a domain as often as the target will, by reading less of it.

U_j = the first documents of domain j in hash(block, document) order, N_j D_s / D_target tokens of
them, so that w_j D_s / |U_j| = w_j D_target / N_j: the epochs of the target at every scale D_s.
The last document is cut, because one long document would otherwise undo the equality. Pools are
nested in D_s: a larger one begins with the smaller one.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from proxies.seeds import key, mix


def simulated_pools(
    space_tokens: Mapping[str, float | None], run_tokens: float, target_tokens: float
) -> dict[str, int]:
    """Tokens of each domain that a run of `run_tokens` may read; a domain without a count is free.

    >>> simulated_pools({"web": 1e9, "law": 2e6, "new": None}, run_tokens=1e6, target_tokens=1e8)
    {'web': 10000000, 'law': 20000}
    """
    part = min(1.0, run_tokens / target_tokens)
    return {
        name: max(1, round(tokens * part))
        for name, tokens in space_tokens.items()
        if tokens is not None and np.isfinite(tokens)
    }


def pool_tokens(
    tokens: NDArray[np.unsignedinteger],
    offsets: NDArray[np.int64],
    documents: NDArray[np.uint64],
    block: int,
    name: str,
    size: int,
) -> NDArray[np.unsignedinteger]:
    """The first `size` tokens (size,) of a domain in the block's order of its documents.

    `offsets` (documents + 1,) are where documents begin in `tokens`; `documents` are their hashes.
    """
    order = np.argsort(mix(documents, key(block, "pool", name)), kind="stable")
    ends = np.cumsum(np.diff(offsets)[order])
    count = int(np.searchsorted(ends, size)) + 1
    parts = [tokens[offsets[i] : offsets[i + 1]] for i in order[:count]]
    return np.concatenate(parts)[:size]
