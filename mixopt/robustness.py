"""Whether the leading mixtures keep their order at another learning rate (arXiv:2512.24503).

    tau = Kendall's, between an objective of the tuned runs and of the same mixtures at that rate

Mixtures may differ in the rate that suits them, and then the order at one rate says little about
the mixtures. Only the ten best tuned ones are compared, because a decision is made among them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import mixture_groups
from mixopt.rank_moves import LEAST_TAU, kendall

Array = NDArray[np.float64]

LEADERS = 10
LEAST_MIXTURES = 5
"""Fewer cannot show that an order moves: of 4, two random orders often agree."""


@dataclass(frozen=True)
class RateMoves:
    """How the order of the leading mixtures at another rate compares with the tuned one."""

    mixtures: int = 0
    """Compared: in both arms, and among the best of the tuned one."""
    tau: float | None = None
    """None for fewer than two mixtures, or where a side is constant."""
    tau_interval: tuple[float, float] | None = None
    """90 %, over resampled mixtures."""
    lr_scale: float | None = None
    """The other rate by the tuned one."""

    @property
    def moves(self) -> bool:
        """Whether the orders agree too little for a gain to be claimed."""
        return self.mixtures >= LEAST_MIXTURES and self.tau is not None and self.tau < LEAST_TAU

    def to_json(self) -> dict[str, Any]:
        """The comparison for machines."""
        return asdict(self)


def rate_moves(
    tuned: tuple[Array, Array],
    arm: tuple[Array, Array],
    lr_scale: float,
    rng: np.random.Generator,
) -> RateMoves:
    """Compare two arms, each its mixtures (n, width) and an objective of them (n,), lower better.

    Runs of one mixture are averaged.

    >>> rows = np.eye(6)
    >>> values = np.arange(6.0)
    >>> rate_moves((rows, values), (rows, values[::-1]), 0.1, np.random.default_rng(0)).tau
    -1.0
    """
    groups = mixture_groups(np.vstack([tuned[0], arm[0]]))
    sides = [
        _means(groups[: len(tuned[0])], tuned[1]),
        _means(groups[len(tuned[0]) :], arm[1]),
    ]
    both = sorted(sides[0].keys() & sides[1].keys(), key=lambda one: sides[0][one])[:LEADERS]
    if len(both) < 2:
        return RateMoves(len(both), lr_scale=lr_scale)
    first, second = (np.array([side[one] for one in both]) for side in sides)
    tau, interval = kendall(first, second, rng)
    return RateMoves(len(both), tau, interval, lr_scale)


def least_agreed(found: Sequence[RateMoves]) -> RateMoves:
    """Of the comparisons at several rates, the one that agrees least."""
    known = [one for one in found if one.tau is not None]
    return min(known, key=lambda one: one.tau or 0.0) if known else RateMoves()


def _means(groups: NDArray[np.int64], values: Array) -> dict[int, float]:
    """Mean value of each group, of the values that are known."""
    known = np.isfinite(values)
    return {
        int(group): float(values[known & (groups == group)].mean())
        for group in np.unique(groups[known])
    }
