"""loop: sample, train, fit, again; then verify, and propose - what a person would type.

Every step is planned into `loop.json` before it reaches the table, and planned only when the runs
before it are done: a loop that is killed anywhere and started again plans the same next points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.baselines import baselines
from mixopt.designs.climb import halving
from mixopt.errors import ConfigError, DataError, PausedError, StaleError
from mixopt.fidelity import Flops
from mixopt.files import read_json, write_json
from mixopt.gain import gains
from mixopt.laws import DEFAULT, make_law
from mixopt.noise import anchor_noise, remove_block_effects
from mixopt.problem import Problem
from mixopt.progress import Report, silent
from mixopt.proposers import propose
from mixopt.proposers.goal import Goal
from mixopt.proposers.rank import best_run
from mixopt.runs import Run
from mixopt.score import objective_values, reference_losses
from mixopt.stages.fit import fitted
from mixopt.stages.sample import SampleRequest, plan_sample
from mixopt.stopping import detectable, expected_gain

if TYPE_CHECKING:
    from mixopt.experiment import Experiment
    from mixopt.stages.propose import ProposalReport

FILE = "loop.json"
LEAST_RUNS = 12
VERIFICATIONS = 2
_LEAST_VERIFIED = 4
_STOPPING = ("auto",)
"""Designs under which a loop ends early where nothing is left to find."""


@dataclass(frozen=True)
class LoopSettings:
    """What a loop was asked for; another one needs `loop.json` out of the way."""

    rounds: int
    runs: int
    """Design points of all rounds, verified picks among them; anchors and baselines on top."""
    design: str
    seed: int
    objective: str
    warm: tuple[str, ...] = ()
    """Folders of earlier studies to start from."""

    def steps(self) -> list[tuple[str, int]]:
        """(design, points) of each step: rounds as 4:2:1, then two of verified picks."""
        verified = max(_LEAST_VERIFIED, self.runs // 8)
        first = verified - verified // VERIFICATIONS
        rounds = [(self.design, n) for n in halving(self.runs - verified, self.rounds)]
        return [*rounds, ("verify", first), ("verify", verified - first)]


@dataclass(frozen=True)
class RoundSummary:
    """What is known after a step, for the objective that the loop searches."""

    step: int
    design: str
    planned: int
    """New runs of the step, anchors and baselines among them."""
    finished: int
    """Of the table."""
    law: str
    """What the law has to say of itself."""
    rival: str
    """The best baseline by the law."""
    gain: float
    """Of the predicted optimum over the rival; positive is better, units of the objective."""
    low: float
    high: float
    """Ends of the 90 % interval of the gain."""
    best: str
    """The best run so far, by its mixture."""
    best_gain: float
    """Of the best run over the rival: measured against predicted; NaN without such a run."""
    further: float
    """What a perfect choice is expected to gain over the predicted optimum."""
    detectable: float | None
    """The smallest gain that a confirmation would see; None where noise is unknown."""
    notes: tuple[str, ...] = ()

    @property
    def exhausted(self) -> bool:
        """Whether the expected further gain is below what could be seen."""
        return self.detectable is not None and self.further < self.detectable

    def to_json(self) -> dict[str, Any]:
        """The summary for machines."""
        best = None if np.isnan(self.best_gain) else self.best_gain
        return {**asdict(self), "best_gain": best, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RoundSummary:
        """The summary that `to_json` wrote."""
        best = np.nan if values["best_gain"] is None else values["best_gain"]
        return cls(**{**values, "best_gain": best, "notes": tuple(values["notes"])})


@dataclass(frozen=True)
class LoopReport:
    """All steps, and why the loop ended."""

    settings: LoopSettings
    rounds: tuple[RoundSummary, ...]
    stopped: RoundSummary | None
    """The step after which a perfect choice would have gained too little; None: all were made."""

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            **_document(self.settings),
            "steps": [one.to_json() for one in self.rounds],
            "stopped": None if self.stopped is None else self.stopped.step,
        }


def loop(
    exp: Experiment,
    settings: LoopSettings,
    train: Callable[[], None] | None,
    told: Callable[[RoundSummary], None] = lambda summary: None,
    flops: Flops | None = None,
) -> LoopReport:
    """Run all steps of the loop that are not done; `told` hears of each step, done before or now.

    `train` trains everything that is planned; None: it is trained elsewhere, and the loop pauses.
    Raises PausedError where runs are left to be trained elsewhere, ConfigError for settings that
    do not fit or differ from those of a loop that was begun.
    """
    _check(settings)
    state = _State.open(exp, settings)
    summaries: list[RoundSummary] = []
    stopped: RoundSummary | None = None
    for number, (design, count) in enumerate(settings.steps()):
        if stopped is not None and design != "verify":
            continue
        summary = state.summary(number)
        if summary is None:
            notes = state.plan(number, design, count, flops)
            _train(exp, train)
            summary = _summary(exp, settings, number, design, state.new(number), notes)
            state.finish(number, summary)
        told(summary)
        summaries.append(summary)
        if design in _STOPPING and summary.exhausted:
            stopped = summary
    return LoopReport(settings, tuple(summaries), stopped)


def conclude(exp: Experiment, seed: int, report: Report = silent) -> ProposalReport:
    """Compare laws and fit the best where no law of these runs is written yet, then propose."""
    try:
        fitted(exp)
    except (StaleError, DataError):
        exp.fit(seed=seed, report=report)
    return exp.propose(seed=seed, report=report)


class _State:
    """`loop.json`: the lines of each step's runs, and what was known after it."""

    def __init__(self, exp: Experiment, settings: LoopSettings, steps: dict[str, Any]) -> None:
        self.exp, self.settings, self.steps = exp, settings, steps

    @classmethod
    def open(cls, exp: Experiment, settings: LoopSettings) -> _State:
        """The state on disk, or a new one."""
        path = exp.folder / FILE
        if not path.exists():
            return cls(exp, settings, {})
        held = read_json(path)
        if held["settings"] != _document(settings):
            was = ", ".join(f"{key} {value}" for key, value in held["settings"].items())
            raise ConfigError(
                f"{path} is of a loop with {was}: ask for the same, or remove the file to begin "
                "another on the runs that there are"
            )
        return cls(exp, settings, held["steps"])

    def summary(self, number: int) -> RoundSummary | None:
        """What was known after a step, if it is done."""
        held = self.steps.get(str(number), {}).get("summary")
        return None if held is None else RoundSummary.from_json(held)

    def new(self, number: int) -> int:
        """How many runs a step planned."""
        return len(self.steps[str(number)]["runs"])

    def plan(self, number: int, design: str, count: int, flops: Flops | None) -> tuple[str, ...]:
        """Plan a step once, on disk before in the table; what the design has to say of it."""
        held = self.steps.get(str(number))
        if held is None:
            known = {run.id for run in self.exp.runs()}
            goal, seed = self.settings.objective or None, self.settings.seed
            warm = self.settings.warm if design != "verify" else ()
            request = SampleRequest(count, design, seed, goal, flops, warm)
            made = plan_sample(self.exp, request)
            runs = [run.line() for run in made.runs if run.id not in known]
            held = self.steps[str(number)] = {"runs": runs, "notes": list(made.notes)}
            self._write()
        known = {run.id for run in self.exp.runs()}
        lost = [Run.from_line(line, FILE) for line in held["runs"]]
        lost = [run for run in lost if run.id not in known]
        if lost:
            self.exp.append(lost)
        return tuple(held["notes"])

    def finish(self, number: int, summary: RoundSummary) -> None:
        """Mark a step done."""
        self.steps[str(number)]["summary"] = summary.to_json()
        self._write()

    def _write(self) -> None:
        document = {"settings": _document(self.settings), "steps": self.steps}
        write_json(self.exp.folder / FILE, document)


