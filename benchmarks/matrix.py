"""Law x number of runs on RegMix's public runs: ranks, errors, CPU seconds, coverage.

Ranks are Spearman correlations with the measured losses of test mixtures, in percent, of Pile-CC
(cc), as the mean over the 13 metrics (mean), and of the mean of the 13 losses (average). Errors
are of test runs of the size that was trained on; larger runs have other losses, so only their
ranks are compared.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
from cells import Cell, completed, finite, print_table, spread, told
from numpy.typing import NDArray
from regmix_runs import PUBLISHED, Runs, subset

from mixopt.laws import make_law
from mixopt.laws.base import Law
from mixopt.score import Quality, quality
from mixopt.table import Table

Array = NDArray[np.float64]
Key = tuple[str, int]
"""Law and number of runs."""

TRAINED = "1m"
VALUES = ("cc", "mean", "average")
COVERED_RUNS = (64, 128)
_NINETY = 1.645


def report(runs: Runs, laws: Sequence[str], counts: Sequence[int], subsets: int, out: Path) -> None:
    """Measure what `out` does not hold yet, then print every table."""
    numbers = {count: range(subsets if count < len(runs.train) else 1) for count in counts}
    wanted = {
        f"{law}/{count}/{number}": partial(measured, law, runs, count, number)
        for law in laws
        for count in counts
        for number in numbers[count]
    }
    cells = completed(out, wanted)
    groups = {
        (law, count): [cells[f"{law}/{count}/{number}"] for number in numbers[count]]
        for law in laws
        for count in counts
    }
    _print_published(groups, runs)
    _print_ranks(groups, list(runs.tests))
    _print_errors(groups)
    _print_coverage(groups)


def measured(name: str, runs: Runs, count: int, number: int) -> Cell:
    """One fit to one subset, judged on all test runs."""
    table = subset(runs, count, number)
    started = time.process_time()
    law = make_law(name).fit(table.weights, table.losses, table.info)
    seconds = time.process_time() - started
    predicted = {size: law.predict(test.weights) for size, test in runs.tests.items()}
    found = {
        size: agreement(test.losses, predicted[size], runs.target)
        for size, test in runs.tests.items()
    }
    trained = runs.tests[TRAINED]
    cell = {
        "seconds": seconds,
        "ranks": {size: ranks(by_value) for size, by_value in found.items()},
        "mae": _absolute_errors(trained.losses, predicted[TRAINED], runs.target),
        "r2": {value: fmean(q.r2 for q in every) for value, every in found[TRAINED].items()},
        "interval": _interval(law, trained),
    }
    return finite(cell)


def agreement(actual: Array, predicted: Array, target: int) -> dict[str, list[Quality]]:
    """Quality by value, of losses (n, m): one of Pile-CC and of the average, m of the mean."""
    every = [quality(a, p) for a, p in zip(actual.T, predicted.T)]
    average = quality(actual.mean(axis=1), predicted.mean(axis=1))
    return dict(zip(VALUES, ([every[target]], every, [average])))


def ranks(by_value: Mapping[str, Sequence[Quality]]) -> dict[str, float]:
    """Spearman in percent by value. A constant prediction ranks nothing: 0."""
    return {
        value: 100 * fmean(0.0 if np.isnan(q.spearman) else q.spearman for q in every)
        for value, every in by_value.items()
    }


def _absolute_errors(actual: Array, predicted: Array, target: int) -> dict[str, float]:
    every = np.abs(actual - predicted).mean(axis=0)
    average = np.abs(actual.mean(axis=1) - predicted.mean(axis=1)).mean()
    return dict(zip(VALUES, (float(every[target]), float(every.mean()), float(average))))


def _interval(law: Law, test: Table) -> dict[str, list[float]]:
    """Of the 90 % interval for a new run, by metric: coverage, that of the tenth of the mixtures
    with the lowest predictions, and its width in sd of the metric.
    """
    mean, sd = law.predict(test.weights), law.run_sd(test.weights)
    inside = np.abs(test.losses - mean) < _NINETY * sd
    lowest = np.argsort(mean, axis=0, kind="stable")[: len(mean) // 10]
    return {
        "cover": inside.mean(axis=0).tolist(),
        "lowest": np.take_along_axis(inside, lowest, axis=0).mean(axis=0).tolist(),
        "width": (2 * _NINETY * sd.mean(axis=0) / test.losses.std(axis=0)).tolist(),
    }


def _print_published(groups: Mapping[Key, list[Cell]], runs: Runs) -> None:
    """RegMix's figures beside ours, where all runs were asked for."""
    rows = [
        [law, size, f"{figure:.2f}", f"{groups[law, len(runs.train)][0]['ranks'][size]['cc']:.2f}"]
        for law, figures in PUBLISHED.items()
        if (law, len(runs.train)) in groups
        for size, figure in figures.items()
        if size in runs.tests
    ]
    if rows:
        print(f"Spearman in % of Pile-CC, {len(runs.train)} runs, as RegMix reports it and here:\n")
        print_table(("law", "test runs", "published", "here"), rows)


def _print_ranks(groups: Mapping[Key, list[Cell]], sizes: Sequence[str]) -> None:
    print("Spearman in % on test mixtures (mean ± sd over subsets), CPU seconds of the fit:\n")
    header = ["law", "runs", *(f"{value} {size.upper()}" for size in sizes for value in VALUES)]
    rows = (
        [
            law,
            str(count),
            *(spread([c["ranks"][s][v] for c in found], 2) for s in sizes for v in VALUES),
            told([cell["seconds"] for cell in found], 2),
        ]
        for (law, count), found in groups.items()
    )
    print_table([*header, "fit s"], rows)


def _print_errors(groups: Mapping[Key, list[Cell]]) -> None:
    print("Errors on test runs of the trained size:\n")
    kinds = {"mae": "MAE", "r2": "R2"}
    header = ["law", "runs", *(f"{kind} {value}" for kind in kinds.values() for value in VALUES)]
    rows = (
        [
            law,
            str(count),
            *(told([c[kind][v] for c in found], 4) for kind in kinds for v in VALUES),
        ]
        for (law, count), found in groups.items()
    )
    print_table(header, rows)


def _print_coverage(groups: Mapping[Key, list[Cell]]) -> None:
    """Least to greatest over metrics, each metric's the mean over subsets."""
    rows = list(_coverage_rows(groups))
    if rows:
        print(
            "Share of test runs in the 90 % interval for a new run, and its width in sd of the "
            "metric: least to greatest of 13 metrics\n"
        )
        print_table(("law", "runs", "cover", "cover, lowest tenth", "width"), rows)


def _coverage_rows(groups: Mapping[Key, list[Cell]]) -> Iterator[list[str]]:
    for (law, count), found in groups.items():
        if count in COVERED_RUNS:
            parts = [
                np.mean([np.array(cell["interval"][key], dtype=float) for cell in found], axis=0)
                for key in ("cover", "lowest", "width")
            ]
            yield [law, str(count), *(f"{part.min():.2f} to {part.max():.2f}" for part in parts)]
