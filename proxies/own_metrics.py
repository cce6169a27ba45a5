"""What a study measures of its runs beside their domains: tasks, and the user's own functions."""

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from proxies.config import TrainConfig
from proxies.data import Data
from proxies.model import Weights
from proxies.plugins import OwnMetric
from proxies.row_nats import row_nats
from proxies.scorer import Scorer, Told, measure_own
from proxies.tasks import Task, TaskWindows, fit_task


def own_metrics(
    weights: Weights,
    config: TrainConfig,
    data: Data,
    tasks: Sequence[Task],
    functions: Sequence[OwnMetric],
    alive: Sequence[bool],
) -> list[Told]:
    """`task/NAME` of P stacked proxies, and marks; nothing is told of those not alive."""
    scored = _tasks(weights, config, data, tasks) if tasks and any(alive) else []
    found = []
    for p, lives in enumerate(alive):
        if not lives:
            found.append(Told({}, ()))
            continue
        one = {name: weight[p : p + 1] for name, weight in weights.items()}
        values = {name: float(bpb[p]) for name, bpb, _ in scored}
        told = measure_own(functions, Scorer(one, config, data), taken=tuple(values))
        finite = {name: value for name, value in values.items() if np.isfinite(value)}
        marks = [mark for _, _, mark in scored if mark]
        marks += [f"not_a_number:{name}" for name in values if name not in finite]
        found.append(Told(finite | told.metrics, (*marks, *told.marks)))
    return found


def score_task(weights: Weights, config: TrainConfig, windows: TaskWindows) -> NDArray[np.float64]:
    """Bits per byte (P,) of the completions under P stacked proxies; NaN where one has no number.

    A ratio of sums over the items, so that a long completion counts by its length.
    """
    nats = row_nats(weights, config, windows.rows)
    totals = [own[:, -count:].sum(1) for own, count in zip(nats, windows.scored)]
    return np.sum(totals, axis=0) / (log(2.0) * float(windows.bytes.sum()))


def _tasks(
    weights: Weights, config: TrainConfig, data: Data, tasks: Sequence[Task]
) -> list[tuple[str, NDArray[np.float64], str]]:
    """(metric, bits per byte (P,), mark or nothing) of each task."""
    found = []
    for task in tasks:
        windows = fit_task(task, config.sizes.context, data.token_bytes)
        mark = f"task_cut:{task.name}={windows.cut}" if windows.cut else ""
        found.append((f"task/{task.name}", score_task(weights, config, windows), mark))
    return found
