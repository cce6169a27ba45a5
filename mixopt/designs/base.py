"""Design: the contract of a way to plan runs; a search is a design that reads the table first."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.problem import Problem
from mixopt.space import Space

Array = NDArray[np.float64]

APART = 1e-4  # L1 distance below which two points are one


@dataclass(frozen=True, eq=False)
class Plan:
    """The points of a plan, and what there is to say of them."""

    rows: Array
    """(count, width)"""
    searched: bool = False
    """Whether results chose the points; else they cover the space, as a first round does."""
    notes: tuple[str, ...] = ()
    """What people should know: why a search did not search yet, what stood in for what."""
    fidelity: NDArray[np.int64] | None = None
    """(count,) index into the problem's fidelities; None: the study's usual runs."""


class Design(ABC):
    """Plans runs inside the limits of the problem's space. Subclasses are dataclasses.

    The same generator state gives the same points. Points differ from each other, except in a
    space that is a single point.
    """

    def plan(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        """`count` points of the problem's space, (count, width).

        Raises DataError when `count` is below 1.
        """
        return self.detailed(problem, count, rng).rows

    def detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        """The points of `plan` with what there is to say of them."""
        if count < 1:
            raise DataError(f"expected a count of 1 or more runs to plan, got {count}")
        plan = self._detailed(problem, count, rng)
        assert plan.rows.shape == (count, problem.space.width)
        return plan

    def _detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        return Plan(self._plan(problem.space, count, rng))

    @abstractmethod
    def _plan(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        """Points (count, width) inside the limits."""


def distinct(rows: Array) -> Array:
    """The rows (k, width) without those that repeat an earlier one to 1e-4, in the same order."""
    cells = np.round(rows / (APART / 2)).astype(np.int64)
    first = np.unique(cells, axis=0, return_index=True)[1]
    return rows[np.sort(first)]


def completed(space: Space, rows: Array, count: int, rng: np.random.Generator) -> Array:
    """The first `count` distinct rows; uniform points of the space where they are too few."""
    rows = distinct(rows)
    for _ in range(20):
        if len(rows) >= count:
            return rows[:count]
        rows = distinct(np.concatenate([rows, space.uniform(count, rng)]))
    fill = np.resize(np.arange(len(rows)), count)  # a space with fewer points than were asked for
    return rows[fill]


def hopeless(found: int, tried: int, draws: int) -> bool:
    """Whether fewer than one in `draws` of the points tried was legal: trying on is vain."""
    return tried >= 256 and found * draws < tried
