"""The headline: a law on some of RegMix's runs against LightGBM on all of them, and on the same.

Rivals: `regmix` with all 512 runs, as published; LightGBM whose leaf size is chosen for each metric
by cross-validation inside its training runs, with all 512 and with the law's own runs. Differences
of Spearman correlations come with 90 % intervals that resample the subsets and the test mixtures,
both alike for the law and its rival.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cells import Cell, completed, print_table
from matrix import VALUES
from numpy.typing import NDArray
from regmix_runs import Runs, subset
from scipy.stats import rankdata
from sklearn.model_selection import KFold

from mixopt.laws import make_law
from mixopt.laws.regmix import RegMix
from mixopt.table import Table

Array = NDArray[np.float64]
Predictor = Callable[[Array], Array]
Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows to learn from, rows held."""

RUNS = (64, 128)
PLAIN = "regmix"
TUNED = "regmix, leaves tuned"
LEAVES = (2, 3, 5, 10, 20)
"""Runs a leaf among which the tuned rival chooses ..."""
FOLDS = 5
QUICK = RegMix(rounds=100, learning_rate=0.1, members=0)
"""... with a tenth of the rounds, each ten times as large."""
RESAMPLES = 1000


class Ranked(NamedTuple):
    """Correlations in percent by `VALUES`."""

    found: Array
    """(s, 3) of s subsets."""
    resampled: Array
    """(RESAMPLES, s, 3)"""


def report(runs: Runs, laws: Sequence[str], counts: Sequence[int], subsets: int, out: Path) -> None:
    """Measure what `out` does not hold yet, then print every comparison."""
    every = len(runs.train)
    names = [(law, count, n) for law in (*laws, TUNED) for count in counts for n in range(subsets)]
    names += [(PLAIN, every, 0), (TUNED, every, 0)]
    wanted = {
        f"{law}/{count}/{n}": partial(predictions, law, runs, count, n) for law, count, n in names
    }
    cells = completed(out, wanted)
    print(
        f"Spearman in %: law - rival = difference (90 % interval over {subsets} subsets and the "
        "test mixtures)\n"
    )
    print_table(
        ("test runs", "law, runs", "rival, runs", *VALUES),
        _rows(cells, runs, laws, counts),
    )


def predictions(name: str, runs: Runs, count: int, number: int) -> Cell:
    """Predicted losses (k, m) of the test mixtures of every size."""
    table = subset(runs, count, number)
    predict = leaf_tuned(table) if name == TUNED else _fitted(name, table)
    return {size: predict(test.weights).round(6).tolist() for size, test in runs.tests.items()}


def leaf_tuned(table: Table) -> Predictor:
    """LightGBM whose runs a leaf are chosen for each metric by cross-validation on these runs."""
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(table.weights))
    errors = [_left_out_error(leaf, table, folds) for leaf in LEAVES]
    best = np.argmin(errors, axis=0).tolist()
    fits = [
        RegMix(runs_a_leaf=LEAVES[leaf], members=0).fit(table.weights, table.losses[:, [i]])
        for i, leaf in enumerate(best)
    ]
    return lambda weights: np.hstack([fit.predict(weights) for fit in fits])


def compared(ours: Ranked, theirs: Ranked) -> list[str]:
    """By value: our correlation, the rival's, their difference and its interval."""
    rng = np.random.default_rng(0)
    subsets = ours.found.shape[0]
    apart = np.empty((len(ours.resampled), len(VALUES)))
    for b, (one, other) in enumerate(zip(ours.resampled, theirs.resampled)):
        parts = rng.integers(subsets, size=subsets)
        apart[b] = one[parts].mean(axis=0) - other[parts % len(other)].mean(axis=0)
    means = [ranked.found.mean(axis=0) for ranked in (ours, theirs)]
    low, high = np.quantile(apart, [0.05, 0.95], axis=0)
    return [
        f"{a:.2f} - {b:.2f} = {a - b:+.2f} ({ends[0]:+.2f} to {ends[1]:+.2f})"
        for a, b, *ends in zip(*means, low, high)
    ]


def ranked(actual: Array, predicted: Array, target: int) -> Ranked:
    """How predictions (s, k, m) of s subsets rank losses (k, m), and resampled test mixtures.

    Whatever the predictions, the same mixtures are resampled. One subset stands for all.
    """
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(actual), size=len(actual)) for _ in range(RESAMPLES))
    resampled = [correlations(actual[rows], predicted[:, rows], target) for rows in draws]
    return Ranked(correlations(actual, predicted, target), np.stack(resampled))


def correlations(actual: Array, predicted: Array, target: int) -> Array:
    """Spearman in percent, (s, 3) by `VALUES`, of losses (k, m) and predictions (s, k, m)."""
    by_metric = _spearman(actual, predicted)
    average = _spearman(actual.mean(axis=-1), predicted.mean(axis=-1)[..., None])[:, 0]
    return 100 * np.stack([by_metric[:, target], by_metric.mean(axis=1), average], axis=1)


def _rows(
    cells: Mapping[str, Cell], runs: Runs, laws: Sequence[str], counts: Sequence[int]
) -> Iterator[tuple[str, ...]]:
    """Every law and number of runs against every rival, by size of the test runs."""
    every = len(runs.train)
    names = [(law, count) for law in (*laws, TUNED) for count in counts]
    names += [(PLAIN, every), (TUNED, every)]
    for size, test in runs.tests.items():
        found = {
            name: ranked(test.losses, _stacked(cells, size, *name), runs.target) for name in names
        }
        for law in laws:
            for count in counts:
                for rival in ((PLAIN, every), (TUNED, every), (TUNED, count)):
                    told = compared(found[law, count], found[rival])
                    yield size.upper(), f"{law}, {count}", f"{rival[0]}, {rival[1]}", *told


def _stacked(cells: Mapping[str, Cell], size: str, law: str, count: int) -> Array:
    """Predictions of every subset, (s, k, m)."""
    start = f"{law}/{count}/"
    return np.array([cell[size] for name, cell in cells.items() if name.startswith(start)])


def _fitted(name: str, table: Table) -> Predictor:
    return make_law(name).fit(table.weights, table.losses, table.info).predict


def _left_out_error(leaf: int, table: Table, folds: Sequence[Fold]) -> Array:
    """Mean squared error (m,) over the folds' held runs."""
    law, total = replace(QUICK, runs_a_leaf=leaf), np.zeros(len(table.metrics))
    for seen, held in folds:
        predicted = law.fit(table.weights[seen], table.losses[seen]).predict(table.weights[held])
        total += ((predicted - table.losses[held]) ** 2).sum(axis=0)
    return total / len(table)


def _spearman(actual: Array, predicted: Array) -> Array:
    """Rank correlations (s, m) of (k, m) and (s, k, m); 0 where a prediction is constant."""
    a, p = (_standard_ranks(values) for values in (actual.reshape(len(actual), -1), predicted))
    return np.einsum("km,skm->sm", a, p)


def _standard_ranks(values: Array) -> Array:
    """Ranks along the rows (..., k, m), centred and of length one; zero where all are equal."""
    ranks = rankdata(values, axis=-2)
    ranks -= ranks.mean(axis=-2, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=-2, keepdims=True))
    return ranks / np.where(length > 0, length, 1.0)
