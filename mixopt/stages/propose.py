"""propose: mixtures for every objective, ranked among the baselines, under a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import mixopt
from mixopt.agreement import MemberOptimum, member_optima
from mixopt.baselines import Baseline, baselines, named
from mixopt.config import line_of
from mixopt.errors import ConfigError, DataError, StaleError, nearest
from mixopt.evidence import proposal_evidence
from mixopt.files import digest, read_json, write_json
from mixopt.gain import Optimism, optimism, weight_intervals
from mixopt.laws.base import Law
from mixopt.objective import Objective
from mixopt.pareto import ParetoSet, pareto_set
from mixopt.problem import Problem
from mixopt.progress import Report, silent
from mixopt.proposers import make_proposer
from mixopt.proposers.base import Proposer
from mixopt.proposers.exact import certificate
from mixopt.proposers.experts import read_experts
from mixopt.proposers.goal import Goal
from mixopt.proposers.holding import Holding
from mixopt.proposers.rank import Ranking, rank
from mixopt.region import held_back, sampled_region
from mixopt.runs import VERIFY
from mixopt.shown import Section, Shown, named_or_first
from mixopt.space import Space
from mixopt.stages.fit import Fitted, asked_parameters, fitted
from mixopt.stages.sample import next_round, planned_run
from mixopt.verdict import VERIFIED, Verdict, judge_proposal
from mixopt.verification import verification_picks

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]
T = TypeVar("T")

DRAWS = 1000
_UNVOUCHED = {"outside_region", "laws_disagree"}
"""Reasons for which picks are planned: more runs of the old kind would not settle them."""


@dataclass(frozen=True)
class Request:
    """What is asked of `propose` beside the study."""

    count: int = 5
    method: str = "exact"
    objective: str | None = None
    """One of space.toml; None: all."""
    seed: int = 0
    risk: float = 0.0
    """Standard deviations of the gain that are taken off its mean, to choose."""
    outside: bool = False
    """Whether the law may be followed to where fewer than 3 runs were."""
    pareto: bool = False
    """Whether mixtures between the objectives' optima are sought."""
    experts: Path | None = None
    """A table for `mixmin`, of `mixopt.proposers.experts`."""
    phases: int | None = None
    """Most phases of a schedule, 1 for a mixture that stays; None: as many as space.toml has."""

    def proposer(self, over: Array | None = None) -> Proposer:
        """The method with its settings, a risk being that of the gain over a row (width,).

        Raises ConfigError where the method takes no risk.
        """
        return self._held(
            make_proposer(self.method, {"risk": self.risk, "over": over} if self.risk else None)
        )

    def member_proposer(self) -> Proposer:
        """A quick form of the method, for the members of a law."""
        return self._held(make_proposer(self.method).quick())

    def _held(self, proposer: Proposer) -> Proposer:
        if self.phases is None:
            return proposer
        if not proposer.needs_law:
            raise ConfigError(
                f"phases limit a method that asks the law, got {self.method!r}, whose mixture "
                "stays in every phase: leave phases out"
            )
        return Holding(proposer, self.phases)


@dataclass(frozen=True)
class ObjectiveProposal:
    """The ranked mixtures of one objective, the verdict first."""

    verdict: Verdict
    ranking: Ranking
    optima: tuple[MemberOptimum, ...]
    """What the members of the law would propose, each by itself; none for a law without members."""
    weights: Mapping[str, tuple[float, float]] | None = None
    """90 % interval of each share of the pick, over picks by refits; None where none were made."""
    held: Mapping[str, float] | None = None
    """Largest shares by domain that kept the pick where runs were; None: nothing did."""
    gap: float | None = None
    """No mixture is predicted better by more; None where that cannot be certified."""
    verify: tuple[str, ...] = ()
    """Names of the runs planned because the law cannot vouch for its pick."""

    def to_json(self) -> dict[str, Any]:
        """The proposal for machines."""
        return {
            "verdict": self.verdict.to_json(),
            **self.ranking.to_json(),
            "optima": [{**asdict(optimum), "row": optimum.row.tolist()} for optimum in self.optima],
            "weights": None
            if self.weights is None
            else {name: list(ends) for name, ends in self.weights.items()},
            "held": dict(self.held or {}),
            "gap": self.gap,
            "verify": list(self.verify),
        }


