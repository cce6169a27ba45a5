"""sample: plan the next runs - a swarm that covers the space, or what a search wants to know.

A swarm is design points in blocks, anchors that measure noise, and baselines. Runs that a search
chose are of one block, because they are compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.baselines import baselines
from mixopt.designs import make_design
from mixopt.designs.base import Plan
from mixopt.designs.blocks import PlannedRun, plan_swarm
from mixopt.designs.branches import branched
from mixopt.early import with_early
from mixopt.errors import ConfigError, DataError, nearest
from mixopt.fidelity import Fidelity, Flops, fidelities_of
from mixopt.noise import remove_block_effects
from mixopt.problem import Problem
from mixopt.runs import SEARCH, VERIFY, Run, is_apart
from mixopt.table import row_of
from mixopt.warm_start import read_warm

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

CAP_WIDENING = 2.0
"""Swarm points may reach twice a cap, so that the cap lies inside the sampled region."""

COVERING = ("dirichlet", "random", "sobol", "spacefill")
"""Designs that do not look at the runs."""
WARMED = ("auto", "bo")
"""Designs that start from an earlier study."""
OVER_FIDELITIES = ("mfbo",)
"""Designs that look at runs of every size, and plan several."""

_DECIMALS = 6


@dataclass(frozen=True)
class SampleRequest:
    """What is asked of `sample` beside the study."""

    count: int
    design: str = "spacefill"
    seed: int = 0
    """Randomness of the design, not of training."""
    objective: str | None = None
    """What a search improves; None: the first of space.toml."""
    flops: Flops | None = None
    """Models what runs cost, for designs that weigh costs; None: what runs measured."""
    warm: tuple[str, ...] = ()
    """Folders of earlier studies, for designs that start from some."""
    branches: int = 1
    """Points of a covering design that share all phases but the last."""


@dataclass(frozen=True)
class SamplePlan:
    """What `sample` planned: all runs of the plan, and how many of them are new to the table."""

    runs: tuple[Run, ...]
    new: int
    design: str
    notes: tuple[str, ...] = ()
    """What the design has to say of its plan."""

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
            "notes": list(self.notes),
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


def sample(exp: Experiment, request: SampleRequest) -> SamplePlan:
    """Plan points into the table: a swarm with anchors and baselines, or a search's next runs.

    The plan is a function of the files and the request: a swarm asked for again plans nothing
    twice, a search goes on from the results, with what is still planned taken.
    """
    plan = plan_sample(exp, request)
    known = {run.id for run in exp.runs()}
    new = [run for run in plan.runs if run.id not in known]
    if new:
        exp.append(new)
    return plan


def plan_sample(exp: Experiment, request: SampleRequest) -> SamplePlan:
    """What `sample` would plan, not yet in the table."""
    design, seed = request.design, request.seed
    known = {run.id: run for run in exp.runs()}
    round_ = next_round(list(known.values()))
    problem = design_problem(exp, design, request.objective, request.flops)
    if request.warm:
        if design not in WARMED:
            raise ConfigError(
                f"expected a design that starts from earlier studies ({', '.join(WARMED)}), "
                f"got {design!r}"
            )
        problem = replace(problem, warm=read_warm(exp.space, request.warm, request.objective))
    rng = np.random.default_rng(seed if problem.table is None else (seed, round_))
    plan = make_design(design).detailed(problem, request.count, rng)
    if plan.searched and request.branches > 1:
        raise ConfigError(
            f"branches belong to a design that covers the space ({', '.join(COVERING)}), "
            f"{design!r} chose each point by the results: leave branches out"
        )
    if plan.searched:
        runs = _searched(exp, plan, design, round_, problem.fidelities)
    else:
        points, trunk = plan.rows, np.arange(len(plan.rows))
        if request.branches > 1:
            points, trunk = branched(problem.space, points, request.branches)
        runs = _swarm(exp, points, trunk, design, round_, rng)
    merged = {run.id: known.get(run.id, run) for run in runs}
    new = sum(run_id not in known for run_id in merged)
    notes = (*_sizes(plan, problem), *_left_out(problem, known.values()), *plan.notes)
    return SamplePlan(tuple(merged.values()), new, design, notes)


def _left_out(problem: Problem, runs: Iterable[Run]) -> tuple[str, ...]:
    """How many finished runs a search did not look at, being of another proxy or size."""
    if problem.table is None or problem.fidelities:
        return ()
    seen = set(problem.table.ids)
    left = [
        run
        for run in runs
        if run.status == "finished"
        and run.schedule is not None
        and not is_apart(run.origin)
        and run.id not in seen
    ]
    return (f"{len(left)} finished runs of other proxies or sizes were left out",) if left else ()


def _sizes(plan: Plan, problem: Problem) -> tuple[str, ...]:
    """How many runs of each size a search over sizes planned."""
    if plan.fidelity is None:
        return ()
    counts = np.bincount(plan.fidelity, minlength=len(problem.fidelities))
    kinds = zip(counts.tolist(), problem.fidelities, strict=True)
    return (", ".join(f"{count} {one.name}" for count, one in kinds if one.planned),)


def design_problem(
    exp: Experiment, design: str, objective: str | None, flops: Flops | None = None
) -> Problem:
    """What a design may look at: the limits, caps twice as wide; for a search the runs as well."""
    wide = exp.space.widened(CAP_WIDENING)
    if design in COVERING:
        return Problem(wide)
    runs = [run for run in exp.runs() if not is_apart(run.origin)]
    if not any(run.status == "finished" for run in runs):
        return Problem(wide)
    try:
        everything = exp.table()
    except DataError:  # finished runs, but none that a law could read
        return Problem(wide)
    over = design in OVER_FIDELITIES
    table = everything if over else remove_block_effects(everything.cohort())
    goals = exp.objectives(table)
    if objective is not None and objective not in goals:
        raise ConfigError(f"space.toml has no objective {objective!r}, {nearest(objective, goals)}")
    pending = [
        row_of(run, exp.space)
        for run in runs
        if run.status != "finished" and run.schedule is not None
    ]
    return Problem(
        wide,
        with_early(table, runs) if over else table,
        objective=goals[objective or next(iter(goals))],
        pending=np.array(pending).reshape(-1, wide.width),
        fidelities=fidelities_of(exp.proxy_file, runs, flops) if over else (),
    )


def _swarm(
    exp: Experiment,
    points: np.ndarray,
    trunk: np.ndarray,
    design: str,
    round_: int,
    rng: np.random.Generator,
) -> list[Run]:
    """Points in blocks, those of a trunk in one, with anchors and baselines beside them."""
    count = len(points)
    rivals = baselines(exp.space, exp.user_baselines())
    extra = [item.row for name, item in rivals.items() if name != "natural"]
    extra_rows = np.array(extra).reshape(len(extra), exp.space.width)
    planned = plan_swarm(
        np.concatenate([points, extra_rows]),
        exp.space.reference,
        exp.proxy_file.seeds,
        rng,
        np.concatenate([trunk, np.arange(count, count + len(extra))]),
    )
    labels = [name for name in rivals if name != "natural"]
    return [_run(exp, item, count, design, labels, round_) for item in planned]


def _searched(
    exp: Experiment, plan: Plan, design: str, round_: int, fidelities: Sequence[Fidelity]
) -> list[Run]:
    """The points of a search as runs of one block, each at the fidelity that it was planned for."""
    seed, found = exp.proxy_file.seeds[0], []
    for i, row in enumerate(plan.rows):
        kind = None if plan.fidelity is None else fidelities[plan.fidelity[i]]
        suffix = "" if kind is None else f"-{kind.name}"
        found.append(
            planned_run(
                exp,
                row,
                seed=seed,
                proxy=exp.proxy_file.identity() if kind is None else dict(kind.proxy),
                name=f"r{round_}-{design}-{i + 1:03d}{suffix}",
                origin=VERIFY if design == "verify" else f"{SEARCH}{design}",
                seed_block=0,
                round_=round_,
            )
        )
    return found


def mixture_of(run: Run) -> dict[str, float]:
    """The mean shares of a planned run by domain; of a controlled one, those it ended with."""
    if run.schedule is None:
        return dict(run.mixture or {})
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
    """Rounds count from 0; runs that no law is fitted on stand outside them."""
    rounds = [run.round for run in known if not is_apart(run.origin)]
    return max(rounds, default=-1) + 1
