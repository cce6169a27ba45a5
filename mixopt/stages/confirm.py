"""confirm: the proposals against every baseline one size up, on paired seeds and test text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import mixopt
from mixopt.baselines import Baseline
from mixopt.confirm import Arm, Blocks, Confirmation, blocks_needed, judge, plan_arms
from mixopt.documents import resampled_values
from mixopt.errors import DataError
from mixopt.files import file_digest, read_json, write_json
from mixopt.objective import Objective
from mixopt.proposers.rank import BEST_RUN
from mixopt.runs import CONFIRM, Run
from mixopt.stages.propose import read_proposal
from mixopt.stages.sample import planned_run
from mixopt.table import Table, join
from mixopt.verdict import (
    ConfirmationEvidence,
    Rival,
    Verdict,
    judge_confirmation,
    proxy_parameters,
)

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]

ARMS = "arms.json"
RESULT = "confirmation.json"


@dataclass(frozen=True)
class ConfirmPlan:
    """The arms of each objective, fixed before training, and the runs that they share."""

    arms: Mapping[str, tuple[Arm, ...]]
    seeds: tuple[int, ...]
    blocks: Mapping[str, Blocks]
    """Seeds that would show half the predicted gain in 4 of 5 cases."""
    runs: tuple[Run, ...]
    new: int

    def to_json(self) -> dict[str, Any]:
        """The plan for machines."""
        return {
            "arms": {name: [arm.to_json() for arm in arms] for name, arms in self.arms.items()},
            "seeds": list(self.seeds),
            "blocks_needed": {
                name: {"blocks": one.count, "power": one.power} for name, one in self.blocks.items()
            },
            "runs": len(self.runs),
            "new": self.new,
        }


@dataclass(frozen=True)
class ObjectiveConfirmation:
    """One objective's arms compared."""

    verdict: Verdict
    result: Confirmation
    text: str
    """`test`, or `validation` where runs were not scored on test text."""


@dataclass(frozen=True)
class ConfirmReport:
    """What the confirming runs say of each objective."""

    objectives: Mapping[str, ObjectiveConfirmation]

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "objectives": {
                name: {"verdict": one.verdict.to_json(), "text": one.text, **one.result.to_json()}
                for name, one in self.objectives.items()
            }
        }


def plan_confirm(exp: Experiment) -> ConfirmPlan:
    """Fix the arms in `arms.json` and plan a run for each mixture and seed; asked again, the same.

    Raises StaleError when the proposal is behind the law.
    """
    proposal = read_proposal(exp)
    arms = _fixed_arms(exp, proposal)
    seeds = tuple(exp.proxy_file.confirm.seeds)
    wanted: dict[str, Run] = {}
    for seed in seeds:
        for arm in (arm for own in arms.values() for arm in own):
            run = _run(exp, arm, seed)
            wanted.setdefault(run.id, run)  # objectives share the baselines' runs
    known = {run.id: run for run in exp.runs()}
    new = [run for run in wanted.values() if run.id not in known]
    if new:
        exp.append(new)
    return ConfirmPlan(
        arms=arms,
        seeds=seeds,
        blocks={
            name: _blocks(exp, own, proposal["objectives"][name]) for name, own in arms.items()
        },
        runs=tuple(known.get(run.id, run) for run in wanted.values()),
        new=len(new),
    )


def judge_confirm(exp: Experiment) -> ConfirmReport:
    """Compare the trained arms for every objective, and write `confirmation.json`.

    Raises DataError when fewer than two seeds are finished for every arm.
    """
    plan = plan_confirm(exp)
    proposal = read_proposal(exp)
    looks = _looks(exp, plan.seeds)
    done = {
        name: _judge_one(exp, name, arms, plan.seeds, proposal["objectives"][name], len(looks))
        for name, arms in plan.arms.items()
    }
    report = ConfirmReport(done)
    document = {
        "mixopt": mixopt.__version__,
        "arms": file_digest(exp.folder / ARMS),
        "looks": looks,
        **report.to_json(),
    }
    write_json(exp.folder / RESULT, document)
    return report


def read_confirmation(exp: Experiment) -> dict[str, Any] | None:
    """`confirmation.json` where it belongs to the present proposal, else None."""
    result, arms = exp.folder / RESULT, exp.folder / ARMS
    if not result.exists() or not arms.exists():
        return None
    found = read_json(result)
    proposal = file_digest(exp.folder / "proposal.json")
    current = read_json(arms)["proposal"] == proposal and found["arms"] == file_digest(arms)
    return found if current else None


def _fixed_arms(exp: Experiment, proposal: Mapping[str, Any]) -> dict[str, tuple[Arm, ...]]:
    """The arms by objective, from `arms.json`, which is written once for a proposal."""
    path = exp.folder / ARMS
    made_from = file_digest(exp.folder / "proposal.json")
    if not path.exists() or read_json(path)["proposal"] != made_from:
        arms = {name: _arms(exp, name, told) for name, told in proposal["objectives"].items()}
        told = {name: [arm.to_json() for arm in own] for name, own in arms.items()}
        write_json(path, {"proposal": made_from, "objectives": told})
    written = read_json(path)["objectives"]
    return {name: tuple(Arm.from_json(arm) for arm in own) for name, own in written.items()}


