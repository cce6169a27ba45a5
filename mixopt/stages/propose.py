"""propose: mixtures for every objective, ranked among the baselines, under a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import mixopt
from mixopt.agreement import MemberOptimum, member_optima
from mixopt.baselines import Baseline, baselines, named
from mixopt.errors import ConfigError, DataError, StaleError, nearest
from mixopt.evidence import proposal_evidence
from mixopt.files import digest, read_json, write_json
from mixopt.laws.base import Law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.progress import Report, silent
from mixopt.proposers import make_proposer
from mixopt.proposers import propose as candidates_of
from mixopt.proposers.rank import Ranking, rank
from mixopt.runs import VERIFY
from mixopt.stages.fit import Fitted, fitted
from mixopt.stages.sample import next_round, planned_run
from mixopt.verdict import VERIFIED, Verdict, judge_proposal
from mixopt.verification import verification_picks

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]

DRAWS = 2000
_UNVOUCHED = {"outside_region", "laws_disagree"}
"""Reasons for which picks are planned: more runs of the old kind would not settle them."""


@dataclass(frozen=True)
class ObjectiveProposal:
    """The ranked mixtures of one objective, the verdict first."""

    verdict: Verdict
    ranking: Ranking
    optima: tuple[MemberOptimum, ...]
    """What the members of the law would propose, each by itself; none for a law without members."""
    verify: tuple[str, ...] = ()
    """Names of the runs planned because the law cannot vouch for its pick."""


@dataclass(frozen=True)
class ProposalReport:
    """What was proposed for each objective."""

    law: str
    method: str
    objectives: Mapping[str, ObjectiveProposal]

    def to_json(self) -> dict[str, Any]:
        """The report for machines; the verdict of the first objective stands on top."""
        first = next(iter(self.objectives.values()))
        return {
            "verdict": first.verdict.to_json(),
            "law": self.law,
            "method": self.method,
            "objectives": {
                name: {
                    "verdict": one.verdict.to_json(),
                    **one.ranking.to_json(),
                    "optima": [_optimum_json(optimum) for optimum in one.optima],
                    "verify": list(one.verify),
                }
                for name, one in self.objectives.items()
            },
        }


def propose(
    exp: Experiment,
    count: int,
    method: str,
    objective: str | None,
    seed: int,
    report: Report = silent,
) -> ProposalReport:
    """Propose `count` mixtures for every objective, or one, and write `proposal.json`.

    Raises StaleError when the law is behind the table.
    """
    state = fitted(exp)
    if objective is not None and objective not in state.objectives:
        hint = nearest(objective, state.objectives)
        raise ConfigError(f"space.toml has no objective {objective!r}, {hint}")
    wanted = state.objectives if objective is None else {objective: state.objectives[objective]}
    done = {
        name: _propose_one(exp, state, goal, count, method, np.random.default_rng(seed), report)
        for name, goal in wanted.items()
    }
    made = ProposalReport(state.about["law"], method, done)
    write_json(
        exp.folder / "proposal.json",
        {
            "mixopt": mixopt.__version__,
            "inputs": {**exp.inputs(), "law": _law_digest(state.about)},
            **made.to_json(),
        },
    )
    return made


def read_proposal(exp: Experiment) -> dict[str, Any]:
    """`proposal.json`, after a check that the law behind it is still the study's law.

    Raises DataError when there is none, StaleError when the law was fitted again since.
    """
    path = exp.folder / "proposal.json"
    if not path.exists():
        raise DataError(f"{exp.folder} has no proposal yet: run `mixopt propose {exp.folder}`")
    document = read_json(path)
    if document["inputs"]["law"] != _law_digest(fitted(exp).about):
        raise StaleError(
            f"the law was fitted again since {path} was written: run `mixopt propose {exp.folder}`"
        )
    return document


def _propose_one(
    exp: Experiment,
    state: Fitted,
    objective: Objective,
    count: int,
    method: str,
    rng: np.random.Generator,
    report: Report,
) -> ObjectiveProposal:
    """Candidates, their ranking among the baselines, and what may be claimed."""
    rivals = baselines(exp.space, exp.user_baselines(), objective.domains, objective.shares)
    goal = _floored(exp, state, objective, rivals)
    problem = Problem(exp.space, state.table, state.law, goal)
    rows = candidates_of(method, problem, count, rng)
    named = {f"proposal-{i}": row for i, row in enumerate(rows, start=1)}

    quick = make_proposer(method).quick()

    def pick_of(law: Law) -> Array:
        return quick.propose(replace(problem, law=law), 1, np.random.default_rng(0))[0]

    ranking = rank(problem, named, rivals, DRAWS, rng)
    best = ranking.best_baseline
    optima = member_optima(state.law, goal, state.reference, (best, rivals[best].row), pick_of, rng)
    evidence = proposal_evidence(
        state.law,
        state.table,
        goal,
        state.reference,
        state.verdicts[objective.name],
        ranking.pick.row,
        {name: item.row for name, item in rivals.items()},
        pick_of,
        optima,
        state.curves[objective.name],
        rng,
        report,
    )
    verdict = judge_proposal(evidence)
    verify = _planned(exp, problem, rng) if set(verdict.reasons) & _UNVOUCHED else ()
    return ObjectiveProposal(verdict, ranking, tuple(optima), verify)


def _planned(exp: Experiment, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
    """Plan the picks that would settle what the law cannot; names of their runs.

    Asked again of the same law, the same runs: nothing is planned twice. Without a proxy nothing
    can be planned.
    """
    if not exp.has_proxy:
        return ()
    rows = verification_picks(problem, VERIFIED, rng)
    known = exp.runs()
    ids = {run.id for run in known}
    seed, round_ = exp.proxy_file.seeds[0], next_round(known)  # one block: they are compared
    runs = [
        planned_run(
            exp,
            row,
            seed=seed,
            proxy=exp.proxy_file.identity(),
            name=f"verify-{round_}-{i + 1}",
            origin=VERIFY,
            seed_block=0,
            round_=round_,
        )
        for i, row in enumerate(rows)
    ]
    new = [run for run in runs if run.id not in ids]
    if new:
        exp.append(new)
    names = {run.id: run.name for run in [*known, *new]}
    return tuple(names[run.id] for run in runs)


def _floored(
    exp: Experiment, state: Fitted, objective: Objective, rivals: Mapping[str, Baseline]
) -> Objective:
    """The objective with its floors as numbers: no metric worse than a baseline by more."""
    spec = exp.space_file.objective[objective.name].floor
    if spec is None:
        return objective
    row = named(rivals, spec.against).row
    return objective.floored(state.law.predict(row[None])[0], spec.percent)


def _optimum_json(optimum: MemberOptimum) -> dict[str, Any]:
    return {**asdict(optimum), "row": optimum.row.tolist()}


def _law_digest(about: Mapping[str, Any]) -> str:
    return digest({"table": about["table"], "law": about["law"], "arrays": about["arrays"]})
