"""Laws on RegMix's public runs: law x runs x Spearman on held-out mixtures at 1M and 60M, seconds.

    python benchmarks/laws.py FOLDER [--laws edl ridge] [--runs 64 128 512] [--out laws.json]

FOLDER holds RegMix's CSVs. Each number of runs is drawn as five random subsets, the same for every
law; all 512 runs are one. Correlations are in percent, of Pile-CC and the mean of all 13 metrics;
`cover` is the share of 1M test runs inside the 90 % interval.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from mixopt.files import write_json
from mixopt.laws import LAWS, make_law

Array = NDArray[np.float64]

SUBSETS = 5
TARGET = "metric/the_pile_pile_cc_val_loss"
COLUMNS = ("law", "runs", "cc 1M", "cc 60M", "mean 1M", "mean 60M", "cover", "fit s", "100k s")


class Runs(NamedTuple):
    """RegMix's files as arrays."""

    weights: Array
    losses: Array
    test_weights: Array
    test: dict[str, Array]
    target: int
    """The column of Pile-CC."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--laws", nargs="+", default=sorted(LAWS))
    parser.add_argument("--runs", nargs="+", type=int, default=[64, 128, 512])
    parser.add_argument("--out", type=Path, default=Path("laws.json"))
    arguments = parser.parse_args()
    runs = read(arguments.folder)
    rows = []
    for name in arguments.laws:
        for count in arguments.runs:
            rows.append(average(name, count, runs))
            print(".", end="", file=sys.stderr, flush=True)
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(
            *(f"{row[key]:.2f}" if key not in ("law", "runs") else str(row[key]) for key in COLUMNS)
        )
    Console().print(table)
    write_json(arguments.out, rows)


def read(folder: Path) -> Runs:
    """The published 1M training runs and the 1M and 60M test runs."""
    losses = _frame(folder, "train_pile_loss_1m")
    test = {size: _frame(folder, f"test_pile_loss_{size}").to_numpy() for size in ("1m", "60m")}
    return Runs(
        _shares(folder, "train_mixture_1m"),
        losses.to_numpy(),
        _shares(folder, "test_mixture_1m"),
        test,
        list(losses.columns).index(TARGET),
    )


def average(name: str, count: int, runs: Runs) -> dict[str, Any]:
    """One line of the table: the mean over subsets."""
    subsets = SUBSETS if count < len(runs.weights) else 1
    found = [measure(name, count, subset, runs) for subset in range(subsets)]
    means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    return {"law": name, "runs": count, "subsets": subsets, **means}


def measure(name: str, count: int, subset: int, runs: Runs) -> dict[str, float]:
    """One fit."""
    order = np.random.default_rng(1000 * count + subset).permutation(len(runs.weights))[:count]
    started = time.process_time()
    law = make_law(name).fit(runs.weights[order], runs.losses[order])
    fitted = time.process_time()
    law.predict(np.resize(runs.test_weights, (20_000, runs.test_weights.shape[1])))
    asked = time.process_time()
    mean, sd = law.predict(runs.test_weights, return_std=True)
    ranks = {size: _ranks(mean, actual) for size, actual in runs.test.items()}
    return {
        "cc 1M": ranks["1m"][runs.target],
        "cc 60M": ranks["60m"][runs.target],
        "mean 1M": float(ranks["1m"].mean()),
        "mean 60M": float(ranks["60m"].mean()),
        "cover": float(np.mean(np.abs(runs.test["1m"] - mean) < 1.645 * sd)),
        "fit s": fitted - started,
        "100k s": 5 * (asked - fitted),
    }


def _ranks(predicted: Array, actual: Array) -> Array:
    """Spearman in percent by metric; 0 for a constant prediction."""
    return np.array(
        [
            0.0 if np.ptp(p) == 0 else 100 * float(spearmanr(p, a).statistic)
            for p, a in zip(predicted.T, actual.T)
        ]
    )


def _frame(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv", index_col="index")


def _shares(folder: Path, name: str) -> Array:
    """Published shares are rounded after they were normalised: divide by the sum again."""
    rows = _frame(folder, name).to_numpy(dtype=np.float64)
    return rows / rows.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
