"""predict: the law's word on mixtures that a user brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.exchange.tables import imported_runs
from mixopt.stages.fit import fitted
from mixopt.table import row_of

if TYPE_CHECKING:
    from mixopt.experiment import Experiment


@dataclass(frozen=True)
class Predictions:
    """Metrics of mixtures by name, in the metrics' own direction."""

    law: str
    metrics: tuple[str, ...]
    mixtures: Mapping[str, Mapping[str, tuple[float, float]]]
    """mixture -> metric -> (mean, sd of the mean)."""
    outside: Mapping[str, str]
    """Mixtures outside the limits, and which."""

    def to_json(self) -> dict[str, Any]:
        """The predictions for machines."""
        told = {
            name: {metric: {"mean": mean, "sd": sd} for metric, (mean, sd) in values.items()}
            for name, values in self.mixtures.items()
        }
        return {"law": self.law, "mixtures": told, "outside": dict(self.outside)}


def predict_file(exp: Experiment, path: Path) -> Predictions:
    """Predict the metrics of every line of a CSV (id and a column of shares for each domain)."""
    state = fitted(exp)
    asked = imported_runs(path, known=exp.space.names).runs
    rows = np.stack([row_of(run, exp.space) for run in asked])
    mean, sd = state.law.predict(rows, return_std=True)
    mean = mean * state.table.directions
    wrong = {run.name: exp.space.violations(row) for run, row in zip(asked, rows)}
    return Predictions(
        law=state.about["law"],
        metrics=state.table.metrics,
        mixtures={
            run.name: {
                metric: (float(mean[i, j]), float(sd[i, j]))
                for j, metric in enumerate(state.table.metrics)
            }
            for i, run in enumerate(asked)
        },
        outside={name: "; ".join(found) for name, found in wrong.items() if found},
    )
