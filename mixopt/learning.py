"""The learning curve of a law, err^2 = a + b n^-c, and how many more runs a target would take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import Law
from mixopt.progress import Report, silent
from mixopt.score import Folds, predict_held
from mixopt.table import Table

Array = NDArray[np.float64]

FRACTIONS = (0.5, 0.7, 1.0)
"""Of the runs outside a fold."""
_EXPONENTS = np.exp(np.linspace(np.log(0.25), np.log(4.0), 21))
_EXPONENT_SPREAD = 0.5
"""c is about 1, the rate of a law that is right, within exp(.5): three sizes tell little."""
_LEAST_SPREAD = 1e-4
_RESAMPLES = 200
_MOST = 100
"""More than this many times the runs at hand is called out of reach."""


class More(NamedTuple):
    """Runs still needed, with a 90 % interval; None: out of reach."""

    runs: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class LearningCurve:
    """err^2(n) = a + b n^-c of one value, fitted to mean squared errors at a few sizes."""

    sizes: Array = field(repr=False)
    """(s,) training runs."""
    by_fold: Array = field(repr=False)
    """(s, folds) mean squared out-of-fold error."""
    floor: float
    """Noise variance of the runs that judge, the least that a can be."""
    a: float
    b: float
    c: float

    def at(self, runs: float) -> float:
        """Squared error expected of a law on so many runs."""
        return self.a + self.b * runs**-self.c

    def more(self, runs: int, shrink: float, rng: np.random.Generator) -> More:
        """Runs beyond `runs` that would bring the law's own squared error to `shrink` times it.

        Its own: less the noise of the runs that judge it. The interval resamples the folds.
        """
        count = self.by_fold.shape[1]
        picks = rng.integers(count, size=(_RESAMPLES, count))
        fits = _fit(self.sizes, self.by_fold[:, picks].transpose(1, 0, 2), self.floor)
        needs = np.array([_needed(a, b, c, self.floor, runs, shrink) for a, b, c in fits.tolist()])
        low, high = np.quantile(needs, [0.05, 0.95], method="inverted_cdf")
        best = _needed(self.a, self.b, self.c, self.floor, runs, shrink)
        return More(_count(best), _count(min(low, best)), _count(max(high, best)))


def learning_predictions(
    law: Law,
    table: Table,
    folds: Folds,
    rng: np.random.Generator,
    known: Array | None = None,
    fractions: Sequence[float] = FRACTIONS,
    report: Report = silent,
) -> tuple[Array, Array]:
    """Out-of-fold predictions (s, n, m) of laws fitted to parts of the other folds, and sizes (s,).

    Parts are nested, so that a size differs from the next by its runs alone. `known` (n, m): the
    predictions of laws fitted to all of the other folds, where they were made before.
    """
    labels = np.unique(folds)
    predicted = np.full((len(fractions), *table.losses.shape), np.nan)
    sizes = np.zeros((len(fractions), len(labels)))
    for f, fold in enumerate(labels):
        others = rng.permutation(np.flatnonzero(folds != fold))
        held = folds == fold
        report("learning curve", f, len(labels))
        for s, fraction in enumerate(fractions):
            part = np.sort(others[: max(2, round(fraction * len(others)))])
            sizes[s, f] = len(part)
            if known is not None and len(part) == len(others):
                predicted[s, held] = known[held]
            else:
                predicted[s, held] = predict_held(
                    law, table.select(part), table.weights[held], table.scales[held]
                )
    report("learning curve", len(labels), len(labels))
    return sizes.mean(axis=1), predicted


def learning_curve(sizes: Array, squared: Array, folds: Folds, floor: float) -> LearningCurve:
    """The curve of squared out-of-fold errors (s, n) at training sizes (s,).

    `floor` is the noise variance in those errors, 0 where it is not known.
    """
    labels = [fold for fold in np.unique(folds) if np.isfinite(squared[:, folds == fold]).any()]
    by_fold = np.stack([np.nanmean(squared[:, folds == fold], axis=1) for fold in labels], axis=1)
    floor = min(floor, float(by_fold.mean(axis=1).min()))
    a, b, c = _fit(sizes, by_fold[None], floor)[0].tolist()
    return LearningCurve(sizes, by_fold, floor, a, b, c)


def _fit(sizes: Array, by_fold: Array, floor: float) -> Array:
    """(a, b, c) of r curves (r, s, folds): (r, 3), by relative least squares with a >= floor,
    b >= 0, over a grid of c that prefers 1.
    """
    errors = by_fold.mean(axis=2)
    scale = np.maximum(errors.mean(axis=1), np.finfo(float).tiny)
    spread = by_fold.mean(axis=1).var(axis=1) / by_fold.shape[2] / scale**2
    fits = []
    for c in _EXPONENTS:
        a, b = _line(sizes**-c, np.maximum(errors - floor, 0.0))
        misfit = (floor + a[:, None] + b[:, None] * sizes**-c - errors) ** 2
        relative = misfit.mean(axis=1) / scale**2 / np.maximum(spread, _LEAST_SPREAD)
        loss = relative + (np.log(c) / _EXPONENT_SPREAD) ** 2
        fits.append(np.column_stack([loss, floor + a, b, np.full(len(a), c)]))
    stacked = np.stack(fits)
    best = stacked[:, :, 0].argmin(axis=0)
    return stacked[best, np.arange(len(errors)), 1:]


def _line(x: Array, y: Array) -> tuple[Array, Array]:
    """Least squares y = a + b x of rows y (r, s) with a, b >= 0: (r,) each."""
    apart = x - x.mean()
    b = (y @ apart) / max(float(apart @ apart), np.finfo(float).tiny)
    a = y.mean(axis=1) - b * x.mean()
    through_zero = y @ x / (x @ x)
    slope = np.where(b < 0, 0.0, np.where(a < 0, through_zero, b))
    start = np.where(b < 0, y.mean(axis=1), np.maximum(a, 0.0))
    return start, slope


def _needed(a: float, b: float, c: float, floor: float, runs: int, shrink: float) -> float:
    """Runs beyond `runs`; infinite where the curve flattens before."""
    own = a + b * runs**-c - floor
    room = floor + shrink * own - a
    if shrink >= 1 or own <= 0:
        return 0.0
    if room <= 0:
        return np.inf
    total = (b / room) ** (1 / c)
    return max(0.0, float(np.ceil(total - runs))) if total < _MOST * runs else np.inf


def _count(value: float) -> int | None:
    return int(value) if np.isfinite(value) else None
