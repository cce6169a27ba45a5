"""sample: plan a swarm - design points in blocks, anchors that measure noise, baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.baselines import baselines
from mixopt.designs import make_design
from mixopt.designs.blocks import PlannedRun, plan_swarm
from mixopt.problem import Problem
from mixopt.runs import CONFIRM, Run

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

CAP_WIDENING = 2.0
"""Swarm points may reach twice a cap, so that the cap lies inside the sampled region."""

_DECIMALS = 6


@dataclass(frozen=True)
class SamplePlan:
    """What `sample` planned: all runs of the plan, and how many of them are new to the table."""

    runs: tuple[Run, ...]
    new: int
    design: str

    def roles(self) -> dict[str, int]:
        """How many runs are design points, anchors and baselines."""
        counts: dict[str, int] = {}
        for run in self.runs:
            role = run.origin.partition(":")[0]
            counts[role] = counts.get(role, 0) + 1
        return counts

    @property
    def tokens(self) -> float:
        """Training tokens of all its runs."""
        return float(sum(run.proxy["tokens"] for run in self.runs))

    def to_json(self) -> dict[str, Any]:
        """The plan for machines."""
        return {
            "design": self.design,
            "new": self.new,
            "tokens": self.tokens,
            "roles": self.roles(),
            "runs": [
                {
                    "id": run.id,
                    "name": run.name,
                    "block": run.seed_block,
                    "mixture": mixture_of(run),
                }
                for run in self.runs
            ],
        }


def sample(exp: Experiment, count: int, design: str, seed: int) -> SamplePlan:
    """Plan `count` design points in blocks, with anchors and baselines beside them.

    The plan is a function of the files, `count`, `design` and `seed`: asked again, nothing is
    planned twice.
    """
    rng = np.random.default_rng(seed)
    wide = exp.space.widened(CAP_WIDENING)
    points = make_design(design).plan(Problem(wide), count, rng)
    rivals = baselines(exp.space, exp.user_baselines())
    extra = [item.row for name, item in rivals.items() if name != "natural"]
    extra_rows = np.array(extra).reshape(len(extra), exp.space.width)
    planned = plan_swarm(
        np.concatenate([points, extra_rows]), exp.space.reference, exp.proxy_file.seeds, rng
    )
    known = {run.id: run for run in exp.runs()}
    round_ = next_round(list(known.values()))
    labels = [name for name in rivals if name != "natural"]
    runs = [_run(exp, item, count, design, labels, round_) for item in planned]
    new = [run for run in runs if run.id not in known]
    if new:
        exp.append(new)
    return SamplePlan(tuple(known.get(run.id, run) for run in runs), len(new), design)


def mixture_of(run: Run) -> dict[str, float]:
    """The mean shares of a planned run by domain."""
    assert run.schedule is not None
    names = run.schedule[0][1]
    return {name: sum(part * mix[name] for part, mix in run.schedule) for name in names}


def _run(
    exp: Experiment, item: PlannedRun, count: int, design: str, labels: list[str], round_: int
) -> Run:
    """A planned run of the swarm as a line of the table."""
    if item.role == "anchor":
        name, origin = f"anchor-{item.index}", "anchor"
    elif item.index < count:
        name, origin = f"{design}-{item.index + 1:03d}", f"design:{design}"
    else:
        name = labels[item.index - count]
        origin = f"baseline:{name}"
    prefix = f"r{round_}-" if round_ else ""
    return planned_run(
        exp,
        item.row,
        seed=item.seed,
        proxy=exp.proxy_file.identity(),
        name=f"{prefix}{name}-b{item.block}",
        origin=origin,
        seed_block=item.block,
        round_=round_,
    )


def planned_run(
    exp: Experiment,
    row: np.ndarray,
    *,
    seed: int,
    proxy: dict[str, Any],
    name: str,
    origin: str,
    seed_block: int,
    round_: int,
) -> Run:
    """A run to be trained under one point of the space."""
    schedule = tuple(
        (fraction, {key: round(float(share), _DECIMALS) for key, share in mix.items()})
        for fraction, mix in exp.space.schedule(row)
    )
    sizes = exp.proxy_file.scale
    return Run(
        schedule=schedule,
        seed=seed,
        proxy=proxy,
        data=exp.data,
        name=name,
        origin=origin,
        round=round_,
        seed_block=seed_block,
        scale=None if sizes is None else (*sizes, float(proxy["tokens"])),
    )


def next_round(known: list[Run]) -> int:
    """Rounds count from 0; runs of `confirm` stand outside them."""
    rounds = [run.round for run in known if run.origin != CONFIRM]
    return max(rounds, default=-1) + 1