def _document(settings: LoopSettings) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    return {**asdict(settings), "warm": list(settings.warm)}


def _check(settings: LoopSettings) -> None:
    if settings.rounds < 1 or settings.runs < max(LEAST_RUNS, 4 * settings.rounds):
        least = max(LEAST_RUNS, 4 * settings.rounds)
        raise ConfigError(
            f"expected 1 round or more and at least {least} runs for {settings.rounds} rounds, "
            f"got {settings.runs}: raise -n"
        )


def _train(exp: Experiment, train: Callable[[], None] | None) -> None:
    """Train what is planned; PausedError where that is done elsewhere and runs are missing."""
    if train is not None:
        train()
    left = [run for run in exp.runs() if run.status == "planned"]
    if left:
        raise PausedError(
            f"{len(left)} runs are planned and have no result: train them (or `mixopt record` "
            "what was trained elsewhere) and run the same command again"
        )


def _summary(
    exp: Experiment,
    settings: LoopSettings,
    number: int,
    design: str,
    planned: int,
    notes: tuple[str, ...],
) -> RoundSummary:
    """What the usual law, fitted to all runs, says of its optimum and of the best run."""
    table = remove_block_effects(exp.table().cohort())
    law = make_law(DEFAULT).fit(table.weights, table.losses, table.info)
    reference = reference_losses(table, law, exp.space.reference)
    rng = np.random.default_rng((settings.seed, number))
    goals = exp.objectives(table)
    goal = goals[settings.objective or next(iter(goals))]
    problem = Problem(exp.space, table, law, goal)
    pick = propose("exact", problem, 1, rng)[0]
    rivals = baselines(exp.space, exp.user_baselines(), goal.domains, goal.shares)
    rows = {key: item.row for key, item in rivals.items()}
    against = gains(law, goal, reference, pick, rows, rng)[0]
    seen = best_run(problem)
    values = objective_values(goal, table.losses, reference)
    noise = anchor_noise(table, values[:, None])
    return RoundSummary(
        step=number,
        design=design,
        planned=planned,
        finished=len(table),
        law="; ".join(law.notes()),
        rival=against.baseline,
        gain=against.mean,
        low=against.low,
        high=against.high,
        best="" if seen is None else seen[0],
        best_gain=_best_gain(problem, values, rows[against.baseline]),
        further=expected_gain(problem, pick, rng),
        detectable=None if noise is None else detectable(float(noise.sigma_int[0])),
        notes=notes,
    )


def _best_gain(problem: Problem, values: np.ndarray, rival: np.ndarray) -> float:
    """What the best mixture inside the limits measured, against what the law says of the rival."""
    assert problem.table is not None
    inside = np.isfinite(values) & problem.space.contains(problem.table.weights, tol=1e-6)
    if not inside.any():
        return float("nan")
    return float(Goal.of(problem).objective_values(rival[None])[0] - values[inside].min())
