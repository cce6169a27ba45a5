"""WarmStart: what earlier studies say of mixtures, as a trend that a search adds its residual to.

    y(w) = a + sum_s b_s f_s(w) + c r(w) + residual(w)
f_s is the effective-data law of the objective of study s, asked at the shares of the domains that
it had, renormalised; r(w) = sum_j w_j max(0, epochs_j - 1) is what is read again. Given few runs of
the new study, b_s stays near 1 / (number of studies), c near 0 and above: priors of a ridge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError, MixoptError
from mixopt.laws.edl import EDL
from mixopt.noise import remove_block_effects

if TYPE_CHECKING:
    from mixopt.designs.search import Known
    from mixopt.space import Space

Array = NDArray[np.float64]
Trend = Callable[[Array], Array]
"""Rows (k, width) -> the objective (k,) that is expected before any residual."""

_LEAST_SHARED = 2
_SHARED_SD = 0.5
"""sd of b around its prior mean."""
_REPEATED_SD = 0.5
"""sd of c, by the spread of the objective."""
_RESIDUAL = 0.5
"""sd of a run around the trend, by the spread of the objective."""


@dataclass(frozen=True, eq=False)
class Response:
    """The objective of one earlier study as a law of the domains that both studies have."""

    names: tuple[str, ...]
    law: EDL

    def at(self, space: Space, rows: Array) -> Array:
        """What the study expects of rows (k, width), (k,)."""
        shares = space.mean_shares(rows)[:, [space.names.index(name) for name in self.names]]
        total = shares.sum(axis=1, keepdims=True)
        even = np.full(shares.shape, 1.0 / shares.shape[1])
        inside = np.where(total > 0, shares / np.maximum(total, 1e-300), even)
        return self.law.predict(inside)[:, 0]


@dataclass(frozen=True, eq=False)
class WarmStart:
    """Responses of earlier studies."""

    responses: tuple[Response, ...]

    @classmethod
    def of(cls, space: Space, studies: Sequence[tuple[Space, Known]]) -> WarmStart:
        """From the spaces and runs of earlier studies, for a new space.

        Raises DataError for a study that shares fewer than two domains with it.
        """
        return cls(tuple(_response(space, old, known) for old, known in studies))

    def trend(self, space: Space, known: Known) -> Trend:
        """The trend with coefficients by the runs of the new study and the priors."""
        features = self._features(space, known.table.weights)
        spread = float(known.values.std()) or 1.0
        count = len(self.responses)
        centre = np.r_[np.full(count, 1.0 / count), 0.0]
        sd = np.r_[np.full(count, _SHARED_SD), _REPEATED_SD * spread]
        middle = features.mean(axis=0)
        away = known.values - known.values.mean() - (features - middle) @ centre
        scaled = (features - middle) / (_RESIDUAL * spread)
        precision = scaled.T @ scaled + np.diag(sd**-2.0)
        moved = np.linalg.solve(precision, scaled.T @ away / (_RESIDUAL * spread))
        slope = centre + moved
        slope[-1] = max(slope[-1], 0.0)
        level = float(known.values.mean() - middle @ slope)

        def trend(rows: Array) -> Array:
            return level + self._features(space, rows) @ slope

        return trend

    def _features(self, space: Space, rows: Array) -> Array:
        """(k, studies + 1): what each study expects, and what is read again."""
        told = [response.at(space, rows) for response in self.responses]
        again = np.nan_to_num(np.maximum(space.epochs(rows) - 1.0, 0.0), nan=0.0, posinf=0.0)
        return np.column_stack([*told, (space.mean_shares(rows) * again).sum(axis=1)])


def read_warm(
    space: Space, folders: Sequence[str | Path], objective: str | None = None
) -> WarmStart:
    """From the folders of earlier studies, by their objectives of that name or their first.

    Raises DataError for one without a finished run or with too few of the domains.
    """
    return WarmStart(tuple(_read(space, folder, objective) for folder in folders))


def _read(space: Space, folder: str | Path, objective: str | None) -> Response:
    """The response of one folder; what is wrong with it is said with its name."""
    try:
        return _response(space, *_study(folder, objective))
    except MixoptError as error:
        raise DataError(f"earlier study {folder}: {error}") from error


def _study(folder: str | Path, objective: str | None) -> tuple[Space, Known]:
    """The space of a folder and its runs, by its objective of that name or its first."""
    from mixopt.designs.search import measured
    from mixopt.experiment import Experiment
    from mixopt.problem import Problem

    exp = Experiment(folder)
    table = remove_block_effects(exp.table().cohort())
    goals = exp.objectives(table)
    goal = goals[objective] if objective in goals else next(iter(goals.values()))
    known = measured(Problem(exp.space, table, objective=goal))
    if known is None:
        raise DataError(f"no finished run measured the objective {goal.name!r}: leave it out")
    return exp.space, known


def _response(space: Space, old: Space, known: Known) -> Response:
    names = tuple(name for name in old.names if name in space.names)
    if len(names) < _LEAST_SHARED:
        raise DataError(
            f"expected an earlier study that shares {_LEAST_SHARED} domains or more, got "
            f"{len(names)} of {', '.join(old.names)}: leave it out"
        )
    shares = old.mean_shares(known.table.weights)[:, [old.names.index(name) for name in names]]
    total = shares.sum(axis=1)
    rows = total > 0.1  # where the shared domains are next to nothing, they explain nothing
    law = EDL().fit(shares[rows] / total[rows, None], known.values[rows, None])
    return Response(names, law)
