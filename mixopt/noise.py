"""How much a run's seed moves a metric, from mixtures that were trained in several blocks.

y_ib = mixture_i + block_b + e_ib. sigma_run is the sd of a run over seeds (block and e together:
for levels), sigma_int that of e alone (for comparisons inside a block).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from mixopt.laws.base import mixture_groups
from mixopt.table import Table

Array = NDArray[np.float64]

_COVERAGE = 0.9


@dataclass(frozen=True)
class Noise:
    """Noise of q values, in their own units, with 90 % chi-square intervals."""

    sigma_run: Array
    """(q,) sd of one run over seeds."""
    sigma_int: Array
    """(q,) sd of one run around mixture and block; sigma_run where blocks cannot be told apart."""
    df_run: NDArray[np.int64]
    """(q,) degrees of freedom of sigma_run."""
    df_int: NDArray[np.int64]

    @property
    def interval_run(self) -> Array:
        """(q, 2)"""
        return _interval(self.sigma_run, self.df_run)

    @property
    def interval_int(self) -> Array:
        """(q, 2)"""
        return _interval(self.sigma_int, self.df_int)


def anchor_noise(table: Table, values: Array) -> Noise | None:
    """The noise of `values` (n, q), metrics or objectives of the table's runs; NaN is left out.

    sigma_run^2 is pooled within replicated mixtures; sigma_int^2 is what mixture and block leave
    of it: with two anchors in G blocks, half the variance of their difference, G - 1 degrees.
    Returns None when no mixture was trained twice: the noise is then unknown.
    """
    groups = mixture_groups(table.weights)
    columns = [_column_noise(groups, table.seed_block, column) for column in values.T]
    if not columns or any(column is None for column in columns):
        return None
    parts = zip(*(column for column in columns if column is not None))
    run, within, df_run, df_within = (np.array(part) for part in parts)
    return Noise(run, within, df_run, df_within)


def remove_block_effects(table: Table) -> Table:
    """The table less what a run's seed block did to its metrics.

    Effects are random: Henderson's estimate of their variance, then shrunk (BLUP), from mixtures
    trained in two or more known blocks. A metric keeps its values where those cannot tell blocks
    from noise (one anchor); runs of unknown block are untouched.
    """
    losses = table.losses.copy()
    groups = mixture_groups(table.weights)
    for i, column in enumerate(table.losses.T):
        for block, effect in _block_effects(groups, table.seed_block, column).items():
            losses[table.seed_block == block, i] -= effect
    return replace(table, losses=losses)


def _column_noise(
    groups: NDArray[np.int64], blocks: NDArray[np.int64], values: Array
) -> tuple[float, float, int, int] | None:
    """(sigma_run, sigma_int, their degrees of freedom) of one column."""
    rows = _replicated(groups, np.isfinite(values))
    df_run = len(rows) - len(set(groups[rows].tolist()))
    if df_run == 0:
        return None
    within = _centred(values[rows], groups[rows])
    sigma_run = float(np.sqrt(within @ within / df_run))
    rows = _replicated(groups, np.isfinite(values) & (blocks >= 0))
    mixtures, members = _dummies(groups[rows]), _dummies(blocks[rows])
    both = np.hstack([mixtures, members])
    df_int = len(rows) - int(np.linalg.matrix_rank(both)) if len(rows) else 0
    if df_int == 0:
        return sigma_run, sigma_run, df_run, df_run
    left = values[rows] - both @ np.linalg.lstsq(both, values[rows], rcond=None)[0]
    return sigma_run, float(np.sqrt(left @ left / df_int)), df_run, df_int


def _block_effects(
    groups: NDArray[np.int64], blocks: NDArray[np.int64], values: Array
) -> dict[int, float]:
    """BLUPs of the block effects on one metric; empty where they cannot be told from noise."""
    rows = _replicated(groups, np.isfinite(values) & (blocks >= 0))
    if len(rows) == 0:
        return {}
    names = np.unique(blocks[rows])
    members = _dummies(blocks[rows])
    within_members = np.column_stack([_centred(part, groups[rows]) for part in members.T])
    within = _centred(values[rows], groups[rows])
    rank = int(np.linalg.matrix_rank(within_members))
    df = len(rows) - len(np.unique(groups[rows])) - rank
    if rank == 0 or df == 0:
        return {}
    fitted = within_members @ np.linalg.lstsq(within_members, within, rcond=None)[0]
    noise = float((within - fitted) @ (within - fitted)) / df
    gram = members.T @ within_members
    variance = (float(fitted @ fitted) - rank * noise) / float(np.trace(gram))
    if variance <= 0:
        return {}
    ridge = gram + noise / variance * np.eye(len(names))
    effects = np.linalg.lstsq(ridge, members.T @ within, rcond=None)[0]
    return dict(zip(names.tolist(), effects.tolist()))


def _replicated(groups: NDArray[np.int64], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Usable rows whose mixture has another usable row."""
    counts = np.bincount(groups[usable], minlength=int(groups.max(initial=0)) + 1)
    return np.flatnonzero(usable & (counts[groups] > 1))


def _dummies(labels: NDArray[np.int64]) -> Array:
    """(n, levels) indicators."""
    return (labels[:, None] == np.unique(labels)[None, :]).astype(np.float64)


def _centred(values: Array, labels: NDArray[np.int64]) -> Array:
    """Values less the mean of their label."""
    members = _dummies(labels)
    return values - members @ ((members.T @ values) / members.sum(axis=0))


def _interval(sigma: Array, df: NDArray[np.int64]) -> Array:
    tails = np.array([(1 + _COVERAGE) / 2, (1 - _COVERAGE) / 2])
    return sigma[:, None] * np.sqrt(df[:, None] / chi2.ppf(tails[None, :], df[:, None]))
