"""-ln p of the tokens of rows of unequal lengths, under P proxies: rows padded on the right.

Attention is causal and routing drops no token, so that what follows a token changes nothing for it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from proxies.config import TrainConfig
from proxies.kernels.cross_entropy import token_nats
from proxies.model import Weights, forward

_TOKENS_AT_ONCE = 1024  # of one proxy


@torch.no_grad()
def row_nats(
    weights: Weights, config: TrainConfig, rows: Sequence[NDArray[np.integer]]
) -> list[NDArray[np.float64]]:
    """Nats (P, n - 1) of each row of n tokens after its first, in the order of `rows`.

    Rows hold 2 to context + 1 tokens.
    """
    embedding = weights["embedding"]
    found: list[NDArray[np.float64]] = [np.empty(0)] * len(rows)
    for places in _batches([len(row) for row in rows]):
        longest = max(len(rows[place]) for place in places)
        padded = np.zeros((len(places), longest), dtype=np.int64)
        for line, place in enumerate(places):
            padded[line, : len(rows[place])] = rows[place]
        tokens = torch.from_numpy(padded).to(embedding.device).expand(len(embedding), -1, -1)
        output = forward(weights, config, tokens[..., :-1])
        targets = tokens[..., 1:]
        nats = token_nats(output.hidden, embedding, targets.flatten(1)).view(targets.shape)
        told = nats.double().cpu().numpy()
        for line, place in enumerate(places):
            found[place] = told[:, line, : len(rows[place]) - 1]
    return found


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of rows of about one length, as many as may be read at once."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: (lengths[place], place)):
        if batch and (len(batch) + 1) * lengths[place] > _TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
