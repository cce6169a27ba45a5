"""Goal: what a proposer minimises, G(w) = J(law(w)) / s_J + strength * KL(w || p0').

s_J is the standard deviation of the objective over the swarm and p0' the prior inside the limits:
multiplying a metric by a number changes neither the minimiser nor what a strength means. Where the
law predicts a loss that cannot be (0 or less, for an objective of ratios), G is infinite: there the
law extrapolates to nonsense.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import Law, in_blocks
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.smoothing import Soft, Weighted
from mixopt.space import Space

Array = NDArray[np.float64]

_CHUNK = 8192
"""Rows predicted at once."""

_NEARBY = 1e-6


@dataclass(frozen=True)
class Goal:
    """The function of a row that a proposer minimises; lower is better."""

    space: Space
    law: Law
    objective: Objective | Soft | Weighted
    reference: Array
    """(m,) predicted metrics of p0'."""
    spread: float
    """s_J; 0 where the objective is the same for every mixture."""
    strength: float = 0.0

    @classmethod
    def of(cls, problem: Problem, strength: float = 0.0) -> "Goal":
        """The goal of a problem that has a law and an objective."""
        assert problem.law is not None
        assert problem.objective is not None
        reference = problem.law.predict(problem.space.reference[None])[0]
        spread = _spread(problem, reference)
        return cls(problem.space, problem.law, problem.objective, reference, spread, strength)

    def softened(self, temperature: float) -> "Goal":
        """The goal with kinks as wide as `temperature` s_J."""
        if isinstance(self.objective, Weighted):
            return replace(self, objective=self.objective.softened(temperature))
        assert isinstance(self.objective, Objective)
        return replace(self, objective=Soft(self.objective, temperature * self.unit))

    @property
    def unit(self) -> float:
        """What one unit of G is worth in the objective's: s_J, or 1 where it is 0."""
        return self.spread if self.spread > 0 else 1.0

    def objective_values(self, rows: Array) -> Array:
        """J of the predictions, in its own units, (k,); infinite where they cannot be."""
        return in_blocks(lambda part: self._evaluated(self.law.predict(part)), rows, _CHUNK)

    def told(self, metrics: Array) -> Array:
        """J (..., k) of predicted or drawn metrics (..., k, m), losses cut at 1 % of p0's."""
        return self.objective.value(self.objective.cut(metrics, self.reference), self.reference)

    def values(self, rows: Array) -> Array:
        """G (k,)."""
        return self.objective_values(rows) / self.unit + self.strength * self.divergence(rows)

    def gradients(self, rows: Array) -> Array:
        """dG/dw (k, width)."""
        metrics = self.objective.cut(self.law.predict(rows), self.reference)
        by_metric = self.objective.gradient(metrics, self.reference)
        slope = np.einsum("km,kmd->kd", by_metric, self.law.gradient(rows)) / self.unit
        if self.strength == 0:
            return slope
        return slope + self.strength * self._fractions * (_log_ratio(rows, self._prior) + 1.0)

    def divergence(self, rows: Array) -> Array:
        """KL(w || p0'), the mean over phases, (k,); infinite where p0' leaves a domain out."""
        if self.strength == 0:
            return np.zeros(len(rows))
        terms = np.where(rows > 0, rows * _log_ratio(rows, self._prior), 0.0)
        return terms @ self._fractions

    def is_flat(self, values: Array) -> bool:
        """Whether every mixture is as good, by its values: then the prior is the answer."""
        finite = values[np.isfinite(values)]
        return bool(np.ptp(finite) <= 1e-9 * max(1.0, np.abs(finite).max()))

    @property
    def is_convex(self) -> bool:
        """Whether law and objective are."""
        return self.law.convex and self.objective.convex

    def is_stepped(self, rows: Array) -> bool:
        """Whether the law is constant around each of the rows, as trees are: no slope to follow."""
        nearby = rows + _NEARBY * (self.space.polytope.interior - rows)
        return bool((self.values(rows) == self.values(nearby)).all())

    def _evaluated(self, metrics: Array) -> Array:
        values = self.told(metrics)
        if self.objective.kind == "absolute":
            return values
        possible = (metrics > 0) | (self.objective.weights == 0)
        return np.where(possible.all(axis=-1), values, np.inf)

    @property
    def _prior(self) -> Array:
        return self.space.reference

    @property
    def _fractions(self) -> Array:
        return np.repeat(np.asarray(self.space.phases), self.space.d)


def _log_ratio(rows: Array, prior: Array) -> Array:
    """ln(w / p), with the smallest float in place of zero."""
    tiny = np.finfo(np.float64).tiny
    return np.log(np.maximum(rows, tiny)) - np.log(np.maximum(prior, tiny))


def _spread(problem: Problem, reference: Array) -> float:
    """sd of the objective over the measured runs; of its predictions where none is complete."""
    assert problem.law is not None
    assert problem.objective is not None
    values = np.empty(0)
    if problem.table is not None:
        values = problem.objective.value(problem.table.losses, reference)
        values = values[np.isfinite(values)]
    if len(values) < 2:
        predicted = problem.law.predict(problem.law.train_weights_)
        values = problem.objective.value(predicted, reference)
    sd = float(values.std())
    return sd if sd > 1e-12 * np.abs(values).max() else 0.0
