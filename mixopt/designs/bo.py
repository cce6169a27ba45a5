"""bo: Bayesian optimisation of the objective, a Gaussian process on sqrt(w) and qLogNEI.

The process sees the objective alone, not its metrics, so it can show harm, thresholds and
over-repetition, at the price of more runs than a law of each metric needs where worlds are smooth.
A process that stays singular under jitter leaves the batch to `edl_greedy`, and says so.
"""

from dataclasses import dataclass, replace

import numpy as np

from mixopt.bo.acquire import WIDEST, Acquisition, next_point
from mixopt.bo.model import Observations, SingleTaskGP, SingularError, fit_process, posterior
from mixopt.designs.base import Array, Plan
from mixopt.designs.edl_greedy import EDLGreedy
from mixopt.designs.search import (
    Known,
    Search,
    best_rows,
    leading,
    measured,
    pick_apart,
    pool,
    with_pending,
)
from mixopt.errors import DataError
from mixopt.laws.base import mixture_groups
from mixopt.noise import anchor_noise
from mixopt.problem import Problem
from mixopt.proposers.rounding import rounded
from mixopt.warm_start import Trend

_CENTRES = 8
_WARM_STARTS = 4
_ZOOMS = 5
"""Times that a recommendation is sought closer to the best of the time before."""


@dataclass
class BO(Search):
    """Points of greatest expected improvement, each given those before it."""

    first: str = "spacefill"
    starts: int | None = None
    pool: int = 600
    """Mixtures from the best of which each climb starts."""
    most: int = 500
    """Mixtures that the process learns from: of more, the best and a random rest."""

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        data, notes = self._observations(known, rng)
        trend = None if problem.warm is None else problem.warm.trend(problem.space, known)
        try:
            rows = self._batch(problem, known, data, trend, count, rng)
        except SingularError as error:
            fallback = EDLGreedy(self.first, self.starts)
            plan = fallback.detailed(problem, count, rng)
            return Plan(plan.rows, plan.searched, (f"edl_greedy stands in: {error}", *plan.notes))
        if problem.space.width > WIDEST and problem.candidates is None:
            notes = (*notes, f"more than {WIDEST} columns: the best of sampled points, no climb")
        return Plan(rows, searched=True, notes=notes)

    def _detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        if problem.warm is not None and self.starts is None:  # earlier studies are a start
            return replace(self, starts=_WARM_STARTS)._detailed(problem, count, rng)
        return super()._detailed(problem, count, rng)

    def recommend(self, problem: Problem, rng: np.random.Generator) -> Array:
        """The mixture (width,) of lowest posterior mean: never the luckiest run.

        Raises DataError without finished runs, SingularError where the process has no answer.
        """
        known = measured(problem)
        if known is None:
            raise DataError("no finished run to recommend from: train what is planned")
        data, _ = self._observations(known, rng)
        trend = None if problem.warm is None else problem.warm.trend(problem.space, known)
        model, centres = fit_process(_residual(data, trend)), best_rows(known, _CENTRES)
        for _ in range(_ZOOMS):
            rows = pool(problem, centres, self.pool, rng)
            order = np.argsort(_expected(model, trend, rows), kind="stable")
            centres = rows[order[:_CENTRES]]
        if problem.candidates is not None:
            return centres[0]
        near = rounded(problem.space.polytope, centres)
        return near[np.argmin(_expected(model, trend, near))]

    def _batch(
        self,
        problem: Problem,
        known: Known,
        data: Observations,
        trend: Trend | None,
        count: int,
        rng: np.random.Generator,
    ) -> Array:
        model = fit_process(_residual(data, trend))
        chosen = np.empty((0, problem.space.width))
        for _ in range(count):
            left = with_pending(problem, chosen)
            assert left.pending is not None
            rows = pool(problem, best_rows(known, _CENTRES), self.pool, rng)
            seed = int(rng.integers(2**31))
            acquisition = Acquisition.of(model, data.rows, left.pending, seed, trend)
            values = acquisition.at(rows)
            ranked = rows[np.argsort(-values, kind="stable")]
            if problem.candidates is None and trend is None:
                best = next_point(acquisition, problem.space, rows, values)
                ranked = np.vstack([best, ranked])
            chosen = np.vstack([chosen, pick_apart(left, ranked, 1, known.table.weights)])
        return chosen

    def _observations(
        self, known: Known, rng: np.random.Generator
    ) -> tuple[Observations, tuple[str, ...]]:
        """Means of mixtures with the variance that replicates tell; of many mixtures a part."""
        groups = mixture_groups(known.table.weights)
        labels, first, sizes = np.unique(groups, return_index=True, return_counts=True)
        values = np.array([known.values[groups == label].mean() for label in labels])
        noise = anchor_noise(known.table, known.values[:, None])
        variances = None if noise is None else float(noise.sigma_int[0]) ** 2 / sizes
        rows, notes = known.table.weights[first], ()
        if len(rows) > self.most:
            part = leading(np.argsort(values, kind="stable"), self.most, rng)
            notes = (f"bo: {self.most} of {len(rows)} mixtures, the best half and a random one",)
            rows, values = rows[part], values[part]
            variances = None if variances is None else variances[part]
        return Observations(rows, values, variances), notes


def _residual(data: Observations, trend: Trend | None) -> Observations:
    """What the process learns: the objective less its trend."""
    return data if trend is None else replace(data, values=data.values - trend(data.rows))


def _expected(model: SingleTaskGP, trend: Trend | None, rows: Array) -> Array:
    mean, _ = posterior(model, rows)
    return mean if trend is None else mean + trend(rows)