def _arms(exp: Experiment, objective: str, told: Mapping[str, Any]) -> tuple[Arm, ...]:
    """The first proposals of an objective, every baseline, and the best run seen."""
    rows = {entry["name"]: np.array(entry["row"]) for entry in told["entries"]}
    ranked = [entry["name"] for entry in told["entries"] if entry["role"] == "proposal"]
    chosen = ranked[: exp.proxy_file.confirm.proposals]
    rivals = {
        entry["name"]: Baseline(rows[entry["name"]], entry["projected"], tuple(entry["aliases"]))
        for entry in told["entries"]
        if entry["role"] == "baseline"
    }
    best = (f"best run for {objective}", rows[BEST_RUN]) if BEST_RUN in rows else None
    proposals = {f"{objective} {name}": rows[name] for name in chosen}
    return plan_arms(exp.space, proposals, rivals, best)


def _blocks(exp: Experiment, arms: Sequence[Arm], told: Mapping[str, Any]) -> Blocks:
    """How many seeds would do, by the predicted gain and the noise of the swarm's runs."""
    law = read_json(exp.folder / "law.json")
    noise = law["report"]["objectives"][told["objective"]]["noise"]
    pick = next(entry for entry in told["entries"] if entry["role"] == "proposal")
    gain = pick["gains"][told["best_baseline"]]["mean"]
    return blocks_needed(gain, noise, arms)


def _run(exp: Experiment, arm: Arm, seed: int) -> Run:
    return planned_run(
        exp,
        exp.space.schedule_row(arm.schedule),
        seed=seed,
        proxy=exp.proxy_file.confirm_identity(),
        name=f"confirm-{arm.name.replace(' ', '-')}-s{seed}",
        origin=CONFIRM,
        seed_block=seed,
        round_=0,
    )


def _looks(exp: Experiment, seeds: Sequence[int]) -> list[list[int]]:
    """The sets of seeds under which these arms were judged, this one included."""
    before = read_confirmation(exp)
    looks: list[list[int]] = [] if before is None else before["looks"]
    return looks if list(seeds) in looks else [*looks, list(seeds)]


def _judge_one(
    exp: Experiment,
    name: str,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    told: Mapping[str, Any],
    looks: int,
) -> ObjectiveConfirmation:
    """The arms of one objective, judged on test text where it was scored."""
    by_id = {run.id: run for run in exp.runs()}
    cells = [[by_id.get(_run(exp, arm, seed).id) for seed in seeds] for arm in arms]
    finished = [run for row in cells for run in row if run is not None and run.status == "finished"]
    table = join(finished, exp.space, _metrics(exp, finished), exp.space_file.metrics)
    objective, text = _objective(exp, name, table)
    reference = _reference(arms, cells, table)
    values = _values(objective, cells, table, reference)
    documents = resampled_values(
        objective, reference, cells, exp.folder / "evaluations", np.random.default_rng(0)
    )
    predicted = _predicted(arms, told)
    result = judge(values, arms, predicted=predicted, documents=documents, looks=looks)
    proposal = result.proposals[0]
    evidence = ConfirmationEvidence(
        rivals=tuple(
            Rival(one.rival, one.difference, one.upper) for one in result.against(proposal)
        ),
        seeds=result.blocks,
        parameters=proxy_parameters(table.scales[0]),
    )
    return ObjectiveConfirmation(judge_confirmation(evidence), result, text)


def _metrics(exp: Experiment, finished: Sequence[Run]) -> list[str] | None:
    """Every test metric that was measured, or None for the usual ones on validation text."""
    measured = {name for run in finished for name in run.metrics}
    return sorted(name for name in measured if name.partition("/")[0].endswith("@test")) or None


def _objective(exp: Experiment, name: str, table: Table) -> tuple[Objective, str]:
    """The objective over the columns of a table of confirming runs, and which text they are of."""
    plain = tuple(metric.replace("@test/", "/", 1) for metric in table.metrics)
    on_test = plain != table.metrics
    objective = exp.objectives_over(plain, table.losses)[name]
    return (objective.on_test() if on_test else objective), ("test" if on_test else "validation")


def _reference(arms: Sequence[Arm], cells: Sequence[Sequence[Run | None]], table: Table) -> Array:
    """Losses (m,) of the natural mixture's arm: the mean over its seeds."""
    natural = next(i for i, arm in enumerate(arms) if "natural" in arm.names)
    ids = {run.id for run in cells[natural] if run is not None}
    rows = np.array([run_id in ids for run_id in table.ids])
    if not rows.any():
        raise DataError("no run of the natural mixture is finished: train what is planned")
    return np.nanmean(table.losses[rows], axis=0)


def _values(
    objective: Objective,
    cells: Sequence[Sequence[Run | None]],
    table: Table,
    reference: Array,
) -> Array:
    """The objective of each arm and seed (A, S), NaN where a run is missing or failed."""
    rows = {run_id: i for i, run_id in enumerate(table.ids)}
    found = objective.value(table.losses, reference)
    return np.array(
        [
            [found[rows[run.id]] if run is not None and run.id in rows else np.nan for run in row]
            for row in cells
        ]
    )


def _predicted(arms: Sequence[Arm], told: Mapping[str, Any]) -> dict[str, float]:
    """What the law promised of each arm, by its name here."""
    promised = {entry["name"]: entry["objective"] for entry in told["entries"]}
    objective = told["objective"]
    labels = {f"{objective} {name}": value for name, value in promised.items()}
    labels |= {f"best run for {objective}": promised.get(BEST_RUN, np.nan)} | promised
    return {arm.name: labels[arm.name] for arm in arms if np.isfinite(labels.get(arm.name, np.nan))}
