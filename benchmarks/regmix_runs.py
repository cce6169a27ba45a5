"""RegMix's public runs (Liu et al. 2024, arXiv:2407.01492) as tables, and its own figures."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.exchange.tables import read_csv
from mixopt.objective import Objective
from mixopt.space import Space
from mixopt.table import Table

Array = NDArray[np.float64]

SIZES = ("1m", "60m", "1b")
"""Parameters of the test runs; those of 1b may be missing."""
TARGET = "loss/pile_cc"
AVERAGE = "average"
"""The objective that is the plain mean of all metrics."""

PUBLISHED = {
    "linear": {"1m": 90.08, "60m": 89.26, "1b": 88.01},
    "regmix": {"1m": 98.45, "60m": 98.64, "1b": 97.12},
}
"""Spearman in percent of Pile-CC, fitted to all 512 runs of 1M, as the paper reports it."""


class Runs(NamedTuple):
    """Training runs of 1M parameters and test runs of every size, over the same columns."""

    space: Space
    train: Table
    tests: dict[str, Table]
    note: str
    """What was done to the published shares."""

    @property
    def target(self) -> int:
        """The column of Pile-CC."""
        return self.train.metrics.index(TARGET)

    @property
    def objective(self) -> Objective:
        """The mean of the 13 losses."""
        metrics = self.train.metrics
        ones = np.ones(len(metrics))
        return Objective(AVERAGE, "absolute", metrics, ones, scale=ones)


def read_runs(folder: Path) -> Runs:
    """The tables of a folder that holds RegMix's CSV files under their own names."""
    space, train = _read(folder, "train", "1m")
    sizes = [size for size in SIZES if (folder / f"test_pile_loss_{size}.csv").exists()]
    tests = {}
    for size in sizes:
        other, tests[size] = _read(folder, "test", size)
        assert (other.names, tests[size].metrics) == (space.names, train.metrics)
    parts = [("train", "1m"), *(("test", size) for size in sizes)]
    return Runs(space, train, tests, _rounding([_sums(folder, *part) for part in parts]))


def subset(runs: Runs, count: int, number: int) -> Table:
    """The `number`-th random part of the training runs, the same whoever asks; all of them as one.

    Drawn as in earlier measurements on these files: generator 1000 * count + number.
    """
    order = np.random.default_rng(1000 * count + number).permutation(len(runs.train))
    return runs.train.select(np.sort(order[:count]))


def _read(folder: Path, part: str, size: str) -> tuple[Space, Table]:
    mixtures, losses = (folder / f"{part}_{kind}_{size}.csv" for kind in ("mixture", "pile_loss"))
    return read_csv(mixtures, losses, dialect="regmix")


def _sums(folder: Path, part: str, size: str) -> Array:
    """Sums of the published shares (n,)."""
    frame = pd.read_csv(folder / f"{part}_mixture_{size}.csv", index_col="index")
    return frame.to_numpy(dtype=np.float64).sum(axis=1)


def _rounding(sums: list[Array]) -> str:
    every = np.concatenate(sums)
    off = np.abs(every - 1.0) > 1e-6
    return (
        f"{off.sum()} of {len(every)} published mixtures sum to {every.min():.3f} to "
        f"{every.max():.3f} instead of 1, because their shares are rounded to .001: "
        "each was divided by its sum"
    )
