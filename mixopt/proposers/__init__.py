"""Proposers: ways to decide on mixtures once a law is fitted, by name; and their ranking."""

from typing import TYPE_CHECKING

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixopt.problem import Problem
    from mixopt.proposers.base import Proposer

PROPOSERS = {
    "exact": Entry("mixopt.proposers.exact:Exact"),
    "simulate": Entry("mixopt.proposers.simulate:Simulate"),
}


def propose(
    method: str, problem: "Problem", count: int, rng: "np.random.Generator"
) -> "NDArray[np.float64]":
    """Up to `count` different mixtures (count, width) by the proposer called `method`, best first.

    Fewer come back where the limits leave no room for that many. Raises DataError for a problem
    without a law or an objective, ConfigError for an unknown method.
    """
    return make_proposer(method).propose(problem, count, rng)


def make_proposer(method: str) -> "Proposer":
    """The proposer called `method`. Raises ConfigError for an unknown one."""
    return make(PROPOSERS, "proposer", method, {})
