"""Planted laws: smooth functions of the mixture whose optimum is known."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from mixopt.laws.base import Info, Law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.table import Table

Array = NDArray[np.float64]
Plant = Callable[..., Problem]


@dataclass
class Planted(Law):
    """A function of the weights (k, width) -> (k, m) with its slopes (k, m, width), and an error.

    Draws move each metric by sd * sqrt(w) . xi: mixtures that are alike share their error.
    """

    convex = True

    curve: Callable[[Array], Array] = field(default=lambda w: w)
    slopes: Callable[[Array], Array] | None = None
    sd: float = 0.0

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.noise_ = np.zeros(losses.shape[1])

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        mean = self.curve(weights)
        return mean, np.full_like(mean, self.sd)

    def gradient(self, weights: Array) -> Array:
        return super().gradient(weights) if self.slopes is None else self.slopes(weights)

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        mean = self.curve(weights)
        xi = rng.standard_normal((draws, weights.shape[1], mean.shape[1]))
        return mean + self.sd * np.einsum("kj,njm->nkm", np.sqrt(weights), xi)


def _table(space: Space, weights: Array, losses: Array, metrics: tuple[str, ...]) -> Table:
    n, m = losses.shape
    return Table(
        ids=tuple(f"id{i}" for i in range(n)),
        names=tuple(f"run-{i}" for i in range(n)),
        weights=weights,
        losses=losses,
        metrics=metrics,
        directions=np.ones(m),
        scales=np.full((n, 3), np.nan),
        seed_block=np.zeros(n, dtype=np.int64),
        round=np.zeros(n, dtype=np.int64),
        origins=("design",) * n,
        cohorts=("",) * n,
        own=np.full(m, -1),
        tokens=space.tokens,
    )


@pytest.fixture
def plant() -> Plant:
    """plant(curve, space or d) -> a problem with a fitted law, a table of 40 runs, an objective."""

    def make(
        curve: Callable[[Array], Array],
        space: Space | int,
        kind: str = "absolute",
        slopes: Callable[[Array], Array] | None = None,
        sd: float = 0.0,
        ceilings: Array | None = None,
    ) -> Problem:
        if isinstance(space, int):
            space = Space([Domain(f"d{j}") for j in range(space)])
        weights = space.uniform(40, np.random.default_rng(0))
        losses = curve(weights)
        m = losses.shape[1]
        metrics = tuple(f"loss/d{i}" for i in range(m))
        law = Planted(curve=curve, slopes=slopes, sd=sd).fit(weights, losses)
        goal = Objective("mean", kind, metrics, np.ones(m), np.ones(m), ceilings)
        return Problem(space, _table(space, weights, losses, metrics), law, goal)

    return make
