"""Proposer: the contract of a way to decide on mixtures once a law is fitted."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.problem import Problem
from mixopt.proposers.rounding import rounded
from mixopt.space import Space

Array = NDArray[np.float64]

APART = 0.1
"""Smallest L1 distance between two candidates of one proposal."""


class Proposer(ABC):
    """Subclasses are dataclasses, their fields are settings; the table is the only state."""

    needs_law: ClassVar[bool] = True
    """Whether it asks a fitted law for an objective; False: runs or limits alone decide."""

    def propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        """Up to `count` different rows (count, width) inside the limits, the best first.

        Rows are rounded to 1e-4 (finer where the limits ask for it) and at least 0.1 apart in L1
        where the limits leave the room; fewer rows come back where they leave none.
        Raises DataError when the problem lacks a law or an objective and the proposer needs them,
        and where it needs runs that the table does not have.
        """
        if self.needs_law and problem.law is None:
            raise DataError("no law to propose from: run `mixopt fit` first")
        if self.needs_law and problem.objective is None:
            raise DataError("no objective to propose for: name one in space.toml, [objective.NAME]")
        if count < 1:
            raise DataError(f"expected a count of 1 or more proposals, got {count}")
        return self._propose(problem, count, rng)

    def quick(self) -> "Proposer":
        """A cheaper form, for picks by laws beside the one that decides."""
        return self

    def near(self, rows: Array) -> "Proposer":
        """The cheapest form, for picks by laws that hardly differ from one that picked `rows`."""
        return self.quick()

    @abstractmethod
    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        """Rows for a problem that has what the proposer needs."""


def everywhere(space: Space, shares: Array) -> Array:
    """One row (1, width): `shares` (d,) in every phase, moved into the limits and rounded."""
    return rounded(space.polytope, space.project(np.tile(shares, len(space.phases))[None]))


def distance(space: Space, rows: Array, row: Array) -> Array:
    """L1 distance of rows (k, width) to one row (width,), the mean over phases: (k,), at most 2."""
    return np.abs(rows - row) @ np.repeat(np.asarray(space.phases), space.d)
