"""How well laws predict runs that they have not seen, and which law a table should be trusted to.

Folds keep replicates and near mixtures together. Cross-validation on a space-filling design is
interpolation at lower density: it says nothing of the error at an optimum.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.stats import rankdata, t

from mixopt.errors import DataError
from mixopt.laws import DEFAULT, make_law
from mixopt.laws.base import Law, mixture_groups
from mixopt.objective import Objective
from mixopt.progress import Report, silent
from mixopt.runs import is_searched
from mixopt.table import Table

Array = NDArray[np.float64]
Folds = NDArray[np.int64]

FOLDS = 8
NEAR = 0.05
"""Groups of mixtures within this L1 of each other are never split by a fold."""
_RUNS_ABOVE_COLUMNS = 4
_SAME = 1e-5  # planned shares are rounded to 1e-6


@dataclass(frozen=True)
class Quality:
    """Out-of-fold agreement of predicted and measured values of n runs."""

    spearman: float
    """NaN where either is constant."""
    r2: float
    rmse: float
    """In the units of the values."""


@dataclass(frozen=True)
class LawScore:
    """One law under cross-validation."""

    name: str
    metrics: tuple[Quality, ...]
    """By the table's columns."""
    objectives: Mapping[str, Quality]
    searched: Mapping[str, Quality]
    """The objectives on runs that a search added, which stand where the law was asked to look."""
    predicted: Array = field(repr=False)
    """(n, m) out-of-fold."""
    errors: Array = field(repr=False)
    """(n,) squared out-of-fold error, mean over objectives in units of their variances; NaN for
    runs that a search added."""
    folds: Folds = field(repr=False)
    seconds: float
    """CPU time of all fits."""


def runs_short(table: Table) -> int:
    """How many more mixtures a law needs: none is fitted to fewer than width + 4."""
    mixtures = len(np.unique(mixture_groups(table.weights)))
    return max(0, table.weights.shape[1] + _RUNS_ABOVE_COLUMNS - mixtures)


