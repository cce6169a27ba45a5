"""Search: the contract of designs that read the finished runs before they plan the next ones.

The table is the only state. A first round covers the space, because no law can be fitted to so few
runs; then `_search` plans. Points of a batch, and runs that are planned without a result, lie .1
apart in L1 where there is room; finished mixtures are not planned again.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import Array, Design, Plan, distinct
from mixopt.designs.spacefill import candidates
from mixopt.errors import DataError
from mixopt.laws.base import mixture_groups
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.base import APART, distance
from mixopt.space import Space
from mixopt.table import Table

_NEAR_FINISHED = 0.02
"""L1 distance to a finished run below which a new one teaches little."""
_LEAST_GAP = 1e-5
_SAME = 1e-5
_LEAST_STARTS = 4


@dataclass(frozen=True, eq=False)
class Known:
    """The runs that a search learns from: those that measured the objective."""

    table: Table
    """Only metrics that the objective uses."""
    objective: Objective
    """Over those metrics."""
    reference: Array
    """(m,) losses that the objective is taken against."""
    values: Array
    """(n,) the objective of each run."""

    @property
    def mixtures(self) -> int:
        """How many different mixtures were run."""
        return len(np.unique(mixture_groups(self.table.weights)))

    @property
    def flat(self) -> bool:
        """Whether every run did as well."""
        return bool(np.ptp(self.values) <= 1e-12 * max(1.0, np.abs(self.values).max()))

    def part(self, most: int, rng: np.random.Generator) -> "Known":
        """The best half of at most `most` runs and a random rest."""
        rows = leading(np.argsort(self.values, kind="stable"), most, rng)
        return replace(self, table=self.table.select(rows), values=self.values[rows])

    def told(self, metrics: Array) -> Array:
        """The objective (..., k) of predictions or draws (..., k, m), cut where no ratio exists."""
        return self.objective.value(self.objective.cut(metrics, self.reference), self.reference)


class Search(Design):
    """Subclasses are dataclasses with the fields `first` and `starts`, and write `_search`."""

    first: str
    """The design of the first round."""
    starts: int | None
    """Mixtures to be measured before the search begins; None: half as many as columns, 4 or more.
    """

    def _plan(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        from mixopt.designs import make_design  # the registry imports this module's subclasses

        return make_design(self.first).plan(Problem(space), count, rng)

    def _detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        known = measured(problem)
        reason = self._not_yet(problem.space, known)
        if reason is not None or known is None:
            notes = () if reason is None else (f"covering the space first: {reason}",)
            return Plan(self._first(problem, known, count, rng), notes=notes)
        return self._search(problem, known, count, rng)

    def needed(self, space: Space) -> int:
        """Mixtures that must be measured before the search begins."""
        half = max(_LEAST_STARTS, (space.width + 1) // 2)
        return half if self.starts is None else self.starts

    @abstractmethod
    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        """Points chosen by what is known."""

    def _not_yet(self, space: Space, known: Known | None) -> str | None:
        """Why the points cover the space instead; None: the search may begin."""
        have, need = (0 if known is None else known.mixtures), self.needed(space)
        if have < need:
            return f"{have} of the {need} mixtures that a search starts from are measured"
        if known is not None and known.flat:
            return "the objective is the same in every run, so there is nothing to search for"
        if space.d == 1:
            return "one domain leaves one mixture"
        return None

    def _first(
        self, problem: Problem, known: Known | None, count: int, rng: np.random.Generator
    ) -> Array:
        """A first round, on mixtures that were not taken."""
        seen = np.empty((0, problem.space.width)) if known is None else known.table.weights
        if problem.candidates is None and len(seen) + len(_pending(problem)) == 0:
            return self._plan(problem.space, count, rng)
        wanted = self._plan(problem.space, 2 * count, rng)
        if problem.candidates is not None:
            wanted = _snapped(problem, wanted, seen, rng)
        return pick_apart(problem, wanted, count, seen)


def measured(problem: Problem) -> Known | None:
    """The finished runs that measured the objective; None where there are none.

    Raises DataError for a table without an objective.
    """
    if problem.table is None:
        return None
    if problem.objective is None:
        raise DataError("no objective to search for: name one in space.toml, [objective.NAME]")
    table, objective = _focused(problem.table, problem.objective)
    rows = np.flatnonzero(np.isfinite(table.losses).all(axis=1))
    if not len(rows):
        return None
    table = table.select(rows)
    reference = _reference(table, problem.space.reference)
    return Known(table, objective, reference, objective.value(table.losses, reference))


def pool(problem: Problem, centres: Array, count: int, rng: np.random.Generator) -> Array:
    """Mixtures among which to choose: the problem's candidates, else about `count` legal points.

    Half cover the space, half are mixtures of one of the `centres` (c, width) with those, so that
    the neighbourhood of each centre is searched at every distance.
    """
    if problem.candidates is not None:
        return problem.candidates
    space, half = problem.space, max(1, count // 2)
    wide = candidates(space, half, rng)
    near = centres[rng.integers(len(centres), size=half)]
    share = np.exp(rng.uniform(np.log(0.01), np.log(0.7), (half, 1)))
    local = (1.0 - share) * near + share * wide[rng.integers(len(wide), size=half)]
    inside = space.project(centres)
    return distinct(np.concatenate([inside, wide, space.project(local)]))


def pick_apart(problem: Problem, ranked: Array, count: int, seen: Array) -> Array:
    """`count` of the rows `ranked` (k, width), the best first, apart from each other and the rest.

    Gaps of .1 to the batch and to pending runs, and .02 to finished ones (`seen`), are halved
    until enough rows remain; a pool with too few rows is filled from the space, a space that is a
    single point by that point.
    """
    chosen = _greedy(problem, ranked, count, seen)
    if len(chosen) < count and problem.candidates is None:
        fill = problem.space.uniform(4 * count, np.random.default_rng(len(ranked)))
        chosen = _greedy(problem, np.concatenate([chosen, ranked, fill]), count, seen)
    if len(chosen) < count:  # fewer mixtures exist than were asked for: replicates
        left = np.concatenate([chosen, ranked])
        chosen = left[np.arange(count) % len(left)]
    return chosen


def untaken(problem: Problem, rows: Array, seen: Array) -> Array:
    """The rows that are neither run nor pending; all of them where none is left."""
    taken = np.concatenate([_pending(problem), seen])
    free = _nearest(problem.space, rows, taken) >= _LEAST_GAP
    return rows[free] if free.any() else rows


def best_rows(known: Known, count: int) -> Array:
    """The mixtures (up to count, width) of the best runs, replicates as their mean."""
    groups = mixture_groups(known.table.weights)
    labels, first = np.unique(groups, return_index=True)
    means = np.array([known.values[groups == label].mean() for label in labels])
    return known.table.weights[first[np.argsort(means, kind="stable")[:count]]]


def leading(order: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most `most` of the ranked rows, ascending: the first half of them and a random rest."""
    if len(order) <= most:
        return np.sort(order)
    half = most // 2
    return np.sort(np.concatenate([order[:half], rng.permutation(order[half:])[: most - half]]))


