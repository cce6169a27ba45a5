"""compare: methods side by side on paired seeds - controlled runs, their replays, baselines.

    y_ab = arm_a + block_b + e_ab      difference to a rival and its error by least squares

Arms need not have run in every block. Bounds are one-sided, 95 %, by Student's t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mixopt.errors import ConfigError, DataError, nearest
from mixopt.files import digest
from mixopt.runs import Run
from mixopt.stages.controlled import CONTROLLED, RIVALS, replay_run, rival_runs
from mixopt.table import Table, join

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Line:
    """One method against the rival; negative differences are in its favour."""

    name: str
    runs: int
    objective: float
    """Mean over its runs."""
    difference: float | None
    """To the rival, block by block; None for the rival itself and where no block has both."""
    se: float | None
    """None without a degree of freedom."""
    upper: float | None
    """Upper end of the one-sided interval of the difference."""
    worst: float
    """The largest loss of a domain over that under natural shares, mean over runs."""
    flops: float | None
    """Mean of a run, over that of the rival; evidence included."""


@dataclass(frozen=True)
class CompareReport:
    """The methods of one objective, the best first."""

    objective: str
    against: str
    lines: tuple[Line, ...]
    noise: float | None
    """sd of one run beside its block; None without a degree of freedom."""
    blocks: int

    def frame(self) -> pd.DataFrame:
        """A row for each method."""
        return pd.DataFrame([asdict(line) for line in self.lines])

    def to_json(self) -> dict[str, Any]:
        """The comparison for machines."""
        return asdict(self)


def compare(exp: Experiment, objective: str | None, against: str) -> CompareReport:
    """Compare what was planned by `sample --controller`, and the baselines of the same seeds.

    Raises DataError where no controlled run is finished or the rival has none, ConfigError for an
    unknown objective.
    """
    arms = _arms(exp)
    if against not in arms:
        raise DataError(f"no finished run is of {against!r}, {nearest(against, arms)}")
    table = _table(exp, arms)
    goals = exp.objectives(table)
    if objective is not None and objective not in goals:
        raise ConfigError(f"space.toml has no objective {objective!r}, {nearest(objective, goals)}")
    goal = goals[objective or next(iter(goals))]
    natural = _rows(table, arms.get("natural", arms[against]))
    reference = np.nanmean(table.losses[natural], axis=0)
    values = goal.value(table.losses, reference)
    used = table.losses[:, goal.weights > 0] / reference[goal.weights > 0]
    fit = _Fit.of(arms, table, values)
    rival_flops = _flops(arms[against])
    lines = []
    for name, runs in arms.items():
        rows = _rows(table, runs)
        difference, se, upper = fit.against(name, against)
        own_flops = _flops(runs)
        lines.append(
            Line(
                name,
                len(runs),
                float(values[rows].mean()),
                difference,
                se,
                upper,
                float(used[rows].max(axis=1).mean()),
                own_flops / rival_flops if own_flops and rival_flops else None,
            )
        )
    ranked = tuple(sorted(lines, key=lambda line: line.objective))
    return CompareReport(goal.name, against, ranked, fit.noise, len(fit.blocks))


def _arms(exp: Experiment) -> dict[str, dict[int, Run]]:
    """Finished runs by method and seed: controlled ones, replays, and baselines of their seeds."""
    identity = exp.proxy_file.identity()
    done = {
        run.id: run
        for run in exp.runs()
        if run.status == "finished" and run.proxy == identity and run.data == exp.data
    }
    controlled = [run for run in done.values() if run.origin.startswith(CONTROLLED)]
    arms: dict[str, dict[int, Run]] = {}
    for run in controlled:
        arms.setdefault(_label(run), {})[run.seed] = run
        replay = replay_run(exp, run) if run.mixture else None
        if replay is not None and replay.id in done:
            arms.setdefault(f"{_label(run)} replayed", {})[run.seed] = done[replay.id]
    if not arms:
        raise DataError(
            f"no controlled run of {exp.folder} is finished: "
            f"`mixopt sample {exp.folder} --controller NAME -n 4`, then "
            f"`mixopt train-proxies {exp.folder}`"
        )
    for block, seed in enumerate(sorted({seed for runs in arms.values() for seed in runs})):
        for name, run in rival_runs(exp, seed, block).items():
            if run.id in done:
                arms.setdefault(name, {})[seed] = done[run.id]
    return arms


def _label(run: Run) -> str:
    """The controller and, where they are not its defaults, its settings."""
    settings = {k: v for k, v in (run.controller or {}).items() if k not in ("name", "reference")}
    told = ", ".join(f"{key}={_short(value)}" for key, value in settings.items())
    name = run.origin.removeprefix(CONTROLLED)
    name = f"{name} online" if name in RIVALS else name
    return f"{name} ({told})" if told else name


def _short(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else digest(value)[:6]


def _table(exp: Experiment, arms: Mapping[str, Mapping[int, Run]]) -> Table:
    """The losses of all arms; a controlled run stands at its mean shares, which nobody looks at."""
    runs: dict[str, Run] = {}
    for run in (run for own in arms.values() for run in own.values()):
        shares = dict(run.mixture or {}) or dict.fromkeys(exp.space.names, 1.0 / exp.space.d)
        total = sum(shares.values())
        plain = {name: share / total for name, share in shares.items()}
        placed = run if run.schedule is not None else replace(run, schedule=((1.0, plain),))
        runs[run.id] = placed
    table = join(list(runs.values()), exp.space, directions=exp.directions)
    return replace(table, ids=tuple(runs))


def _rows(table: Table, runs: Mapping[int, Run]) -> NDArray[np.int64]:
    place = {run_id: row for row, run_id in enumerate(table.ids)}
    return np.array([place[run.id] for run in runs.values()], dtype=np.int64)


def _flops(runs: Mapping[int, Run]) -> float | None:
    known = [run.cost["flops"] for run in runs.values() if "flops" in run.cost]
    return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class _Fit:
    """Arms and blocks fitted to the values of their runs."""

    names: tuple[str, ...]
    blocks: tuple[int, ...]
    effects: Array
    """(A + B,)"""
    spread: Array
    """(A + B, A + B): pseudo-inverse of the normal equations."""
    present: NDArray[np.bool_]
    """(A, B)"""
    df: int
    noise: float | None

    @classmethod
    def of(cls, arms: Mapping[str, Mapping[int, Run]], table: Table, values: Array) -> _Fit:
        """By least squares; the values (n,) stand in the rows of the table."""
        names = tuple(arms)
        blocks = tuple(sorted({seed for runs in arms.values() for seed in runs}))
        cells = [
            (names.index(name), blocks.index(seed), float(values[row]))
            for name, runs in arms.items()
            for seed, row in zip(runs, _rows(table, runs), strict=True)
        ]
        design = np.zeros((len(cells), len(names) + len(blocks)))
        present = np.zeros((len(names), len(blocks)), dtype=np.bool_)
        for line, (arm, block, _) in enumerate(cells):
            design[line, arm] = design[line, len(names) + block] = 1.0
            present[arm, block] = True
        y = np.array([value for *_, value in cells])
        spread = np.linalg.pinv(design.T @ design).astype(np.float64, copy=False)
        effects = spread @ design.T @ y
        df = len(cells) - int(np.linalg.matrix_rank(design))
        rest = float(((y - design @ effects) ** 2).sum())
        noise = float(np.sqrt(rest / df)) if df > 0 else None
        return cls(names, blocks, effects, spread, present, df, noise)

    def against(self, name: str, rival: str) -> tuple[float | None, float | None, float | None]:
        """(difference, se, upper bound) of two arms that share a block."""
        one, other = self.names.index(name), self.names.index(rival)
        if one == other or not (self.present[one] & self.present[other]).any():
            return None, None, None
        contrast = np.zeros(len(self.effects))
        contrast[one], contrast[other] = 1.0, -1.0
        difference = float(contrast @ self.effects)
        if self.noise is None:
            return difference, None, None
        se = self.noise * float(np.sqrt(contrast @ self.spread @ contrast))
        return difference, se, difference + float(stats.t.ppf(LEVEL, self.df)) * se


def sentence(report: CompareReport, lines: Sequence[Line]) -> str:
    """Which methods are better than the rival beyond doubt, if any."""
    better = [line.name for line in lines if line.upper is not None and line.upper < 0.0]
    if not better:
        return f"no method is better than {report.against} by more than the noise of these runs"
    return f"better than {report.against}, one-sided 95 % each: {', '.join(better)}"
