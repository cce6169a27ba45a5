"""Five made-up worlds in which laws are tried: true losses of any mixture, known without noise.

Targets need skills, and skills are learned from effective data with diminishing returns:
L_i = 2 + sum_s c_is (.1 + sum_j a_sj w_j^p_sj)^(-b_s). No law here has this form; on 64 runs of the
smooth world `edl` explains .96 of the held-out variance, as it does on 64 of RegMix's runs.

    smooth           four targets, each learned from all domains
    mean             as many targets as domains, each learned most from its own
    over-repetition  smooth; the best domain harms beyond 4 epochs, which few runs reach
    threshold        smooth; a domain gives a jump where its share passes a threshold
    harmful          smooth; a domain harms the targets with every share
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import Info, Law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.exact import Exact
from mixopt.space import Domain, Space

Array = NDArray[np.float64]
Losses = Callable[[Array], Array]

TARGETS = 4
SKILLS = 3
FOUR_EPOCHS = 0.25
"""Share of the over-repeated domain that the target reads four times."""


class World(NamedTuple):
    """Noise-free losses (k, m) of mixtures (k, d)."""

    d: int
    m: int
    losses: Losses

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the m losses."""
        return tuple(f"loss/domain{i}" for i in range(self.m))

    @property
    def objective(self) -> Objective:
        """The mean of ln(L_i / L_i(reference))."""
        return Objective("mean", "relative", self.metrics, np.ones(self.m))

    def value(self, rows: Array) -> Array:
        """The true objective (k,), against equal shares."""
        reference = self.losses(np.full((1, self.d), 1.0 / self.d))[0]
        return self.objective.value(self.losses(rows), reference)


@dataclass
class Oracle(Law):
    """The truth as a law, so that the best mixture is sought as a proposer seeks it."""

    world: World

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        """Nothing to learn."""

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        mean = self.world.losses(weights)
        return mean, np.zeros_like(mean)


def space_of(d: int) -> Space:
    """A space of d domains without limits, whose prior is equal shares."""
    return Space([Domain(f"domain{j}") for j in range(d)])


def best_mixture(world: World, space: Space) -> Array:
    """The mixture (d,) of the space with the lowest true objective."""
    rows = space.reference[None]
    truth = Oracle(world).fit(rows, world.losses(rows))
    problem = Problem(space, law=truth, objective=world.objective)
    search = Exact(samples=20_000, starts=16)
    return search.propose(problem, 1, np.random.default_rng(0))[0]


def smooth(d: int, rng: np.random.Generator) -> World:
    """Targets that learn from every domain, most from the first."""
    return World(d, TARGETS, _skilled(d, rng))


def mean_of_domains(d: int, rng: np.random.Generator) -> World:
    """A target and a skill for each domain; each target needs its own most, and a general one."""
    worth = 0.2 * rng.lognormal(0.0, 1.0, (d, d))
    np.fill_diagonal(worth, rng.lognormal(1.0, 0.3, d))
    need = 0.8 * np.eye(d)
    need[:, 0] += 0.2
    return World(d, d, _learned(worth, need, *_exponents(worth, rng)))


def over_repetition(d: int, rng: np.random.Generator) -> World:
    """The largest domain of the smooth optimum harms beyond a share that is read four times."""
    base = _skilled(d, rng)
    best = int(best_mixture(World(d, TARGETS, base), space_of(d)).argmax())

    def losses(rows: Array) -> Array:
        over = np.maximum(rows[:, [best]] - FOUR_EPOCHS, 0.0)
        return base(rows) * (1.0 + over**2 / (0.1 + over))

    return World(d, TARGETS, losses)


def threshold(d: int, rng: np.random.Generator) -> World:
    """All targets fall by 8 % where the share of the second domain passes .12."""
    base = _skilled(d, rng)
    return World(d, TARGETS, lambda rows: base(rows) * (1.0 - 0.08 * _step(rows[:, [1]], 0.12)))


def harmful(d: int, rng: np.random.Generator) -> World:
    """Shares of the third domain raise all targets."""
    base = _skilled(d, rng)
    return World(d, TARGETS, lambda rows: base(rows) * (1.0 + 0.5 * rows[:, [2]]))


def flat(d: int, rng: np.random.Generator) -> World:
    """Mixtures do nothing."""
    level = rng.uniform(2.0, 4.0, TARGETS)
    return World(d, TARGETS, lambda rows: np.tile(level, (len(rows), 1)))


def balanced(d: int, rng: np.random.Generator) -> World:
    """Every domain helps its own target, and the others alike: equal shares are best."""
    worth = rng.uniform(0.1, 0.5) + rng.uniform(1.0, 4.0) * np.eye(d)
    returns, power = np.full((d, d), 0.7), np.full(d, 0.5)
    return World(d, d, _learned(worth, np.eye(d), returns, power))


WORLDS: dict[str, Callable[[int, np.random.Generator], World]] = {
    "smooth": smooth,
    "mean of domains": mean_of_domains,
    "over-repetition": over_repetition,
    "threshold": threshold,
    "harmful domain": harmful,
}


def _skilled(d: int, rng: np.random.Generator) -> Losses:
    """Losses of four targets that need three skills to different degrees."""
    worth = rng.lognormal(0.0, 1.0, (SKILLS, d))
    worth[:, 0] = 4.5
    need = rng.dirichlet(np.ones(SKILLS), TARGETS)
    return _learned(worth, need, *_exponents(worth, rng))


def _exponents(worth: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """p (s, d) and b (s,)."""
    return rng.uniform(0.5, 1.0, worth.shape), rng.uniform(0.3, 0.7, len(worth))


def _learned(worth: Array, need: Array, returns: Array, power: Array) -> Losses:
    """The sum over skills, of worth a (s, d), need c (m, s) and exponents p (s, d) and b (s,)."""

    def losses(rows: Array) -> Array:
        data = np.einsum("ksd,sd->ks", rows[:, None, :] ** returns, worth)
        return 2.0 + (0.1 + data) ** -power @ need.T

    return losses


def _step(share: Array, where: float) -> Array:
    """From 0 to 1 around `where`, within about .02."""
    return 1.0 / (1.0 + np.exp(-(share - where) / 0.005))
