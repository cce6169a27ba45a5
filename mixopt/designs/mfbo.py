"""mfbo: multi-fidelity search, which run of which kind tells most of the best mixture per FLOP.

A first round of the cheapest runs covers the space; then three mixtures of it are run at the top,
spread over their results; then each run is the one whose expected fall of the lowest posterior mean
at the top (knowledge gradient, Frazier 2009) is largest for its cost. While a cheaper kind is all
but one with the top, the top takes at most .7 of the cost. Where the cheaper kinds say little of
the top, or its runs tell each other better without them, `bo` plans and recommends from the top
alone, and the plan says so.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import Array, Plan
from mixopt.designs.bo import BO
from mixopt.designs.search import (
    Known,
    Search,
    leading,
    measured,
    pick_apart,
    pool,
    refocused,
    untaken,
    with_pending,
)
from mixopt.errors import DataError
from mixopt.fidelity import fidelity_index
from mixopt.laws.base import mixture_groups
from mixopt.multifidelity import MultiFidelity, Points, disagree, gains_by_run
from mixopt.problem import Problem
from mixopt.proposers.rounding import rounded

TOP_RUNS = 3
"""Mixtures at the top before sizes are weighed against each other."""
_QUANTILES = (0.0, 0.25, 0.75)
"""Of what the cheaper runs predict, at which the first runs of the top lie."""
_CENTRES = 8
_ZOOMS = 5
"""Times that the optimum at the top is sought closer to the best of the time before."""
_TRIED = 200
_TOP_SHARE = 0.7
"""Of the cost that runs of the top may take ..."""
_AGREES = 0.96
"""... while a cheaper kind has so much of its variance in common with the top; .91 a priori."""


@dataclass
class MFBO(Search):
    """Runs of the problem's fidelities, the top one last, by expected gain a FLOP."""

    first: str = "spacefill"
    starts: int | None = None
    pool: int = 300
    """Mixtures over which the optimum at the top is sought."""
    most: int = 400
    """Runs that the process learns from: of more, those of the top and the best of the others."""

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        if len(problem.fidelities) < 2:
            raise DataError(
                "mfbo chooses among kinds of runs, got one: set sizes or tokens in proxy.toml, "
                "[confirm], or record metrics on the way, such as bpb@0.5/DOMAIN"
            )
        points = self._points(problem, known, rng)
        kinds = len(problem.fidelities)
        law = MultiFidelity.fit(points, kinds)
        if self._apart(points, law):
            return self._alone(problem, known, count, rng)
        chosen, fidelity = np.empty((0, problem.space.width)), np.empty(0, dtype=np.int64)
        missing = TOP_RUNS - len(np.unique(mixture_groups(_at_top(points, kinds))))
        for _ in range(count):
            left = with_pending(problem, chosen)
            rows = pool(left, self._best(left, law, rng), self.pool, rng)
            if missing > 0 and (points.kind < kinds - 1).any():
                row, kind = self._spread(left, law, points, missing), kinds - 1
            else:
                row, kind = self._worth(left, law, points, rows, rng)
            missing -= kind == kinds - 1
            law = law.with_points(row[None], np.array([kind]))
            points = law.points
            chosen, fidelity = np.vstack([chosen, row]), np.append(fidelity, kind)
        return Plan(chosen, searched=True, fidelity=fidelity)

    def recommend(self, problem: Problem, rng: np.random.Generator) -> Array:
        """The mixture (width,) of lowest posterior mean at the top.

        Raises DataError without finished runs.
        """
        known = measured(problem)
        if known is None:
            raise DataError("no finished run to recommend from: train what is planned")
        points, top = self._points(problem, known, rng), len(problem.fidelities) - 1
        law = MultiFidelity.fit(points, top + 1)
        if self._apart(points, law):
            return BO().recommend(_top_only(problem, known), rng)
        best = self._best(problem, law, rng)
        if problem.candidates is not None:
            return best[0]
        near = rounded(problem.space.polytope, best)
        return near[np.argmin(law.mean(near, np.full(len(near), top)))]

    def _apart(self, points: Points, law: MultiFidelity) -> bool:
        """Whether the cheaper runs mislead; asked once three mixtures were run at the top."""
        mixtures = len(np.unique(mixture_groups(_at_top(points, len(law.centre)))))
        return mixtures >= TOP_RUNS and disagree(law)

    def _alone(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        """What `bo` plans from the runs of the top."""
        plan = BO(self.first, TOP_RUNS).detailed(_top_only(problem, known), count, rng)
        note = "mfbo: the cheaper runs tell those of the top worse than these tell each other: bo"
        top = np.full(count, len(problem.fidelities) - 1)
        return Plan(plan.rows, plan.searched, (f"{note} at the top alone", *plan.notes), top)

    def _best(self, problem: Problem, law: MultiFidelity, rng: np.random.Generator) -> Array:
        """Mixtures of lowest posterior mean at the top, the best first, sought ever closer."""
        top = len(problem.fidelities) - 1
        centres = law.points.weights
        for _ in range(_ZOOMS):
            rows = pool(problem, centres, self.pool, rng)
            order = np.argsort(law.mean(rows, np.full(len(rows), top)), kind="stable")
            centres = rows[order[:_CENTRES]]
        return centres

    def _points(self, problem: Problem, known: Known, rng: np.random.Generator) -> Points:
        """The runs of the problem's fidelities; of many the top's, the best and a random rest."""
        kind = fidelity_index(known.table, problem.fidelities)
        rows = np.flatnonzero(kind >= 0)
        if len(rows) == 0:
            raise DataError("no finished run is of a size that proxy.toml names")
        if len(rows) > self.most:
            top = kind[rows] == len(problem.fidelities) - 1
            rows = rows[leading(np.lexsort((known.values[rows], ~top)), self.most, rng)]
        names = np.array(known.table.ids)[rows]
        run = np.unique(names, return_inverse=True)[1].astype(np.int64)
        return Points(known.table.weights[rows], kind[rows], known.values[rows], run)

    def _spread(self, problem: Problem, law: MultiFidelity, points: Points, missing: int) -> Array:
        """The next of the first mixtures at the top: one that was run below, at a quantile there.

        What was measured at both tells in which units the sizes speak.
        """
        top = len(problem.fidelities) - 1
        below = points.weights[points.kind < top]
        free = untaken(problem, below, _at_top(points, top + 1))
        order = np.argsort(law.mean(free, np.full(len(free), top)), kind="stable")
        return free[order[int(_QUANTILES[TOP_RUNS - missing] * (len(free) - 1))]]

    def _worth(
        self,
        problem: Problem,
        law: MultiFidelity,
        points: Points,
        rows: Array,
        rng: np.random.Generator,
    ) -> tuple[Array, int]:
        """The run (mixture, kind) of the greatest expected gain a cost."""
        top = len(problem.fidelities) - 1
        order = np.argsort(law.mean(rows, np.full(len(rows), top)), kind="stable")
        tried = np.concatenate([order[: _TRIED // 2], rng.permutation(order[_TRIED // 2 :])])
        best: tuple[float, Array, int] | None = None
        for kind, fidelity in enumerate(problem.fidelities):
            if not fidelity.planned or (kind == top and _paid(problem, law) > _TOP_SHARE):
                continue
            seen = points.weights[points.kind == kind]
            free = untaken(problem, rows[tried[:_TRIED]], seen)
            gain = gains_by_run(law, rows, free, np.full(len(free), kind))
            worth = gain / fidelity.cost
            ranked = free[np.argsort(-worth, kind="stable")]
            if best is None or worth.max() > best[0]:
                best = (float(worth.max()), pick_apart(problem, ranked, 1, seen)[0], kind)
        assert best is not None
        return best[1], best[2]


def _paid(problem: Problem, law: MultiFidelity) -> float:
    """The top's share of what all runs cost; 0 where no cheaper kind was run that agrees."""
    kinds = problem.fidelities
    count = np.bincount(law.points.kind, minlength=len(kinds))
    below = [kind for kind, one in enumerate(kinds[:-1]) if one.planned and count[kind]]
    if not any(law.agreement(kind) > _AGREES for kind in below):
        return 0.0
    cost = np.array([one.cost if one.planned else 0.0 for one in kinds]) * count
    return float(cost[-1] / cost.sum())


def _top_only(problem: Problem, known: Known) -> Problem:
    """The problem with the runs of the top alone."""
    at = fidelity_index(known.table, problem.fidelities) == len(problem.fidelities) - 1
    left = refocused(problem, known)
    return replace(left, table=known.table.select(at), fidelities=())


def _at_top(points: Points, kinds: int) -> NDArray[np.float64]:
    return points.weights[points.kind == kinds - 1]
