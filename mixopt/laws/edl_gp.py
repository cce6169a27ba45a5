"""EDL-GP: (EDL + GP) / 2, the mean of the effective-data law and a Gaussian process, a metric.

EDL is right early and far out, the process where runs are many and where EDL cannot bend. With
shares p_e and p_g of a metric (a half each), a draw is one of EDL or one of the process:
    mean = p_e e + p_g g,   variance = p_e v_e + p_g v_g + p_e p_g (e - g)^2
v_e is the variance of EDL's curve alone: its lack of fit is what the two laws disagree by. One
factor a table widens mean and noise until 90 % intervals hold 90 % of the runs left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mixopt.errors import ConfigError
from mixopt.laws.base import Array, Info, Law, mixture_groups
from mixopt.laws.correlation import shrunk_correlation, tied_normals
from mixopt.laws.edl import EDL
from mixopt.laws.gp import GP

_COVERAGE = 0.9


class Members(NamedTuple):
    """What EDL and the process say of k rows: means and variances, (k, m) each."""

    edl: Array
    edl_variance: Array
    gp: Array
    gp_variance: Array


@dataclass
class EDLGP(Law):
    """The mean of `edl` and `gp`, with intervals that runs left out have checked.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 24)
    >>> losses = 2 + (0.1 + weights @ [[3.0], [1.0], [0.2]]) ** -0.5
    >>> law = EDLGP().fit(weights, losses)
    >>> bool(np.abs(law.predict(weights) - losses).max() < 0.05 * losses.std())
    True
    """

    start: int = 0
    """Seed of EDL's starting point."""
    folds: int = 5
    """Parts in which runs are left out, replicates together; 0: none are, nothing is widened."""

    def __post_init__(self) -> None:
        if self.folds < 0 or self.folds == 1:
            raise ConfigError(f"edl_gp: expected folds of 0, or 2 and more, got {self.folds}")

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.edl = EDL(self.start).fit(weights, losses)
        self.gp = GP().fit(weights, losses)
        held = self._held_out()
        self.shares_ = self._shares(held)
        self.factor_ = np.ones(1)
        self._judge(held)

    def _shares(self, held: Members) -> Array:
        """(m, 2) how much of EDL and of the process a metric's mean is; rows sum to 1."""
        return np.full((held.edl.shape[1], 2), 0.5)

    def _judge(self, held: Members) -> None:
        """Set noise, ties and the factor by what the runs left out turned out to be."""
        self.noise_ = self._noise()
        residuals = self.train_losses_ - self._mixed(held)
        self.correlation_ = shrunk_correlation(residuals)
        spread = np.sqrt(self._run_variance(held))
        known = (spread > 0) & np.isfinite(residuals)
        if known.any():
            sizes = np.abs(residuals[known]) / spread[known]
            reached = float(np.quantile(sizes, _COVERAGE)) / norm.ppf((1 + _COVERAGE) / 2)
            self.factor_ = np.array([max(1.0, reached)])
        self.noise_ = self._noise()

    def _held_out(self) -> Members:
        """The members at each run by the runs of other folds; NaN where nothing could be held."""
        shape = self.train_losses_.shape
        held = Members(*(np.full(shape, np.nan) for _ in Members._fields))
        for seen, out in _folds(self.train_weights_, self.folds):
            measured = np.isfinite(self.train_losses_[seen]).any(axis=0)
            parts = _members(self.edl.on(seen), self.gp.on(seen), self.train_weights_[out])
            for whole, values in zip(held, parts):
                whole[out] = np.where(measured, values, np.nan)
        return held

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        e, g = self.edl.predict(weights), self.gp.predict(weights)
        return self.shares_[:, 0] * e + self.shares_[:, 1] * g

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        members = _members(self.edl, self.gp, weights)
        return self._mixed(members), self.factor_ * np.sqrt(self._variance(members))

    def run_sd(self, weights: Array, scales: Array | None = None) -> Array:
        """sd (k, m) of what a new run would measure; EDL alone holds the noise in its own."""
        members = _members(self.edl, self.gp, self._checked(weights))
        return self.factor_ * np.sqrt(self._run_variance(members))

    def gradient(self, weights: Array) -> Array:
        """d L / d w, (k, m, d)."""
        p_e, p_g = self.shares_[:, :1], self.shares_[:, 1:]
        return p_e * self.edl.gradient(weights) + p_g * self.gp.gradient(weights)

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws of the noise-free mean, (draws, k, m), each of one member or the other.

        Which one is tied across metrics as residuals are.
        """
        rows = self._checked(weights)
        edl = self._edl_draws(rows, draws, np.random.default_rng(rng.integers(2**63)))
        gp = self.gp.sample(rows, draws, rng)
        coins = norm.cdf(tied_normals((draws, len(self.shares_)), self.correlation_, rng))
        picked = np.where((coins < self.shares_[:, 0])[:, None], edl, gp)
        mean = self._mean(rows, scales)
        return mean + self.factor_ * (picked - mean)

    def _edl_draws(self, rows: Array, draws: int, rng: np.random.Generator) -> Array:
        """(draws, k, m): of the curve, and with its lack of fit where EDL stands alone."""
        alone = self.shares_[:, 0] == 1
        if alone.all():
            return self.edl.sample(rows, draws, rng)
        curve = self.edl.curve_draws(rows, draws, rng)
        return np.where(alone, self.edl.sample(rows, draws, rng), curve) if alone.any() else curve

    def refitted(self, losses: Array) -> Self:
        """The law of the same runs with other losses (n, m), all settings kept."""
        self._require_fit()
        return self._with(self.edl.refitted(losses), self.gp.refitted(losses))

    def on(self, rows: NDArray[np.int64]) -> Self:
        """The law of some of its runs (n,), shares and factor kept."""
        self._require_fit()
        return self._with(self.edl.on(rows), self.gp.on(rows))

    def mean_only(self) -> Self:
        """Without the runs left out, which only the intervals need."""
        return replace(self, folds=0)

    def state(self) -> dict[str, Any]:
        """What `fit` learned; the members share the runs."""
        own = super().state()
        members = {"edl_": self.edl.state(), "gp_": self.gp.state()}
        shared = ("train_weights_", "train_losses_")
        kept = {
            name: {key: value for key, value in state.items() if key not in shared}
            for name, state in members.items()
        }
        return {**own, **kept}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become the fitted law that `state` was taken from; returns self."""
        shared = {key: state[key] for key in ("train_weights_", "train_losses_")}
        self.edl = EDL(self.start).restore({**state["edl_"], **shared})
        self.gp = GP().restore({**state["gp_"], **shared})
        own = {key: value for key, value in state.items() if key not in ("edl_", "gp_")}
        return super().restore(own)

    def parts(self) -> Mapping[str, Law]:
        """EDL and the process, fitted."""
        return {"edl": self.edl, "gp": self.gp}

    def notes(self) -> tuple[str, ...]:
        """What the members left out."""
        return (*self.edl.notes(), *self.gp.notes())

    def _with(self, edl: EDL, gp: GP) -> Self:
        """This law with other members."""
        law = replace(self).restore(self.state())
        law.edl, law.gp = edl, gp
        law.train_weights_, law.train_losses_ = gp.train_weights_, gp.train_losses_
        return law

    def _noise(self) -> Array:
        """(m,) the process tells noise from lack of fit, EDL does not."""
        return self.factor_ * np.where(self.shares_[:, 1] > 0, self.gp.noise_, self.edl.noise_)

    def _noise_draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return tied_normals(shape, self.correlation_, rng)

    def _mixed(self, members: Members) -> Array:
        return self.shares_[:, 0] * members.edl + self.shares_[:, 1] * members.gp

    def _variance(self, members: Members) -> Array:
        """(k, m) of the mean, before the factor."""
        p_e, p_g = self.shares_.T
        lack = np.where(p_e == 1, self.edl.noise_, 0.0)
        apart = (members.edl - members.gp) ** 2
        own = p_e * (members.edl_variance + lack**2) + p_g * members.gp_variance
        return own + p_e * p_g * apart

    def _run_variance(self, members: Members) -> Array:
        """(k, m) of a new run, before the factor."""
        noise = np.where(self.shares_[:, 1] > 0, self.gp.noise_, 0.0)
        return self._variance(members) + noise**2


def _members(edl: EDL, gp: GP, weights: Array) -> Members:
    mean, sd = gp.predict(weights, return_std=True)
    return Members(edl.predict(weights), edl.curve_sd(weights) ** 2, mean, sd**2)


def _folds(weights: Array, count: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(seen, left out) rows of each fold: mixtures dealt out in the order of their first runs."""
    groups = mixture_groups(weights)
    _, first = np.unique(groups, return_index=True)
    folds = np.argsort(np.argsort(first))[groups] % max(count, 1)
    if folds.max() == 0:
        return []
    return [
        (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)
    ]
