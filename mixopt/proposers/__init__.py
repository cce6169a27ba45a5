"""Proposers: ways to decide on mixtures once a law is fitted, by name; and their ranking."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixopt.problem import Problem
    from mixopt.proposers.base import Proposer

PROPOSERS = {
    "exact": Entry("mixopt.proposers.exact:Exact"),
    "mixmin": Entry("mixopt.proposers.mixmin:MixMin"),
    "mixmin_token": Entry("mixopt.proposers.mixmin_token:MixMinToken"),
    "natural": Entry("mixopt.proposers.natural:Natural"),
    "simulate": Entry("mixopt.proposers.simulate:Simulate"),
    "simulate_iterated": Entry("mixopt.proposers.simulate_iterated:SimulateIterated"),
    "tempered": Entry("mixopt.proposers.tempered:Tempered"),
    "uniform": Entry("mixopt.proposers.uniform:Uniform"),
    "unimax": Entry("mixopt.proposers.unimax:UniMax"),
    "utilimax": Entry("mixopt.proposers.utilimax:UtiliMax"),
}


def propose(
    method: str, problem: "Problem", count: int, rng: "np.random.Generator"
) -> "NDArray[np.float64]":
    """Up to `count` different mixtures (count, width) by the proposer called `method`, best first.

    Fewer come back where the limits leave no room for that many. Raises DataError for a problem
    without a law or an objective, ConfigError for an unknown method.
    """
    return make_proposer(method).propose(problem, count, rng)


def make_proposer(method: str, settings: Mapping[str, Any] | None = None) -> "Proposer":
    """The proposer called `method`. Raises ConfigError for an unknown one or unknown settings."""
    return make(PROPOSERS, "proposer", method, settings or {})
