"""confirm: the proposals against every baseline one size up, on paired seeds and test text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
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
from mixopt.shown import Section, Shown, named_or_first
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

LEAST_SEEDS = 3
DEFAULT_SEEDS = 5
"""Where the noise of a run is not known, power asks for nothing."""


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
    judged: tuple[tuple[int, ...], ...] = ()
    """The sets of complete seeds under which these arms were judged so far, the last one now."""


@dataclass(frozen=True, repr=False)
class ConfirmReport(Shown):
    """What the confirming runs say of each objective."""

    objectives: Mapping[str, ObjectiveConfirmation]

    def frame(self, objective: str | None = None) -> pd.DataFrame:
        """Each proposal against each rival, of one objective; default: the first.

        Raises DataError for an objective that was not judged.
        """
        return named_or_first(self.objectives, objective).result.frame()

    def sections(self) -> Iterator[Section]:
        """Of each objective the verdict, and its proposals against their rivals."""
        for name, one in self.objectives.items():
            yield Section(f"{name}: {one.verdict.sentence()}", one.result.told())

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "objectives": {
                name: {
                    "verdict": one.verdict.to_json(),
                    "text": one.text,
                    "judged": [list(seeds) for seeds in one.judged],
                    **one.result.to_json(),
                }
                for name, one in self.objectives.items()
            }
        }


def plan_confirm(exp: Experiment) -> ConfirmPlan:
    """Fix the arms in `arms.json` and plan a run for each mixture and seed; asked again, the same.

    Raises StaleError when the proposal is behind the law and its arms are not fixed yet.
    """
    return _planned(exp, _proposal(exp))


def _proposal(exp: Experiment) -> dict[str, Any]:
    """`proposal.json`; that of an older law where its arms are fixed: they stand as they are."""
    arms, path = exp.folder / ARMS, exp.folder / "proposal.json"
    if arms.exists() and path.exists() and read_json(arms)["proposal"] == file_digest(path):
        written = read_json(path)
        if {**exp.inputs(), "law": None} == {**written["inputs"], "law": None}:
            return written
    return read_proposal(exp)


def _planned(exp: Experiment, proposal: Mapping[str, Any]) -> ConfirmPlan:
    arms, seeds = _fixed(exp, proposal)
    wanted: dict[str, Run] = {}
    for seed in seeds:
        for arm in (arm for own in arms.values() for arm in own):
            run = arm_run(exp, arm, seed)
            wanted.setdefault(run.id, run)  # objectives share the baselines' runs
    known = {run.id: run for run in exp.runs()}
    new = [run for run in wanted.values() if run.id not in known]
    if new:
        exp.append(new)
    return ConfirmPlan(
        arms=arms,
        seeds=seeds,
        blocks={
            name: _blocks(exp, own, proposal["objectives"][name], LEAST_SEEDS)
            for name, own in arms.items()
        },
        runs=tuple(known.get(run.id, run) for run in wanted.values()),
        new=len(new),
    )


def judge_confirm(exp: Experiment) -> ConfirmReport:
    """Compare the trained arms for every objective, and write `confirmation.json`.

    Raises DataError when fewer than two seeds are finished for every arm.
    """
    proposal = _proposal(exp)
    plan, before = _planned(exp, proposal), read_confirmation(exp)
    told = {} if before is None else before["objectives"]
    done = {
        name: _judge_one(
            exp, name, plan, proposal["objectives"][name], told.get(name, {}).get("judged", [])
        )
        for name in plan.arms
    }
    report = ConfirmReport(done)
    document = {
        "mixopt": mixopt.__version__,
        "arms": file_digest(exp.folder / ARMS),
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


def _fixed(
    exp: Experiment, proposal: Mapping[str, Any]
) -> tuple[dict[str, tuple[Arm, ...]], tuple[int, ...]]:
    """The arms by objective and the seeds, from `arms.json`, which is written once for a proposal.

    Seeds that `proxy.toml` lists may grow later; those that power asks for stand in `arms.json`.
    """
    path = exp.folder / ARMS
    made_from = file_digest(exp.folder / "proposal.json")
    if not path.exists() or read_json(path)["proposal"] != made_from:
        arms = {name: _arms(exp, name, told) for name, told in proposal["objectives"].items()}
        told = {name: [arm.to_json() for arm in own] for name, own in arms.items()}
        seeds = _powerful_seeds(exp, arms, proposal) if exp.proxy_file.confirm.by_power else None
        write_json(path, {"proposal": made_from, "objectives": told, "seeds": seeds})
    written = read_json(path)
    by_power = written.get("seeds") if exp.proxy_file.confirm.by_power else None
    seeds = tuple(by_power or exp.proxy_file.confirm.seeds)
    objectives = written["objectives"].items()
    return {name: tuple(Arm.from_json(arm) for arm in own) for name, own in objectives}, seeds


def _powerful_seeds(
    exp: Experiment, arms: Mapping[str, Sequence[Arm]], proposal: Mapping[str, Any]
) -> list[int]:
    """As many seeds as the objective that needs most asks for: the file's, then those after."""
    needed = [
        _blocks(exp, own, proposal["objectives"][name], LEAST_SEEDS) for name, own in arms.items()
    ]
    count = max(DEFAULT_SEEDS if one.power is None else one.count for one in needed)
    listed = exp.proxy_file.confirm.seeds
    return [*listed, *range(max(listed) + 1, max(listed) + 1 + count)][:count]


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


