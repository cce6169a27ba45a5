"""propose: mixtures for every objective, ranked among the baselines, under a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import mixopt
from mixopt.baselines import Baseline, baselines, named
from mixopt.errors import ConfigError, DataError, StaleError, nearest
from mixopt.evidence import proposal_evidence
from mixopt.files import digest, read_json, write_json
from mixopt.laws.base import Law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers import propose as candidates_of
from mixopt.proposers.rank import Ranking, rank
from mixopt.stages.fit import Fitted, fitted
from mixopt.verdict import Verdict, judge_proposal

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]

DRAWS = 2000


@dataclass(frozen=True)
class ObjectiveProposal:
    """The ranked mixtures of one objective, the verdict first."""

    verdict: Verdict
    ranking: Ranking


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
                name: {"verdict": one.verdict.to_json(), **one.ranking.to_json()}
                for name, one in self.objectives.items()
            },
        }


def propose(
    exp: Experiment, count: int, method: str, objective: str | None, seed: int
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
        name: _propose_one(exp, state, goal, count, method, np.random.default_rng(seed))
        for name, goal in wanted.items()
    }
    report = ProposalReport(state.about["law"], method, done)
    write_json(
        exp.folder / "proposal.json",
        {
            "mixopt": mixopt.__version__,
            "inputs": {**exp.inputs(), "law": _law_digest(state.about)},
            **report.to_json(),
        },
    )
    return report


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
) -> ObjectiveProposal:
    """Candidates, their ranking among the baselines, and what may be claimed."""
    rivals = baselines(exp.space, exp.user_baselines(), objective.domains, objective.shares)
    goal = _floored(exp, state, objective, rivals)
    problem = Problem(exp.space, state.table, state.law, goal)
    rows = candidates_of(method, problem, count, rng)
    named = {f"proposal-{i}": row for i, row in enumerate(rows, start=1)}

    def pick_of(law: Law) -> Array:
        return candidates_of(method, replace(problem, law=law), 1, np.random.default_rng(0))[0]

    ranking = rank(problem, named, rivals, DRAWS, rng)
    evidence = proposal_evidence(
        state.law,
        state.table,
        goal,
        state.reference,
        state.verdicts[objective.name],
        ranking.pick.row,
        {name: item.row for name, item in rivals.items()},
        pick_of,
        state.curves[objective.name],
        rng,
    )
    return ObjectiveProposal(judge_proposal(evidence), ranking)


def _floored(
    exp: Experiment, state: Fitted, objective: Objective, rivals: Mapping[str, Baseline]
) -> Objective:
    """The objective with its floors as numbers: no metric worse than a baseline by more."""
    spec = exp.space_file.objective[objective.name].floor
    if spec is None:
        return objective
    row = named(rivals, spec.against).row
    return objective.floored(state.law.predict(row[None])[0], spec.percent)


def _law_digest(about: Mapping[str, Any]) -> str:
    return digest({"table": about["table"], "law": about["law"], "arrays": about["arrays"]})
