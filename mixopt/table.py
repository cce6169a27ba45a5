"""The only join of runs, space and metrics: aligned arrays, losses oriented (lower is better)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError, DataError, nearest
from mixopt.files import digest
from mixopt.laws.base import Info
from mixopt.runs import Run
from mixopt.space import Space

Array = NDArray[np.float64]

FALLING = ("bpb", "loss", "ppl")


@dataclass(frozen=True)
class Table:
    """Finished runs as aligned arrays; n runs, m metrics, `width` columns of the space."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    weights: Array
    """(n, width) mixtures, or schedules phase by phase."""
    losses: Array
    """(n, m) metrics, negated where higher is better; NaN where not measured."""
    metrics: tuple[str, ...]
    directions: Array
    """(m,) 1 where the metric falls, -1 where it was negated."""
    scales: Array
    """(n, 3) parameters, active parameters, training tokens; NaN where unknown."""
    seed_block: NDArray[np.int64]
    """(n,) -1 where unknown."""
    round: NDArray[np.int64]
    origins: tuple[str, ...]
    cohorts: tuple[str, ...]
    """(n,) a name for (proxy, data, scale): runs that may be compared."""
    own: NDArray[np.int64]
    """(m,) the column whose text a metric measures, -1 for none."""
    tokens: Array
    """(d,) unique tokens of the domains, NaN where unknown."""

    @property
    def info(self) -> Info:
        """What a law may know beside weights and losses."""
        return Info(
            scales=None if np.isnan(self.scales).any() else self.scales,
            seed_block=self.seed_block,
            own=self.own,
            tokens=self.tokens,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """The table of some of its runs."""
        index = np.arange(len(self))[rows]
        return type(self)(
            ids=tuple(self.ids[i] for i in index),
            names=tuple(self.names[i] for i in index),
            weights=self.weights[index],
            losses=self.losses[index],
            metrics=self.metrics,
            directions=self.directions,
            scales=self.scales[index],
            seed_block=self.seed_block[index],
            round=self.round[index],
            origins=tuple(self.origins[i] for i in index),
            cohorts=tuple(self.cohorts[i] for i in index),
            own=self.own,
            tokens=self.tokens,
        )

    def plus(self, other: Self) -> Self:
        """The runs of this table, then those of another with the same metrics."""
        assert self.metrics == other.metrics
        return replace(
            self,
            ids=self.ids + other.ids,
            names=self.names + other.names,
            weights=np.concatenate([self.weights, other.weights]),
            losses=np.concatenate([self.losses, other.losses]),
            scales=np.concatenate([self.scales, other.scales]),
            seed_block=np.concatenate([self.seed_block, other.seed_block]),
            round=np.concatenate([self.round, other.round]),
            origins=self.origins + other.origins,
            cohorts=self.cohorts + other.cohorts,
        )

    def cohort(self) -> Self:
        """The runs of the largest cohort (of two as large, the one named first)."""
        names = sorted(set(self.cohorts), key=lambda name: (-self.cohorts.count(name), name))
        return self.select(np.array([name == names[0] for name in self.cohorts], dtype=bool))


def join(
    runs: Sequence[Run],
    space: Space,
    metrics: Sequence[str] | None = None,
    directions: Mapping[str, str] | None = None,
) -> Table:
    """Finished, uncontrolled runs as one table.

    `metrics` chooses and orders the columns; default: every metric on validation text that any
    run measured. `directions` maps metrics that are no bpb, loss or ppl to "up" or "down".
    Raises DataError when no run is finished or a chosen metric was never measured.
    """
    usable = [run for run in runs if run.status == "finished" and run.schedule is not None]
    if not usable:
        raise DataError("no finished run in the table: train what is planned, or import runs")
    measured = sorted({name for run in usable for name in run.metrics if _is_target(name)})
    columns = tuple(measured if metrics is None else metrics)
    for name in columns:
        if not any(name in run.metrics for run in usable):
            known = sorted({name for run in usable for name in run.metrics})
            raise DataError(f"no run measured the metric {name!r}, {nearest(name, known)}")
    signs = np.array([direction(name, directions or {}) for name in columns])
    values = [[run.metrics.get(name, np.nan) for name in columns] for run in usable]
    losses = np.array(values, dtype=np.float64).reshape(len(usable), len(columns)) * signs
    return Table(
        ids=tuple(run.id for run in usable),
        names=tuple(run.name for run in usable),
        weights=np.stack([row_of(run, space) for run in usable]),
        losses=losses,
        metrics=columns,
        directions=signs,
        scales=np.array([run.scale or (np.nan,) * 3 for run in usable], dtype=np.float64),
        seed_block=np.array([run.seed_block for run in usable], dtype=np.int64),
        round=np.array([run.round for run in usable], dtype=np.int64),
        origins=tuple(run.origin for run in usable),
        cohorts=tuple(_cohort(run) for run in usable),
        own=np.array([_own(name, space) for name in columns], dtype=np.int64),
        tokens=space.tokens,
    )


def row_of(run: Run, space: Space) -> Array:
    """The point of the space that a run was trained under.

    Raises DataError when the run's phases are not the space's.
    """
    assert run.schedule is not None
    if len(run.schedule) == 1:
        return space.row(run.schedule[0][1])
    fractions = np.array([fraction for fraction, _ in run.schedule])
    if len(fractions) != len(space.phases) or not np.allclose(fractions, space.phases, atol=1e-6):
        raise DataError(
            f"run {run.id} has phases {fractions.tolist()}, the space has "
            f"{list(space.phases)}: set [target] phases in space.toml to match"
        )
    one_phase = [space.shares(mixture) for _, mixture in run.schedule]
    return np.concatenate(one_phase)


def _is_target(name: str) -> bool:
    """Metrics that a law is fitted to by default: of validation text or tasks, not the router's."""
    return not name.startswith("router/") and "@" not in name.partition("/")[0]


def direction(name: str, directions: Mapping[str, str]) -> float:
    """1 where a metric falls as it improves, -1 where it rises; ConfigError where nobody says."""
    if name in directions:
        return 1.0 if directions[name] == "down" else -1.0
    if name.partition("/")[0].partition("@")[0] in FALLING:
        return 1.0
    raise ConfigError(
        f"metric {name!r} has no direction: declare it in space.toml, "
        f'[metrics] "{name}" = "up" or "down"'
    )


def _own(metric: str, space: Space) -> int:
    domain = metric.partition("/")[2]
    return space.names.index(domain) if domain in space.names else -1


def _cohort(run: Run) -> str:
    """A name that two runs share only if they may be compared."""
    size = "" if run.scale is None else "/".join(f"{value:.4g}" for value in run.scale)
    identity = f"{run.proxy.get('preset', '')}-{digest(dict(run.proxy))[:6]}" if run.proxy else ""
    return f"{identity} {size} {run.data}".strip()