def _blocks(exp: Experiment, arms: Sequence[Arm], told: Mapping[str, Any], least: int) -> Blocks:
    """How many seeds would do, by the predicted gain and the noise of the swarm's runs."""
    law = read_json(exp.folder / "law.json")
    noise = law["report"]["objectives"][told["objective"]]["noise"]
    pick = next(entry for entry in told["entries"] if entry["role"] == "proposal")
    gain = pick["gains"][told["best_baseline"]]["mean"]
    return blocks_needed(gain, noise, arms, least=least)


def arm_run(exp: Experiment, arm: Arm, seed: int) -> Run:
    """The run one size up of an arm under a training seed, planned or not."""
    run = planned_run(
        exp,
        exp.space.schedule_row(arm.schedule),
        seed=seed,
        proxy=exp.proxy_file.confirm_identity(),
        name=f"confirm-{arm.name.replace(' ', '-')}-s{seed}",
        origin=CONFIRM,
        seed_block=seed,
        round_=0,
    )
    return replace(run, scale=_scale(exp))


def _scale(exp: Experiment) -> tuple[float, float, float] | None:
    """The scale of a confirming run that is trained elsewhere; None where nobody says."""
    spec, proxy = exp.proxy_file.confirm, exp.proxy_file
    resized = spec.preset is not None or bool(spec.sizes)
    sizes = spec.scale or (None if resized else proxy.scale)
    return None if sizes is None else (*sizes, float(spec.tokens or proxy.tokens))


def _looks(
    judged: Sequence[Sequence[int]], seeds: Sequence[int], values: Array
) -> tuple[tuple[int, ...], ...]:
    """The sets of complete seeds judged so far with this one: the same set again is no new look."""
    now = tuple(seed for seed, column in zip(seeds, values.T) if np.isfinite(column).all())
    before = tuple(tuple(one) for one in judged if tuple(one) != now)
    return (*before, now)


class Measured(NamedTuple):
    """What the runs of an objective's arms scored."""

    values: Array
    """(A, S) objective of each arm and seed, NaN where a run is missing or failed."""
    documents: Array | None
    """(draws, A, S) on evaluation documents drawn anew; None where their losses are not known."""
    text: str
    """`test`, or `validation` where runs were not scored on test text."""
    parameters: float | None
    """Of the models that were trained, None where nobody says."""


def measured(
    exp: Experiment, name: str, arms: Sequence[Arm], cells: Sequence[Sequence[Run | None]]
) -> Measured:
    """The objective called `name` of the runs `cells` by arm and seed, of test text if scored.

    Raises DataError where no run of the natural mixture, the reference, is finished.
    """
    finished = [run for row in cells for run in row if run is not None and run.status == "finished"]
    if not finished:
        raise DataError("no run of these arms is finished: train what is planned")
    table = join(finished, exp.space, _metrics(finished), exp.directions)
    objective, text = _objective(exp, name, table)
    reference = _reference(arms, cells, table)
    return Measured(
        values=_values(objective, cells, table, reference),
        documents=resampled_values(
            objective, reference, cells, exp.folder / "evaluations", np.random.default_rng(0)
        ),
        text=text,
        parameters=proxy_parameters(table.scales[0]),
    )


def _judge_one(
    exp: Experiment,
    name: str,
    plan: ConfirmPlan,
    told: Mapping[str, Any],
    judged: Sequence[Sequence[int]],
) -> ObjectiveConfirmation:
    """The arms of one objective, judged on test text where it was scored."""
    arms, by_id = plan.arms[name], {run.id: run for run in plan.runs}
    cells = [[by_id[arm_run(exp, arm, seed).id] for seed in plan.seeds] for arm in arms]
    found = measured(exp, name, arms, cells)
    looks = _looks(judged, plan.seeds, found.values)
    result = judge(
        found.values,
        arms,
        predicted=_predicted(arms, told),
        documents=found.documents,
        looks=len(looks),
    )
    proposal = result.proposals[0]
    evidence = ConfirmationEvidence(
        rivals=tuple(
            Rival(one.rival, one.difference, one.upper) for one in result.against(proposal)
        ),
        seeds=result.blocks,
        parameters=found.parameters,
    )
    return ObjectiveConfirmation(judge_confirmation(evidence), result, found.text, looks)


def _metrics(finished: Sequence[Run]) -> list[str] | None:
    """Every test metric and task that was measured, or None for the usual ones without test text.

    Tasks have no test text of their own: their items are the same as in the swarm.
    """
    measured = {name for run in finished for name in run.metrics}
    tests = {name for name in measured if name.partition("/")[0].endswith("@test")}
    tasks = {name for name in measured if name.startswith("task/")}
    return sorted(tests | tasks) if tests else None


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