def grouped_folds(table: Table, count: int, rng: np.random.Generator) -> Folds:
    """Fold numbers (n,): near mixtures together, folds alike in size and in seed blocks.

    There are `count` folds, or as many as there are groups if fewer.
    Raises DataError when all mixtures are near each other.
    """
    groups = _near_groups(table.weights)
    labels, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    if len(labels) < 2:
        raise DataError(
            f"expected at least two mixtures that differ by {NEAR} in L1, "
            "got one: nothing can be held out, run more mixtures"
        )
    blocks = np.unique(table.seed_block, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((rng.permutation(len(labels)), blocks[first], -sizes))
    held = np.zeros((min(count, len(labels)), int(blocks.max()) + 1))
    folds = np.empty(len(table), dtype=np.int64)
    for label in labels[order]:
        rows = np.flatnonzero(groups == label)
        crowded = len(table) * held.sum(axis=1) + held[:, blocks[rows]].sum(axis=1)
        folds[rows] = fold = int(np.argmin(crowded))
        np.add.at(held[fold], blocks[rows], 1)
    return folds


def cross_validate(
    law: Law,
    table: Table,
    folds: Folds,
    done: Callable[[], None] = lambda: None,
    beside: Table | None = None,
) -> Array:
    """Out-of-fold predictions (n, m); NaN for a metric that the other folds never measured.

    `done` is called after each fold. Runs `beside` the table, of other scales, teach a law over
    scale as well, those near a mixture that is held out left out with it.
    """
    predicted = np.full(table.losses.shape, np.nan)
    for fold in np.unique(folds):
        held = folds == fold
        seen = table.select(~held)
        if beside is not None and law.over_scale:
            seen = seen.plus(_away(beside, table.weights[held]))
        predicted[held] = predict_held(law, seen, table.weights[held], table.scales[held])
        done()
    return predicted


def predict_held(law: Law, seen: Table, weights: Array, scales: Array) -> Array:
    """Predictions (k, m) of `weights` at `scales` (k, 3) by the law fitted afresh to `seen`."""
    measured = np.isfinite(seen.losses).any(axis=0)
    info = seen.info._replace(own=seen.own[measured])
    fitted = law.mean_only().fit(seen.weights, seen.losses[:, measured], info)
    predicted = np.full((len(weights), seen.losses.shape[1]), np.nan)
    known = law.over_scale and np.isfinite(scales).all()
    predicted[:, measured] = fitted.predict(weights, scales if known else None)
    return predicted


def quality(actual: Array, predicted: Array) -> Quality:
    """Agreement of two columns (n,), over the runs where both are known.

    >>> quality(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.5])).spearman
    1.0
    """
    known = np.isfinite(actual) & np.isfinite(predicted)
    if known.sum() < 2:
        return Quality(np.nan, np.nan, np.nan)
    actual, predicted = actual[known], predicted[known]
    square = float(np.mean((actual - predicted) ** 2))
    variance = float(np.var(actual))
    r2 = 1.0 - square / variance if variance > 0 else np.nan
    return Quality(_spearman(actual, predicted), r2, float(np.sqrt(square)))


def compare_laws(
    names: Sequence[str],
    table: Table,
    objectives: Mapping[str, Objective],
    rng: np.random.Generator,
    reference: Array | None = None,
    beside: Table | None = None,
    report: Report = silent,
) -> list[LawScore]:
    """Cross-validate the named laws on the same folds, in the order of their names.

    `reference` (m,): losses of the reference mixture; default: the mean of the runs, which shifts
    an objective of ratios by a constant. `beside`: runs of other scales, which teach laws over
    scale. Raises DataError when the runs are too few for any law.
    """
    if short := runs_short(table):
        width = table.weights.shape[1]
        raise DataError(
            f"expected runs of at least {width + _RUNS_ABOVE_COLUMNS} different mixtures to fit a "
            f"law of {width} shares, got {width + _RUNS_ABOVE_COLUMNS - short}: "
            f"run {short} more, or take the best run seen"
        )
    base = np.nanmean(table.losses, axis=0) if reference is None else reference
    folds = grouped_folds(table, FOLDS, rng)
    steps = count(1)

    def done() -> None:
        report("comparing laws", next(steps), len(names) * len(np.unique(folds)))

    return [_scored(name, table, objectives, base, folds, done, beside) for name in names]


def choose(scores: Sequence[LawScore], default: str = DEFAULT, level: float = 0.05) -> str:
    """The law to fit: the default, unless another is better beyond chance (Holm over the others).

    Of several such the one with the least error is taken; without the default among the scores,
    the least error decides.
    """
    by_name = {score.name: score for score in scores}
    if default not in by_name:
        return min(scores, key=lambda score: float(np.nanmean(score.errors))).name
    rivals = [score for score in scores if score.name != default]
    ours = by_name[default]
    chances = [corrected_test(rival.errors, ours.errors, ours.folds) for rival in rivals]
    better = [rival for rival, chance in zip(rivals, holm(chances)) if chance < level]
    return min([*better, ours], key=lambda score: float(np.nanmean(score.errors))).name


def corrected_test(errors: Array, rival_errors: Array, folds: Folds) -> float:
    """One-sided chance of so much less error than the rival by luck (Nadeau and Bengio 2003).

    Means over K folds differ by d_k; their variance is raised by n_test / n_train because the
    training sets overlap: t = mean(d) / sqrt((1/K + n_test/n_train) var(d)), K - 1 degrees.
    """
    differences = errors - rival_errors
    means = [
        float(np.mean(part))
        for fold in np.unique(folds)
        if len(part := _known(differences[folds == fold]))
    ]
    count = len(means)
    if count < 2:
        return 1.0
    mean, sd = float(np.mean(means)), float(np.std(means, ddof=1))
    if sd == 0:
        return 0.0 if mean < 0 else 1.0
    statistic = mean / (sd * np.sqrt(1 / count + 1 / (count - 1)))
    return float(t.cdf(statistic, count - 1))


def holm(chances: Sequence[float]) -> list[float]:
    """Holm's adjusted chances of several tests.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    adjusted, largest = [1.0] * len(chances), 0.0
    for rank, index in enumerate(np.argsort(chances).tolist()):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = largest
    return adjusted


def ceiling(values: Array, sigma_int: float) -> float:
    """The correlation that a perfect law would reach: sqrt(1 - sigma_int^2 / var y).

    >>> round(ceiling(np.array([0.0, 1.0, 2.0]), 0.5), 3)
    0.866
    """
    variance = float(np.nanvar(values, ddof=1))
    return float(np.sqrt(max(0.0, 1.0 - sigma_int**2 / variance))) if variance > 0 else 0.0


def objective_values(objective: Objective, losses: Array, reference: Array) -> Array:
    """The objective (n,) of measured losses (n, m); NaN where one that it needs is missing."""
    return np.asarray(objective.value(losses, reference), dtype=np.float64)


def predicted_values(objective: Objective, predicted: Array, reference: Array) -> Array:
    """The objective (n,) of predictions (n, m), which a weak law may put below zero: cut there."""
    return objective_values(objective, objective.cut(predicted, reference), reference)


def reference_losses(table: Table, law: Law, row: Array) -> Array:
    """Losses (m,) of the reference mixture: the mean of its replicates, else what the law says."""
    predicted = law.predict(row[None])[0]
    near = np.flatnonzero(np.abs(table.weights - row).max(axis=1) < _SAME)
    known = np.isfinite(table.losses[near])
    sums = np.where(known, table.losses[near], 0.0).sum(axis=0)
    return np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), predicted)


def _scored(
    name: str,
    table: Table,
    objectives: Mapping[str, Objective],
    reference: Array,
    folds: Folds,
    done: Callable[[], None],
    beside: Table | None,
) -> LawScore:
    started = time.process_time()
    predicted = cross_validate(make_law(name), table, folds, done, beside)
    seconds = time.process_time() - started
    actual = {key: objective_values(o, table.losses, reference) for key, o in objectives.items()}
    guessed = {key: predicted_values(o, predicted, reference) for key, o in objectives.items()}
    pairs = [(actual[key], guessed[key]) for key in objectives] or list(
        zip(table.losses.T, predicted.T)
    )
    added = np.array([is_searched(origin) for origin in table.origins])
    planned = ~added
    return LawScore(
        name=name,
        metrics=tuple(quality(a[planned], p[planned]) for a, p in zip(table.losses.T, predicted.T)),
        objectives={key: quality(actual[key][planned], guessed[key][planned]) for key in actual},
        searched={key: quality(actual[key][added], guessed[key][added]) for key in actual},
        predicted=predicted,
        errors=np.where(planned, _standard_errors(pairs), np.nan),
        folds=folds,
        seconds=seconds,
    )


def _away(beside: Table, held: Array) -> Table:
    """The runs whose mixture is not near one that is held out (k, width)."""
    nearest = np.array([np.abs(held - row).sum(axis=1).min() for row in beside.weights])
    return beside.select(nearest >= NEAR)


def _standard_errors(pairs: Sequence[tuple[Array, Array]]) -> Array:
    """Squared errors (n,), each pair in units of its variance, then the mean over pairs."""
    parts = []
    for actual, predicted in pairs:
        variance = np.nanvar(actual)
        parts.append((actual - predicted) ** 2 / (variance if variance > 0 else 1.0))
    stacked = np.stack(parts)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _near_groups(weights: Array) -> NDArray[np.int64]:
    """(n,) numbers that mixtures share when all of them lie within NEAR of each other.

    Complete linkage: chains of near mixtures would join everything where domains are few.
    """
    if len(weights) < 2:
        return np.zeros(len(weights), dtype=np.int64)
    tree = linkage(weights, method="complete", metric="cityblock")
    return fcluster(tree, t=NEAR, criterion="distance").astype(np.int64)


def _spearman(a: Array, b: Array) -> float:
    ranks_a, ranks_b = rankdata(a), rankdata(b)
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def _known(values: Array) -> Array:
    return values[np.isfinite(values)]
