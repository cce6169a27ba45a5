"""Ranking: what the law promises for candidates, baselines and the best run seen, by joint draws.

One set of draws of the law covers every row, so that errors which two rows share cancel in their
difference. Gains are over each baseline; the headline is the gain over the best one. Proposals are
in order of mean - risk * sd of that gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.gain import Gain, support
from mixopt.laws.base import mixture_groups
from mixopt.problem import Problem
from mixopt.proposers.base import distance
from mixopt.proposers.goal import Goal
from mixopt.runs import held_phases
from mixopt.shown import Section, Shown, between
from mixopt.space import Space

if TYPE_CHECKING:
    from mixopt.baselines import Baseline

Array = NDArray[np.float64]
Role = Literal["proposal", "tradeoff", "baseline", "best_run"]

BEST_RUN = "best_run"
"""The best run seen: a row of its own, or an alias of the baseline that it was trained under."""
_SAME = 1e-3

_ROUNDING = 1e-6
"""Runs whose shares were rounded in a file are inside the limits up to this."""


@dataclass(frozen=True, repr=False)
class Ranked(Shown):
    """One mixture and what the law says of it."""

    name: str
    role: Role
    row: Array
    """(width,)"""
    shares: Mapping[str, float]
    """Mean shares of the training."""
    epochs: Mapping[str, float | None]
    """Times that the target reads each domain; None where token counts are unknown."""
    metrics: Mapping[str, tuple[float, float]]
    """Predicted mean and its sd, in the metrics' own direction."""
    objective: float
    """Lower is better."""
    objective_sd: float
    gains: Mapping[str, Gain]
    """Over each baseline and the best run seen, itself left out."""
    best_probability: float
    """Of this mixture, under whichever of its names."""
    support: int
    """Fewest runs with at least 0.7 of its share in a domain to which it gives more than 0.2."""
    projected: bool = False
    """Whether the limits changed a baseline."""
    aliases: tuple[str, ...] = ()
    """Other names of this mixture: of baselines, and of the best run seen."""
    schedule: tuple[tuple[float, Mapping[str, float]], ...] = ()
    """(fraction of training, mixture) of each phase; empty for a mixture that never changes."""

    def frame(self) -> pd.DataFrame:
        """A row for each domain: its share, and how often the target would read it."""
        domains = list(self.shares)
        epochs = [self.epochs[name] for name in domains]
        return pd.DataFrame(
            {"domain": domains, "share": list(self.shares.values()), "epochs": epochs}
        )

    def told(self, intervals: Mapping[str, tuple[float, float]] | None = None) -> pd.DataFrame:
        """The domains as text, the largest share first; `intervals` of the shares, where known."""
        domains = sorted(self.shares, key=lambda name: -self.shares[name])
        columns = {"domain": domains, "share": [f"{100 * self.shares[n]:.1f}" for n in domains]}
        if intervals is not None:
            ends = [intervals[name] for name in domains]
            columns["90 %"] = [f"{100 * low:.0f} to {100 * high:.0f}" for low, high in ends]
        if any(value is not None for value in self.epochs.values()):
            epochs = [self.epochs[name] for name in domains]
            columns["epochs"] = ["-" if value is None else f"{value:.2g}" for value in epochs]
        return pd.DataFrame(columns)

    def sections(self) -> Iterator[Section]:
        """The mixture."""
        yield Section(f"{self.name} ({self.role}), shares in %", self.told())