@dataclass(frozen=True, repr=False)
class ProposalReport(Shown):
    """What was proposed for each objective."""

    law: str
    method: str
    objectives: Mapping[str, ObjectiveProposal]
    pareto: ParetoSet | None = None
    """Its rows are entries of every ranking, called `pareto-1` and so on."""

    def frame(self, objective: str | None = None) -> pd.DataFrame:
        """A row for each mixture of one objective's ranking; default: the first objective's.

        Raises DataError for an objective that was not proposed for.
        """
        return named_or_first(self.objectives, objective).ranking.frame()

    def sections(self) -> Iterator[Section]:
        """Of each objective the verdict with the ranking, then the shares of its pick."""
        for name, one in self.objectives.items():
            yield Section(f"{name}: {one.verdict.sentence()}", one.ranking.told())
            pick = one.ranking.pick
            yield Section(f"{pick.name}, shares in %", pick.told(one.weights))

    def to_json(self) -> dict[str, Any]:
        """The report for machines; the verdict of the first objective stands on top."""
        first = next(iter(self.objectives.values()))
        return {
            "verdict": first.verdict.to_json(),
            "law": self.law,
            "method": self.method,
            "objectives": {name: one.to_json() for name, one in self.objectives.items()},
            "pareto": None if self.pareto is None else self.pareto.to_json(),
        }


def propose(exp: Experiment, request: Request, report: Report = silent) -> ProposalReport:
    """Propose mixtures for every objective, or one, and write `proposal.json`.

    Raises StaleError when the law is behind the table, ConfigError where a limit was meant and
    cannot hold.
    """
    require_caps(exp)
    state = fitted(exp)
    rng = np.random.default_rng(request.seed)
    goals = {
        name: (_floored(exp, state, goal, rivals), rivals)
        for name, goal in wanted(state.objectives, request).items()
        for rivals in [baselines(exp.space, exp.user_baselines(), goal.domains, goal.shares)]
    }
    whole = Problem(exp.space, state.table, state.law, experts=_experts(exp, request))
    region = None if request.outside else sampled_region(exp.space, state.table.weights)
    inside = whole if region is None else replace(whole, space=region)
    if len(exp.space.phases) > 1 and request.phases != 1:
        goals = {
            name: (goal, rivals | _still(replace(inside, objective=goal), request.seed))
            for name, (goal, rivals) in goals.items()
        }
    front = None
    if request.pareto:
        front = pareto_set(inside, {name: goal for name, (goal, _) in goals.items()}, rng)
    done = {
        name: _Study(exp, state, replace(whole, objective=goal), rivals, inside.space, request).of(
            front, np.random.default_rng(request.seed), report
        )
        for name, (goal, rivals) in goals.items()
    }
    made = ProposalReport(state.about["law"], request.method, done, front)
    write_proposal(exp, made.to_json(), law_digest(state.about))
    return made


def write_proposal(exp: Experiment, document: Mapping[str, Any], law: str | None) -> None:
    """Write `proposal.json` with the names of its inputs."""
    inputs = {**exp.inputs(), "law": law}
    path = exp.folder / "proposal.json"
    write_json(path, {"mixopt": mixopt.__version__, "inputs": inputs, **document})


def read_proposal(exp: Experiment) -> dict[str, Any]:
    """`proposal.json` of a law, after a check that the law is still the study's.

    Raises DataError when there is none, StaleError when the law was fitted again since.
    """
    document = read_mixtures(exp)
    if document["inputs"]["law"] is None:
        raise DataError(
            f"{exp.folder / 'proposal.json'} was made without a law, so that there is no gain to "
            f"confirm: run `mixopt fit {exp.folder}` and `mixopt propose {exp.folder}`"
        )
    return document


def read_mixtures(exp: Experiment) -> dict[str, Any]:
    """`proposal.json` of a law or without one, after a check that it is not behind its inputs.

    Raises DataError when there is none, StaleError when law or limits changed since.
    """
    path = exp.folder / "proposal.json"
    again = f"run `mixopt propose {exp.folder}`"
    if not path.exists():
        raise DataError(f"{exp.folder} has no proposal yet: {again}")
    document = read_json(path)
    told = document["inputs"]
    if told["law"] is None:
        if told["space"] != exp.inputs()["space"]:
            raise StaleError(f"space.toml changed since {path} was written: {again}")
    elif told["law"] != law_digest(fitted(exp).about):
        raise StaleError(f"the law was fitted again since {path} was written: {again}")
    return document


def law_digest(about: Mapping[str, Any]) -> str:
    """What names a fitted law."""
    return digest({"table": about["table"], "law": about["law"], "arrays": about["arrays"]})


def require_caps(exp: Experiment) -> None:
    """Raise ConfigError where a `max_epochs` was set and nothing can hold it."""
    path = exp.folder / "space.toml"
    for name, spec in exp.space_file.domain.items():
        if "max_epochs" not in spec.model_fields_set or not spec.train:
            continue
        missing = None
        if exp.space_file.target.tokens is None:
            missing = "add tokens to [target]"
        elif np.isnan(exp.space.tokens[exp.space.names.index(name)]):
            missing = f"add tokens to [domain.{name}]"
        if missing is not None:
            line = line_of(path.read_text(encoding="utf-8"), ("domain", name, "max_epochs"))
            raise ConfigError(
                f"{path}:{line}: max_epochs of {name!r} limits nothing while sizes are unknown: "
                f"{missing}, or remove max_epochs"
            )


