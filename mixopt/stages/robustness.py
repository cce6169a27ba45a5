"""The robustness arm: the leading mixtures again at another, constant learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError, DataError
from mixopt.files import digest
from mixopt.laws.base import mixture_groups
from mixopt.noise import remove_block_effects
from mixopt.runs import LR_SCALE, ROBUSTNESS, Run, is_apart
from mixopt.score import objective_values
from mixopt.stages.sample import SamplePlan
from mixopt.table import Table, join, row_of

if TYPE_CHECKING:
    from mixopt.experiment import Experiment


def plan_robustness(exp: Experiment, count: int, lr_scale: float) -> SamplePlan:
    """Plan the `count` leading mixtures at `lr_scale` times the tuned rate, nothing twice.

    The best of each objective in turn; of runs that are not trained yet, in the order of their
    planning. All have the first seed: they are compared with each other. Raises DataError where no
    run of the present proxy is planned, ConfigError for a scale that is none.
    """
    if not 0 < lr_scale < np.inf:
        raise ConfigError(f"lr-scale must be a positive number, got {lr_scale}: try 0.1")
    identity = exp.proxy_file.identity()
    known = {run.id: run for run in exp.runs()}
    swarm = [
        run
        for run in known.values()
        if run.proxy == identity and not is_apart(run.origin) and run.schedule is not None
    ]
    if not swarm:
        raise DataError(
            f"no run of {exp.folder} is planned with the present proxy.toml: run `mixopt sample` "
            "without --lr-scale first"
        )
    runs = [_run(exp, run, lr_scale) for run in _leading(exp, swarm)[:count]]
    new = [run for run in runs if run.id not in known]
    if new:
        exp.append(new)
    told = tuple(known.get(run.id, run) for run in runs)
    return SamplePlan(told, len(new), f"{LR_SCALE} {lr_scale:g}")


def robustness_arms(exp: Experiment, table: Table) -> dict[float, Table]:
    """Finished runs of the arms of a cohort by their scale of the rate, with the same metrics.

    Runs that measured fewer metrics are left out.
    """
    runs = exp.runs()
    tuned = {digest(dict(run.proxy)) for run in runs if run.id in set(table.ids)}
    arms: dict[float, list[Run]] = {}
    for run in runs:
        if run.origin != ROBUSTNESS or not set(table.metrics) <= set(run.metrics):
            continue
        proxy = {key: value for key, value in run.proxy.items() if key != LR_SCALE}
        if digest(proxy) in tuned and run.data == exp.data:
            arms.setdefault(float(run.proxy[LR_SCALE]), []).append(run)
    directions = exp.space_file.metrics
    return {
        scale: join(own, exp.space, table.metrics, directions)
        for scale, own in sorted(arms.items())
    }


def _run(exp: Experiment, run: Run, lr_scale: float) -> Run:
    """The same schedule to the last digit, at the other rate."""
    return Run(
        schedule=run.schedule,
        seed=exp.proxy_file.seeds[0],
        proxy={**exp.proxy_file.identity(), LR_SCALE: lr_scale},
        data=exp.data,
        name=f"lr{lr_scale:g}-{run.name}",
        origin=ROBUSTNESS,
        round=run.round,
        seed_block=0,
        scale=run.scale,
    )


def _leading(exp: Experiment, swarm: list[Run]) -> list[Run]:
    """A run of each mixture, the best first."""
    finished = [run for run in swarm if run.status == "finished"]
    if not finished:
        rows = np.stack([row_of(run, exp.space) for run in swarm])
        _, first = np.unique(mixture_groups(rows), return_index=True)
        return [swarm[index] for index in sorted(first.tolist())]
    table = remove_block_effects(join(finished, exp.space, directions=exp.space_file.metrics))
    groups = mixture_groups(table.weights)
    middle = np.nanmean(table.losses, axis=0)
    orders = []
    for objective in exp.objectives(table).values():
        values = objective_values(objective, table.losses, middle)
        means = [np.mean(values[groups == group]) for group in range(groups.max() + 1)]
        orders.append(np.argsort(means, kind="stable").tolist())
    in_turn = dict.fromkeys(group for step in zip(*orders) for group in step)
    return [finished[int(np.argmax(groups == group))] for group in in_turn]