@dataclass(frozen=True, repr=False)
class Ranking(Shown):
    """Mixtures in order, the best first.

    A proposal that is not verified stands above the best run seen only if the interval of its gain
    over it excludes zero.
    """

    objective: str
    level: float
    entries: tuple[Ranked, ...]
    best_baseline: str
    """By predicted mean; the rival of the headline."""
    best_run_name: str | None = None
    """The run with the lowest measured objective among those inside the limits."""
    risk: float = 0.0
    """Standard deviations of the gain that are taken off its mean, to order proposals."""
    optimism: float | None = None
    """What was taken off the proposals' gains, which chose them; None: not known, nothing was."""

    @property
    def proposals(self) -> tuple[Ranked, ...]:
        """Proposals, the best one first: by predicted mean, less its risk."""
        kept = [entry for entry in self.entries if entry.role == "proposal"]
        return tuple(sorted(kept, key=self._loss))

    @property
    def distinct(self) -> tuple[Ranked, ...]:
        """Every mixture once: a rival that a proposal is stands among the proposal's aliases."""
        taken = {name for entry in self.proposals for name in entry.aliases}
        return tuple(entry for entry in self.entries if entry.name not in taken)

    @property
    def pick(self) -> Ranked:
        """The best proposal."""
        return self.proposals[0]

    @property
    def headline(self) -> Gain:
        """The gain of the pick over the best baseline."""
        return self.pick.gains[self.best_baseline]

    @property
    def over_baselines(self) -> tuple[Gain, ...]:
        """The gains of the pick over every baseline, the best baseline first."""
        kept = [entry for entry in self.entries if entry.role == "baseline"]
        ordered = sorted(kept, key=lambda entry: entry.objective)
        return tuple(self.pick.gains[entry.name] for entry in ordered)

    def gain(self, entry: Ranked) -> Gain | None:
        """The gain of an entry over the best baseline; None of that mixture itself."""
        is_rival = self.best_baseline in entry.aliases
        return None if is_rival else entry.gains.get(self.best_baseline)

    @property
    def outranks_best_run(self) -> bool:
        """Whether the pick's gain over the best run seen is above zero for the whole interval."""
        run = next((entry for entry in self.entries if _is_best_run(entry)), None)
        return run is None or self.pick.gains[run.name].low > 0

    def less(self, optimism: float) -> Ranking:
        """The ranking with what choosing by the law adds taken off its proposals' gains."""
        lost = max(0.0, optimism)
        entries = [
            replace(entry, gains={name: one.less(lost) for name, one in entry.gains.items()})
            if entry.role in ("proposal", "tradeoff")
            else entry
            for entry in self.entries
        ]
        return replace(self, entries=_ordered(entries, self._loss), optimism=lost)

    def _loss(self, entry: Ranked) -> float:
        """What the order is by, lower first: the predicted objective and the risk's price."""
        gain = entry.gains.get(self.best_baseline)
        if gain is None or entry.role != "proposal":
            return entry.objective
        return entry.objective + self.risk * gain.sd

    def frame(self) -> pd.DataFrame:
        """A row for each mixture: objective, gain over the best baseline, shares and epochs."""
        lines = []
        for position, entry in enumerate(self.entries, start=1):
            gain = entry.gains.get(self.best_baseline)
            lines.append(
                {
                    "rank": position,
                    "name": entry.name,
                    "role": entry.role,
                    "objective": entry.objective,
                    "sd": entry.objective_sd,
                    "gain": np.nan if gain is None else gain.mean,
                    "low": np.nan if gain is None else gain.low,
                    "high": np.nan if gain is None else gain.high,
                    "P(best)": entry.best_probability,
                    "runs nearby": entry.support,
                    **{f"share {name}": share for name, share in entry.shares.items()},
                    **{f"epochs {name}": epochs for name, epochs in entry.epochs.items()},
                }
            )
        return pd.DataFrame(lines)

    def told(self) -> pd.DataFrame:
        """The mixtures as text: gain over the best baseline in units of the objective."""
        lines = []
        for entry in self.distinct:
            gain = self.gain(entry)
            lines.append(
                {
                    "mixture": " = ".join([entry.name, *entry.aliases]),
                    f"gain over {self.best_baseline} ({100 * self.level:.0f} %)": "-"
                    if gain is None
                    else between(gain.mean, gain.low, gain.high),
                    "P(best)": f"{entry.best_probability:.2f}",
                    "runs near": str(entry.support),
                }
            )
        return pd.DataFrame(lines)

    def sections(self) -> Iterator[Section]:
        """The mixtures in their order."""
        yield Section(f"ranked by the law for {self.objective}", self.told())

    def to_json(self) -> dict[str, Any]:
        """The ranking for machines."""
        return {
            "objective": self.objective,
            "level": self.level,
            "best_baseline": self.best_baseline,
            "best_run": self.best_run_name,
            "outranks_best_run": self.outranks_best_run,
            "risk": self.risk,
            "optimism": self.optimism,
            "entries": [_entry_to_json(entry) for entry in self.entries],
        }


