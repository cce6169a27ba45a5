"""What is searched in benchmarks/search.py: finished tables replayed, and made-up worlds.

A finished table is a world in which only its mixtures exist and a run costs a look-up; a made-up
world has a loss for every mixture of the simplex, and noise. Regret is in % of a range: from the
best to the worst mixture of a table; from the best mixture to the mean of the space where worlds
are made up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from worlds import WORLDS, World, best_mixture, space_of

from mixopt.objective import Objective
from mixopt.space import Space
from mixopt.table import Table

Array = NDArray[np.float64]

WEIGHTINGS = 20
_WEIGHTING_SEED = 0
NOISE = 0.02
"""sd of a run in a made-up world, by the spread of each loss over the space."""
_EVEN = 1000


@dataclass(frozen=True, eq=False)
class Arena:
    """A world to search for one objective."""

    space: Space
    objective: Objective
    candidates: Array | None
    """(k, d) the only mixtures that exist; None: all."""
    first: Array
    """(FIRST, d) the mixtures that every search starts from."""
    run: Callable[[Array, np.random.Generator], Array]
    """Losses (n, m) that runs of mixtures (n, d) measure."""
    regret: Callable[[Array], Array]
    """Of mixtures (n, d) by the truth, in % (n,)."""


def goals(metrics: Sequence[str]) -> dict[str, Objective]:
    """Each metric alone, the mean of all, and positive weightings, drawn once and for all."""
    rng = np.random.default_rng(_WEIGHTING_SEED)
    shares = {metric: row for metric, row in zip(metrics, np.eye(len(metrics)))}
    shares["mean"] = np.ones(len(metrics))
    for number, row in enumerate(rng.dirichlet(np.ones(len(metrics)), WEIGHTINGS)):
        shares[f"weighting {number + 1}"] = row
    ones = np.ones(len(metrics))
    return {
        name: Objective(name, "absolute", tuple(metrics), row, scale=ones)
        for name, row in shares.items()
    }


def replayed(space: Space, table: Table, goal: Objective, seed: int, first: int) -> Arena:
    """A finished table as a world; its order and its first runs are drawn by the seed alone."""
    order = np.random.default_rng((seed, len(table))).permutation(len(table))
    rows, losses = table.weights[order], table.losses[order]
    value = goal.value(losses, np.zeros(losses.shape[1]))
    percent = 100.0 * (value - value.min()) / np.ptp(value)

    def at(mixtures: Array) -> NDArray[np.int64]:
        return np.abs(mixtures[:, None] - rows[None]).max(axis=2).argmin(axis=1)

    return Arena(
        space,
        goal,
        rows,
        rows[:first],
        lambda mixtures, rng: losses[at(mixtures)],
        lambda mixtures: percent[at(mixtures)],
    )


def made_up(kind: str, d: int, seed: int, first: int) -> Arena:
    """A world of a kind over the whole simplex; the first runs are uniform mixtures."""
    world, space, best, mean, spread = _world(kind, d, seed)

    def run(mixtures: Array, rng: np.random.Generator) -> Array:
        return world.losses(mixtures) + NOISE * spread * rng.standard_normal(
            (len(mixtures), world.m)
        )

    return Arena(
        space,
        world.objective,
        None,
        space.uniform(first, np.random.default_rng((seed, d, 1))),
        run,
        lambda mixtures: 100.0 * (world.value(mixtures) - best) / (mean - best),
    )


@cache
def _world(kind: str, d: int, seed: int) -> tuple[World, Space, float, float, Array]:
    """The world, its space, its best and mean objective, and the spread (m,) of its losses."""
    rng = np.random.default_rng((seed, d))
    world, space = WORLDS[kind](d, rng), space_of(d)
    even = space.uniform(_EVEN, rng)
    best = float(world.value(best_mixture(world, space)[None])[0])
    return world, space, best, float(world.value(even).mean()), world.losses(even).std(axis=0)
