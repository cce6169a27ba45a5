"""Soft objectives: kinks of `worst` and of ceilings rounded off, for solving, never for reporting.

worst:     t ln sum_i exp(r_i / t) for max_i r_i, too high by at most t ln m; r_i = ln(L_i / ref_i)
ceilings:  100 u ln(1 + exp(e_i / u)) for 100 max(0, e_i); e_i is the relative excess
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

from mixopt.objective import Kind, Objective

Array = NDArray[np.float64]

_PENALTY = 100.0
_EXCESS_WIDTH = 0.01
"""u for t = 1."""


@dataclass(frozen=True)
class Soft:
    """An objective without kinks; `width` is t, in the objective's units."""

    objective: Objective
    width: float

    convex = False

    @property
    def kind(self) -> Kind:
        """That of the objective."""
        return self.objective.kind

    @property
    def weights(self) -> Array:
        """(m,) those of the objective."""
        return self.objective.weights

    def cut(self, metrics: Array, reference: Array) -> Array:
        """As the objective cuts what a law predicts."""
        return self.objective.cut(metrics, reference)

    def value(self, metrics: Array, reference: Array) -> Array:
        """J (..., k) of oriented metrics (..., k, m)."""
        if self.objective.kind == "worst":
            ratios = self._ratios(metrics, reference)
            base = self.width * logsumexp(ratios / self.width, axis=-1)
        else:
            base = replace(self.objective, ceilings=None).value(metrics, reference)
        if self.objective.ceilings is None:
            return base
        return base + _PENALTY * self._u * np.logaddexp(0.0, self._excess(metrics)).sum(axis=-1)

    def gradient(self, metrics: Array, reference: Array) -> Array:
        """dJ/dL (..., k, m)."""
        if self.objective.kind == "worst":
            slope = np.zeros(np.shape(metrics))
            share = softmax(self._ratios(metrics, reference) / self.width, axis=-1)
            slope[..., self._used] = share / metrics[..., self._used]
        else:
            slope = replace(self.objective, ceilings=None).gradient(metrics, reference)
        if self.objective.ceilings is None:
            return slope
        slope[..., self._used] += _PENALTY * expit(self._excess(metrics)) / self._size
        return slope

    @property
    def _used(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.objective.weights > 0)

    @property
    def _u(self) -> float:
        return self.width * _EXCESS_WIDTH

    def _ratios(self, metrics: Array, reference: Array) -> Array:
        return np.log(metrics[..., self._used] / reference[self._used])

    def _excess(self, metrics: Array) -> Array:
        """Relative excess over the ceilings, in units of u."""
        assert self.objective.ceilings is not None
        over = metrics[..., self._used] - self.objective.ceilings[self._used]
        return over / (self._size * self._u)

    @property
    def _size(self) -> Array:
        """What an excess is relative to: the ceiling, 1 where there is none."""
        assert self.objective.ceilings is not None
        ceilings = np.abs(self.objective.ceilings[self._used])
        return np.where(np.isfinite(ceilings) & (ceilings > 0), ceilings, 1.0)


@dataclass(frozen=True, eq=False)
class Weighted:
    """sum_o weight_o J_o, an objective of objectives: for the mixtures between their optima."""

    parts: tuple["Objective | Soft | Weighted", ...]
    factors: Array
    """(o,) of the objectives, 0 or more."""

    @property
    def kind(self) -> Kind:
        """That of ratios, where any part takes some."""
        kinds = {part.kind for part in self._used}
        return "absolute" if kinds == {"absolute"} else "relative"

    @property
    def convex(self) -> bool:
        """Whether all parts are."""
        return all(part.convex for part in self._used)

    @property
    def weights(self) -> Array:
        """(m,) of the metrics whose ratios are taken."""
        parts = [part.weights for part in self._used if part.kind != "absolute"]
        return np.sum(parts, axis=0) if parts else self._used[0].weights

    def cut(self, metrics: Array, reference: Array) -> Array:
        """As the parts that take ratios cut what a law predicts."""
        return (
            metrics
            if self.kind == "absolute"
            else np.where(self.weights > 0, self._ratio_part.cut(metrics, reference), metrics)
        )

    def value(self, metrics: Array, reference: Array) -> Array:
        """J (..., k) of oriented metrics (..., k, m)."""
        values = [part.value(metrics, reference) for part in self.parts]
        return np.tensordot(self.factors, np.stack(values), axes=1)

    def gradient(self, metrics: Array, reference: Array) -> Array:
        """dJ/dL (..., k, m)."""
        slopes = [part.gradient(metrics, reference) for part in self.parts]
        return np.tensordot(self.factors, np.stack(slopes), axes=1)

    def softened(self, temperature: float) -> "Weighted":
        """The sum of the parts with kinks as wide as `temperature` of each part's unit."""
        parts = [
            Soft(part, temperature / factor) if isinstance(part, Objective) and factor > 0 else part
            for part, factor in zip(self.parts, self.factors.tolist())
        ]
        return Weighted(tuple(parts), self.factors)

    @property
    def _used(self) -> list["Objective | Soft | Weighted"]:
        return [part for part, factor in zip(self.parts, self.factors) if factor > 0]

    @property
    def _ratio_part(self) -> "Objective | Soft | Weighted":
        return next(part for part in self._used if part.kind != "absolute")


def is_kinked(objective: Objective | Soft | Weighted) -> bool:
    """Whether the objective has kinks, at which a descent would stop."""
    if isinstance(objective, Soft):
        return False
    if isinstance(objective, Weighted):
        return any(is_kinked(part) for part in objective.parts)
    return objective.kind == "worst" or objective.ceilings is not None