class _Row(NamedTuple):
    role: Role
    row: Array
    projected: bool = False
    aliases: tuple[str, ...] = ()


def rank(
    problem: Problem,
    candidates: Mapping[str, Array],
    baselines: Mapping[str, Baseline],
    draws: int,
    rng: np.random.Generator,
    level: float = 0.9,
    risk: float = 0.0,
    tradeoffs: Mapping[str, Array] | None = None,
) -> Ranking:
    """Rank `candidates` and `baselines` (rows by name) with the best run of the problem's table.

    `tradeoffs` are further rows that serve other objectives too: told of, never picked. `level` is
    the coverage of the two-sided intervals, `risk` is that of `Ranking`. Raises DataError without
    a law, an objective, a candidate or a baseline.
    """
    if problem.law is None or problem.objective is None:
        raise DataError("ranking needs a law and an objective: run `mixopt fit` first")
    if not candidates or not baselines:
        raise DataError("ranking needs a candidate and a baseline at least")
    goal = Goal.of(problem)
    rows = {name: _Row("proposal", row) for name, row in candidates.items()}
    others = tradeoffs or {}
    rows |= {name: _Row("tradeoff", row) for name, row in others.items()}
    rows |= {name: _Row("baseline", b.row, b.projected, b.aliases) for name, b in baselines.items()}
    seen = None if problem.table is None else best_run(problem)
    if len(rows) < len(candidates) + len(others) + len(baselines):
        raise DataError("expected different names for candidates, trade-offs and baselines")
    if seen is not None:
        twin = _twin(problem.space, seen[1], baselines)
        rows[twin or BEST_RUN] = (
            _Row("best_run", seen[1])
            if twin is None
            else rows[twin]._replace(aliases=(*rows[twin].aliases, BEST_RUN))
        )
    for name in candidates:
        rows[name] = rows[name]._replace(aliases=_rivals_of(problem.space, rows, rows[name].row))
    entries = _entries(problem, goal, rows, draws, rng, level)
    rivals = [entry for entry in entries if entry.role == "baseline"]
    made = Ranking(
        objective=problem.objective.name,
        level=level,
        entries=tuple(entries),
        best_baseline=min(rivals, key=lambda entry: entry.objective).name,
        best_run_name=None if seen is None else seen[0],
        risk=risk,
    )
    return replace(made, entries=_ordered(entries, made._loss))


def best_run(problem: Problem) -> tuple[str, Array] | None:
    """Name and row of the mixture with the lowest measured objective, mean over its replicates.

    Only mixtures inside the limits count; None where no run of one measured the objective.
    """
    assert problem.table is not None
    goal, table = Goal.of(problem), problem.table
    values = goal.objective.value(table.losses, goal.reference)
    usable = np.isfinite(values) & problem.space.contains(table.weights, tol=_ROUNDING)
    if not usable.any():
        return None
    groups = mixture_groups(table.weights)
    means = [values[usable & (groups == group)].mean() for group in groups[usable]]
    winner = int(np.flatnonzero(usable)[np.argmin(means)])
    return table.names[winner] or table.ids[winner], table.weights[winner]


class _Predicted(NamedTuple):
    """What the law says of k rows."""

    mean: Array
    """(k, m)"""
    sd: Array
    """(k, m)"""
    objective: Array
    """(k,)"""
    draws: Array
    """(draws, k) of the objective, joint."""


def _entries(
    problem: Problem,
    goal: Goal,
    rows: Mapping[str, _Row],
    draws: int,
    rng: np.random.Generator,
    level: float,
) -> list[Ranked]:
    """Everything but the order."""
    stacked = np.stack([item.row for item in rows.values()])
    mean, sd = goal.law.predict(stacked, return_std=True)
    drawn = goal.told(goal.law.sample(stacked, draws, rng))
    predicted = _Predicted(mean, sd, goal.told(mean), drawn)
    return [_ranked(problem, rows, predicted, i, level) for i in range(len(rows))]


