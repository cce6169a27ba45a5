"""RegMix: gradient-boosted trees on the shares, a model a metric (Liu et al., arXiv:2407.01492).

Rounds and learning rate are the paper's; there is no early stopping, because the paper's notebook
stops on its test set. Trees cannot split fewer runs than two leaves hold, so leaves shrink with
the swarm: LightGBM's 20 runs a leaf at RegMix's 512 runs, 3 at small swarms.
"""

from dataclasses import dataclass, replace
from typing import Self

import lightgbm
import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError, NotFittedError
from mixopt.laws.base import Array, Info, Law, bootstrap, standardised

_FASTER = 10
"""Members of the bootstrap take fewer rounds, each as much larger."""


@dataclass
class RegMix(Law):
    """LightGBM with 1000 rounds of .01; its sd comes from bootstrap refits of `members` models.

    `noise_` is the sd of out-of-bag residuals, lack of fit included.
    """

    rounds: int = 1000
    learning_rate: float = 0.01
    runs_a_leaf: int | None = None
    """None: 20 for every 512 runs, at least 3, at most 20."""
    members: int = 8
    """0 for none: the sd and `noise_` are then NaN, not known."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.members == 1 or self.members < 0:
            raise ConfigError(f"regmix: expected members of 0, or 2 and more, got {self.members}")

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        z, self.centre_, self.spread_ = standardised(losses)
        self.trees_ = self._grow(weights, z, self.rounds, self.learning_rate)
        rng = np.random.default_rng(self.seed)
        bags = [bootstrap(weights, losses, rng) for _ in range(self.members)]
        rounds, rate = max(1, self.rounds // _FASTER), self.learning_rate * _FASTER
        self.members_ = [self._grow(weights[bag], z[bag], rounds, rate) for bag in bags]
        self.noise_ = self.spread_ * self._out_of_bag(weights, z, bags)

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        return self.centre_ + self.spread_ * _evaluate(self.trees_, weights)

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        mean = self._mean(weights, scales)
        if not self.members_:
            return mean, np.full(mean.shape, np.nan)
        members = np.stack([_evaluate(trees, weights) for trees in self.members_])
        return mean, self.spread_ * members.std(axis=0, ddof=1)

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws, (draws, k, m): Gaussian with the covariance of the bootstrap members."""
        rows = self._checked(weights)
        if not self.members_:
            raise NotFittedError(
                "regmix was fitted without members, so it has no draws: set members"
            )
        members = np.stack([_evaluate(trees, rows) for trees in self.members_])
        shares = rng.standard_normal((draws, len(members))) / np.sqrt(len(members) - 1)
        apart = np.tensordot(shares, members - members.mean(axis=0), axes=1)
        return self._mean(rows, scales) + self.spread_ * apart

    def mean_only(self) -> Self:
        """Without the bootstrap members."""
        return replace(self, members=0)

    def _grow(self, weights: Array, z: Array, rounds: int, rate: float) -> list[str]:
        """One model a metric, as LightGBM's own text."""
        scaled = min(20, max(3, round(len(weights) * 20 / 512)))
        options = {
            "learning_rate": rate,
            "min_data_in_leaf": self.runs_a_leaf or scaled,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,  # the choice by timing would not repeat
            "num_threads": 1,
            "verbosity": -1,
        }
        models = []
        for column in z.T:
            rows = np.isfinite(column)
            data = lightgbm.Dataset(weights[rows], column[rows])
            models.append(lightgbm.train(options, data, rounds).model_to_string())
        return models

    def _out_of_bag(self, weights: Array, z: Array, bags: list[NDArray[np.int64]]) -> Array:
        """Root mean square residual (m,) of members on the runs that they did not see."""
        if not bags:
            return np.full(z.shape[1], np.nan)
        squares: list[Array] = []
        for bag, trees in zip(bags, self.members_):
            unseen = np.setdiff1d(np.arange(len(weights)), bag)
            squares.append((z[unseen] - _evaluate(trees, weights[unseen])) ** 2)
        pooled = np.concatenate([np.ones((1, z.shape[1])), *squares])  # one run is never unseen
        return np.sqrt(np.nanmean(pooled, axis=0))


def _evaluate(models: list[str], weights: Array) -> Array:
    """(k, m) of LightGBM models kept as text."""
    if not len(weights):
        return np.empty((0, len(models)))
    boosters = (lightgbm.Booster(model_str=text) for text in models)
    columns = [np.asarray(booster.predict(weights, num_threads=1)) for booster in boosters]
    return np.stack(columns, axis=1)