class _Study:
    """One objective's proposal: candidates, their ranking, and what may be claimed."""

    def __init__(
        self,
        exp: Experiment,
        state: Fitted,
        problem: Problem,
        rivals: Mapping[str, Baseline],
        region: Space,
        request: Request,
    ) -> None:
        self._exp, self._state, self._problem = exp, state, problem
        self._rivals, self._region, self._request = rivals, region, request
        assert problem.objective is not None
        self._objective = problem.objective
        self._proposer = request.proposer(_best(problem, rivals))

    def of(
        self, front: ParetoSet | None, rng: np.random.Generator, report: Report
    ) -> ObjectiveProposal:
        """The proposal; rows of `front` are ranked beside it."""
        inside = replace(self._problem, space=self._region)
        rows = self._proposer.propose(inside, self._request.count, rng)
        ranking = rank(
            self._problem,
            {f"proposal-{i}": row for i, row in enumerate(rows, start=1)},
            self._rivals,
            DRAWS,
            rng,
            risk=self._request.risk,
            tradeoffs={} if front is None else front.named(),
        )
        best = (ranking.best_baseline, self._rivals[ranking.best_baseline].row)
        optima = self._optima(best, rng)
        excess = self._optimism(rows, best[1], rng, report)
        verdict = self._verdict(ranking, excess, optima, rng)
        held = held_back(self._exp.space, self._region, ranking.pick.row)
        vouched = not held and not set(verdict.reasons) & _UNVOUCHED
        return ObjectiveProposal(
            verdict,
            ranking if excess is None else ranking.less(excess.mean),
            tuple(optima),
            weights=None if excess is None else self._weights(ranking.pick.row, excess.picks),
            held=held,
            gap=certificate(inside, ranking.pick.row),
            verify=() if vouched else _planned(self._exp, self._problem, rng),
        )

    def _optima(self, best: tuple[str, Array], rng: np.random.Generator) -> list[MemberOptimum]:
        """Of the members of the law; none where no law is asked."""
        if not self._proposer.needs_law:
            return []
        law, pick_of = self._state.law, self._picker(self._request.member_proposer())
        return member_optima(law, self._objective, self._state.reference, best, pick_of, rng)

    def _optimism(
        self, rows: Array, base: Array, rng: np.random.Generator, report: Report
    ) -> Optimism | None:
        """Of choosing by the law; None where it did not choose, or there is nothing to claim."""
        verdict = self._state.verdicts[self._objective.name]
        if not self._proposer.needs_law or verdict.kind == "no_signal":
            return None
        law, pick_of = self._state.law, self._picker(self._proposer.near(rows))
        reference = self._state.reference
        return optimism(law, self._objective, reference, base, pick_of, rng, report=report)

    def _picker(self, proposer: Proposer) -> Any:
        """From a law to what the proposer picks by it."""
        problem = replace(self._problem, space=self._region)

        def pick_of(law: Law) -> Array:
            return proposer.propose(replace(problem, law=law), 1, np.random.default_rng(0))[0]

        return pick_of

    def _verdict(
        self,
        ranking: Ranking,
        excess: Optimism | None,
        optima: Sequence[MemberOptimum],
        rng: np.random.Generator,
    ) -> Verdict:
        state, name = self._state, self._objective.name
        evidence = proposal_evidence(
            state.table,
            self._objective,
            state.reference,
            state.verdicts[name],
            ranking.pick.row,
            ranking.over_baselines,
            excess,
            optima,
            state.curves[name],
            rng,
        )
        parameters = asked_parameters(state.law, state.table)
        return judge_proposal(replace(evidence, parameters=parameters))

    def _weights(self, pick: Array, picks: Array) -> dict[str, tuple[float, float]]:
        space = self._exp.space
        ends = weight_intervals(space.mean_shares(pick[None])[0], space.mean_shares(picks))
        return {name: (low, high) for name, (low, high) in zip(space.names, ends.tolist())}


def _still(problem: Problem, seed: int) -> dict[str, Baseline]:
    """The best mixture that never changes: what a schedule must beat to be worth its trouble."""
    row = Holding(make_proposer("exact"), 1).propose(problem, 1, np.random.default_rng(seed))[0]
    return {"still": Baseline(row, projected=False)}


def _best(problem: Problem, rivals: Mapping[str, Baseline]) -> Array:
    """The baseline (width,) that is predicted best."""
    rows = np.stack([item.row for item in rivals.values()])
    return rows[np.argmin(Goal.of(problem).objective_values(rows))]


def wanted(objectives: Mapping[str, T], request: Request) -> Mapping[str, T]:
    """The objectives that were asked for."""
    if request.objective is None:
        return objectives
    if request.objective not in objectives:
        hint = nearest(request.objective, objectives)
        raise ConfigError(f"space.toml has no objective {request.objective!r}, {hint}")
    return {request.objective: objectives[request.objective]}


def _experts(exp: Experiment, request: Request) -> Any:
    return None if request.experts is None else read_experts(request.experts, exp.space.names)


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