def _ranked(
    problem: Problem, rows: Mapping[str, _Row], predicted: _Predicted, i: int, level: float
) -> Ranked:
    """The entry of row i among all."""
    name, item = list(rows.items())[i]
    table, drawn = problem.table, predicted.draws
    stacked = np.stack([other.row for other in rows.values()])
    same = np.flatnonzero(distance(problem.space, stacked, item.row) < _SAME)
    seen = np.empty((0, problem.space.width)) if table is None else table.weights
    moving = held_phases(problem.space.schedule(item.row))
    return Ranked(
        name=name,
        role=item.role,
        row=item.row,
        shares=problem.space.mapping(item.row),
        epochs=_epochs(problem.space, item.row),
        metrics=_metrics(problem, predicted.mean[i], predicted.sd[i]),
        objective=float(predicted.objective[i]),
        objective_sd=float(drawn[:, i].std()),
        gains={
            rival: _gain(
                rival,
                predicted.objective[j] - predicted.objective[i],
                drawn[:, j] - drawn[:, i],
                level,
            )
            for j, rival in enumerate(rows)
            if rows[rival].role in ("baseline", "best_run") and j != i
        },
        best_probability=float(np.isin(drawn.argmin(axis=1), same).mean()),
        support=support(seen, item.row),
        projected=item.projected,
        aliases=item.aliases,
        schedule=moving if len(moving) > 1 else (),
    )


def _metrics(problem: Problem, mean: Array, sd: Array) -> dict[str, tuple[float, float]]:
    """Mean and sd (m,) by name, turned back where higher is better."""
    assert problem.objective is not None
    table = problem.table
    names = problem.objective.metrics if table is None else table.metrics
    signs = np.ones(len(names)) if table is None else table.directions
    values = zip(names, (mean * signs).tolist(), sd.tolist(), strict=True)
    return {name: (value, error) for name, value, error in values}


def _gain(rival: str, mean: float, draws: Array, level: float) -> Gain:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Gain(rival, float(mean), float(draws.std()), float(low), float(high))


def _epochs(space: Space, row: Array) -> dict[str, float | None]:
    epochs = space.epochs(row[None])[0]
    return {
        name: float(value) if np.isfinite(value) else None
        for name, value in zip(space.names, epochs, strict=True)
    }


def _ordered(entries: list[Ranked], loss: Callable[[Ranked], float]) -> tuple[Ranked, ...]:
    """By `loss`; the best run seen moves above what does not clearly beat it."""
    ordered = sorted(entries, key=loss)
    run = next((entry for entry in ordered if _is_best_run(entry)), None)
    if run is None:
        return tuple(ordered)
    unsure = [
        i
        for i, entry in enumerate(ordered)
        if entry.role == "proposal" and not entry.gains[run.name].low > 0
    ]
    place = min([ordered.index(run), *unsure])
    ordered.remove(run)
    return tuple([*ordered[:place], run, *ordered[place:]])


def _twin(space: Space, row: Array, baselines: Mapping[str, Baseline]) -> str | None:
    """The baseline that a run was trained under, if any."""
    same = [
        name for name, item in baselines.items() if distance(space, item.row[None], row) < _SAME
    ]
    return same[0] if same else None


def _rivals_of(space: Space, rows: Mapping[str, _Row], row: Array) -> tuple[str, ...]:
    """The names of the baselines, and of the best run seen, that a row (width,) is."""
    return tuple(
        alias
        for name, item in rows.items()
        if item.role in ("baseline", "best_run") and distance(space, item.row[None], row)[0] < _SAME
        for alias in (name, *item.aliases)
    )


def _is_best_run(entry: Ranked) -> bool:
    return entry.role == "best_run" or (entry.role == "baseline" and BEST_RUN in entry.aliases)


def _entry_to_json(entry: Ranked) -> dict[str, Any]:
    return {
        "name": entry.name,
        "role": entry.role,
        "shares": dict(entry.shares),
        **({"schedule": [list(phase) for phase in entry.schedule]} if entry.schedule else {}),
        "row": entry.row.tolist(),
        "epochs": dict(entry.epochs),
        "metrics": {name: {"mean": mean, "sd": sd} for name, (mean, sd) in entry.metrics.items()},
        "objective": entry.objective,
        "objective_sd": entry.objective_sd,
        "gains": {name: asdict(gain) for name, gain in entry.gains.items()},
        "best_probability": entry.best_probability,
        "support": entry.support,
        "projected": entry.projected,
        "aliases": list(entry.aliases),
    }
