"""How much seeds move a difference between two mixtures, by how both were trained.

    common seeds       D_s = L_s(a) - L_s(b)
    independent seeds  D_s = L_s(a) - L_s+1(b)
    with anchors       the same after block effects, as four blocks with two anchors show them, are
                       removed (`mixopt.noise`)

The sd over seeds is told as the root mean square over domains, and of J = mean_i ln L_i. Ratios of
two sds have percentile intervals of a bootstrap over seeds, drawn alike for both.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.noise import remove_block_effects
from mixopt.testing import table_of

Array = NDArray[np.float64]

BLOCKS = 4
"""Seeds of a swarm."""
DRAWS = 2000


class Difference(NamedTuple):
    """Differences between two mixtures, a row for each seed."""

    domains: Array
    """(S, d) of the loss of each domain, in nats a token."""
    objective: Array
    """(S, 1) of J."""


class Ratio(NamedTuple):
    """sd of one way of training over that of another."""

    value: float
    low: float
    high: float


def common(first: Array, second: Array) -> Difference:
    """From losses (S, d) of two mixtures under the same seeds."""
    return Difference(first - second, _objective(first) - _objective(second))


def independent(first: Array, second: Array) -> Difference:
    """From losses (S, d) of two mixtures, each under a seed of its own."""
    return common(first, np.roll(second, -1, axis=0))


def with_anchors(first: Array, second: Array, anchors: Array) -> Difference:
    """`independent` after correction by two anchors (2, S, d) in blocks of `BLOCKS` seeds."""
    parts = [
        _corrected(first[i : i + BLOCKS], second[i : i + BLOCKS], anchors[:, i : i + BLOCKS])
        for i in range(0, len(first) - BLOCKS + 1, BLOCKS)
    ]
    return Difference(*(np.concatenate(column) for column in zip(*parts)))


def sd(values: Array) -> float:
    """The sd over seeds of values (S, q), as root mean square over q."""
    return float(np.sqrt(values.var(axis=0, ddof=1).mean()))


def ratio(
    values: Array, reference: Array, rng: np.random.Generator, coverage: float = 0.95
) -> Ratio:
    """sd(values) / sd(reference) of (S, q) each, with a bootstrap interval over the seeds."""
    count = min(len(values), len(reference))
    rows = np.sort(rng.integers(count, size=(DRAWS, count)), axis=1)
    rows = rows[(np.diff(rows, axis=1) > 0).sum(axis=1) >= 2]  # of one seed there is no sd
    ratios = _sds(values[rows]) / _sds(reference[rows])
    low, high = np.quantile(ratios, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Ratio(sd(values) / sd(reference), float(low), float(high))


def _sds(values: Array) -> Array:
    """(draws,) sds of resampled values (draws, S, q)."""
    return np.sqrt(values.var(axis=1, ddof=1).mean(axis=1))


def _objective(losses: Array) -> Array:
    return np.log(losses).mean(axis=1, keepdims=True)


def _corrected(first: Array, second: Array, anchors: Array) -> Difference:
    """One swarm: losses (BLOCKS, d) of two mixtures, (2, BLOCKS, d) of the anchors.

    Every run but the anchors' is a mixture of its own, so that only anchors tell of blocks.
    """
    size = len(first)
    mixtures = np.concatenate([np.repeat([0, 1], size), 2 + np.arange(2 * size)])
    losses = np.concatenate([*anchors, first, second])
    table = table_of(np.eye(2 + 2 * size)[mixtures], losses, np.tile(np.arange(size), 4))
    left = remove_block_effects(table).losses.reshape(4, size, -1)
    return independent(left[2], left[3])
