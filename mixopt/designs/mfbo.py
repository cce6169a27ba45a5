"""mfbo: multi-fidelity search, which run of which size tells most of the best mixture per FLOP.

A first round of the cheapest runs covers the space; then three mixtures are run at the top, spread
over what the cheap ones say of them; then each run is the one whose expected fall of the lowest
posterior mean at the top (knowledge gradient, Frazier 2009) is largest for its cost. Where the
cheap size does not predict the top, its runs gain nothing and the budget moves up; where it
predicts perfectly, the top is hardly paid for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import Array, Plan
from mixopt.designs.search import (
    Known,
    Search,
    best_rows,
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
from mixopt.multifidelity import MultiFidelity, Points, gains_by_run
from mixopt.problem import Problem

TOP_RUNS = 3
"""Mixtures at the top before sizes are weighed against each other."""
_QUANTILES = (0.0, 0.25, 0.75)
"""Of what the cheaper runs predict, at which the first runs of the top lie."""
_CENTRES = 8
_TRIED = 200
_LEAST_GAIN = 0.01
"""Expected gain, in sd of the objective, below which no dear run is worth it ..."""
_AGREES = 0.8
"""... where the cheapest size explains so much of the variance at the top."""


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
                "mfbo chooses among sizes, got one: set sizes or tokens in proxy.toml, [confirm]"
            )
        points = self._points(problem, known, rng)
        kinds = len(problem.fidelities)
        law = MultiFidelity.fit(points, kinds)
        chosen, fidelity = np.empty((0, problem.space.width)), np.empty(0, dtype=np.int64)
        missing = TOP_RUNS - len(np.unique(mixture_groups(_at_top(points, kinds))))
        for _ in range(count):
            left = with_pending(problem, chosen)
            rows = pool(left, best_rows(known, _CENTRES), self.pool, rng)
            if missing > 0:
                row, kind = self._spread(left, law, points, rows, missing), kinds - 1
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
        rows = pool(refocused(problem, known), best_rows(known, _CENTRES), 4 * self.pool, rng)
        return rows[np.argmin(law.posterior(rows, np.full(len(rows), top))[0])]

    def _points(self, problem: Problem, known: Known, rng: np.random.Generator) -> Points:
        """The runs of the problem's fidelities; of many the top's, the best and a random rest."""
        kind = fidelity_index(known.table, problem.fidelities)
        rows = np.flatnonzero(kind >= 0)
        if len(rows) == 0:
            raise DataError("no finished run is of a size that proxy.toml names")
        if len(rows) > self.most:
            top = kind[rows] == len(problem.fidelities) - 1
            order = np.lexsort((known.values[rows], ~top))
            half = self.most // 2
            rest = rng.permutation(order[half:])[: self.most - half]
            rows = rows[np.sort(np.concatenate([order[:half], rest]))]
        return Points(
            known.table.weights[rows], kind[rows], known.values[rows], np.arange(len(rows))
        )

    def _spread(
        self, problem: Problem, law: MultiFidelity, points: Points, rows: Array, missing: int
    ) -> Array:
        """The next of the first mixtures at the top: at a quantile of what is predicted there."""
        top = len(problem.fidelities) - 1
        seen = _at_top(points, top + 1)
        free = untaken(problem, rows, seen)
        order = np.argsort(law.posterior(free, np.full(len(free), top))[0], kind="stable")
        place = int(_QUANTILES[TOP_RUNS - missing] * (len(free) - 1))
        return pick_apart(problem, free[order[place:]], 1, seen)[0]

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
        order = np.argsort(law.posterior(rows, np.full(len(rows), top))[0], kind="stable")
        tried = np.concatenate([order[: _TRIED // 2], rng.permutation(order[_TRIED // 2 :])])
        best: tuple[float, Array, int] | None = None
        for kind, fidelity in enumerate(problem.fidelities):
            seen = points.weights[points.kind == kind]
            free = untaken(problem, rows[tried[:_TRIED]], seen)
            gain = gains_by_run(law, rows, free, np.full(len(free), kind))
            if kind > 0 and law.agreement(0) > _AGREES:
                gain = np.where(gain < _LEAST_GAIN * law.spread[-1], 0.0, gain)
            worth = gain / fidelity.cost
            ranked = free[np.argsort(-worth, kind="stable")]
            if best is None or worth.max() > best[0]:
                best = (float(worth.max()), pick_apart(problem, ranked, 1, seen)[0], kind)
        assert best is not None
        return best[1], best[2]


def _at_top(points: Points, kinds: int) -> NDArray[np.float64]:
    return points.weights[points.kind == kinds - 1]