def with_pending(problem: Problem, rows: Array) -> Problem:
    """The problem with further rows (k, width) taken."""
    return replace(problem, pending=np.concatenate([_pending(problem), rows]))


def refocused(problem: Problem, known: Known) -> Problem:
    """The problem with only the runs and metrics of the search."""
    return replace(problem, table=known.table, objective=known.objective)


def _greedy(problem: Problem, ranked: Array, count: int, seen: Array) -> Array:
    space, pending = problem.space, _pending(problem)
    to_batch = np.full(len(ranked), np.inf)
    to_pending = _nearest(space, ranked, pending)
    to_seen = _nearest(space, ranked, seen)
    chosen: list[int] = []
    gap, near = APART, _NEAR_FINISHED
    while len(chosen) < count and gap > _LEAST_GAP:
        free = (np.minimum(to_batch, to_pending) >= gap) & (to_seen >= near)
        if not free.any():
            gap, near = gap / 2, near / 2
            continue
        index = int(free.argmax())
        chosen.append(index)
        to_batch = np.minimum(to_batch, distance(space, ranked, ranked[index]))
    return ranked[chosen]


def _nearest(space: Space, rows: Array, others: Array) -> Array:
    """L1 distance (k,) of each row to the nearest of the others; infinite without any."""
    found = np.full(len(rows), np.inf)
    for other in others:
        found = np.minimum(found, distance(space, rows, other))
    return found


def _pending(problem: Problem) -> Array:
    none = np.empty((0, problem.space.width))
    return none if problem.pending is None else problem.pending


def _snapped(problem: Problem, wanted: Array, seen: Array, rng: np.random.Generator) -> Array:
    """The candidates nearest to the wanted points, in their order, then the others at random."""
    assert problem.candidates is not None
    left = problem.candidates
    order: list[int] = []
    for row in wanted:
        away = distance(problem.space, left, row)
        away[order] = np.inf
        if np.isfinite(away).any():
            order.append(int(away.argmin()))
    rest = np.setdiff1d(rng.permutation(len(left)), order, assume_unique=True)
    return left[np.concatenate([np.array(order, dtype=np.int64), rest])]


def _focused(table: Table, objective: Objective) -> tuple[Table, Objective]:
    """Both without the metrics that play no part."""
    used: NDArray[np.int64] = np.flatnonzero(objective.weights > 0)
    if len(used) == len(objective.metrics):
        return table, objective
    names = tuple(table.metrics[i] for i in used)
    scale = None if objective.scale is None else objective.scale[used]
    ceilings = None if objective.ceilings is None else objective.ceilings[used]
    return (
        replace(
            table,
            losses=table.losses[:, used],
            metrics=names,
            directions=table.directions[used],
            own=table.own[used],
        ),
        replace(
            objective,
            metrics=names,
            weights=objective.weights[used],
            scale=scale,
            ceilings=ceilings,
        ),
    )


def _reference(table: Table, row: Array) -> Array:
    """Losses (m,) of p0' where it was run, else the mean of all runs."""
    same = np.abs(table.weights - row).max(axis=1) < _SAME
    return table.losses[same].mean(axis=0) if same.any() else table.losses.mean(axis=0)
