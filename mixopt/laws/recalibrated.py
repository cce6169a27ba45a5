"""Recalibrated law: a law of the small scale, carried to larger ones by a line a metric.

The small scale is the one of most mixtures; every other scale with at least four mixtures gets the
lines of `mixopt.recalibration`. Only these scales can be asked for: between and beyond them nothing
is claimed. Runs of one scale, or of no known one, leave the law of that scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import DataError
from mixopt.laws import make_law
from mixopt.laws.base import Array, Info, Law, mixture_groups
from mixopt.laws.correlation import shrunk_correlation, tied_normals
from mixopt.laws.misfit import misfit_draws, misfit_length
from mixopt.laws.scales import same_scale, scale_groups
from mixopt.recalibration import LEAST_ANCHORS, Recalibration, recalibrate


class _Target(NamedTuple):
    """One larger scale."""

    scale: Array
    """(3,)"""
    line: Recalibration


@dataclass
class Recalibrated(Law):
    """`law` fitted to the small scale, and lines to each larger one.

    EDL by default: where it is right it stays right at other sizes, while a process fitted closely
    at a small size carries that size's own wrinkles along.

    `scale` is where predictions are made unless told; None: the largest of the runs.
    """

    over_scale: ClassVar[bool] = True

    law: str = "edl"
    scale: tuple[float, float, float] | None = None

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        groups = scale_groups(info.scales, len(weights))
        mixtures = [len(np.unique(weights[groups == g], axis=0)) for g in range(groups.max() + 1)]
        self.small_rows_ = groups == int(np.argmax(mixtures))
        rows = np.flatnonzero(self.small_rows_)
        self.small = make_law(self.law).fit(weights[rows], losses[rows], _some(info, rows))
        if len(mixtures) > 1 and sorted(mixtures)[-2] < LEAST_ANCHORS:
            raise DataError(
                f"expected anchors of at least {LEAST_ANCHORS} mixtures at a second scale, got "
                f"{sorted(mixtures)[-2]}: run more, or fit the runs of one scale alone"
            )
        self._carry(losses)

    def refitted(self, losses: Array) -> Self:
        """The law of the same runs with other losses (n, m), settings kept."""
        self._require_fit()
        law = replace(self).restore(self.state())
        law.train_losses_ = losses.copy()
        law.small = self.small.refitted(losses[self.small_rows_])
        law._carry(losses)
        return law

    def _carry(self, losses: Array) -> None:
        """Learn the lines to every other scale with enough mixtures."""
        groups = scale_groups(self.train_scales_, len(losses))
        self.targets: list[_Target] = []
        for group in np.unique(groups[~self.small_rows_]):
            rows = np.flatnonzero(groups == group)
            weights, means = _mixture_means(self.train_weights_[rows], losses[rows])
            assert self.train_scales_ is not None
            if len(weights) >= LEAST_ANCHORS:
                line = recalibrate(self.small.predict(weights), means)
                self.targets.append(_Target(self.train_scales_[rows[0]], line))
        home = self._home(None)
        self.noise_ = self.small.noise_ if home is None else home.line.tau

    def _home(self, scale: ArrayLike | None) -> _Target | None:
        """The lines for one scale (3,); None: the small scale itself.

        Raises DataError for a scale without them.
        """
        asked = self.scale if scale is None else scale
        if self.train_scales_ is None:
            if asked is None:
                return None
            raise DataError(
                "the runs have no known scale, so the law cannot predict at a given one: "
                "say the scale of the runs, or predict without scales"
            )
        small = self.train_scales_[self.small_rows_][0]
        if asked is None:
            asked = max(
                (small, *(one.scale for one in self.targets)), key=lambda one: one[1] * one[2]
            )
        if same_scale(asked, small):
            return None
        for target in self.targets:
            if same_scale(asked, target.scale):
                return target
        known = [small.tolist(), *(target.scale.tolist() for target in self.targets)]
        raise DataError(
            f"expected a scale that at least {LEAST_ANCHORS} mixtures were run at, one of {known}, "
            f"got {np.asarray(asked).tolist()}: run anchors there, or ask for one of these"
        )

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        small = self.small.predict(weights)
        out = np.empty_like(small)
        for rows, target in self._by_scale(len(weights), scales):
            out[rows] = small[rows] if target is None else target.line.mean(small[rows])
        return out

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        small, small_sd = self.small.predict(weights, return_std=True)
        mean, sd = small.copy(), small_sd.copy()
        for rows, target in self._by_scale(len(weights), scales):
            if target is not None:
                mean[rows] = target.line.mean(small[rows])
                sd[rows] = target.line.sd(small[rows], small_sd[rows])
        return mean, sd

    def run_sd(self, weights: Array, scales: Array | None = None) -> Array:
        """sd (k, m) of what a new run would measure: left-out residuals hold its noise already."""
        rows = self._checked(weights)
        out = self._predict(rows, scales)[1]
        own = self.small.run_sd(rows)
        for some, target in self._by_scale(len(rows), scales):
            if target is None:
                out[some] = own[some]
        return out

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws of the noise-free mean, (draws, k, m).

        Draws of the small law through drawn lines, and the lines' misfit, which near mixtures
        share. With the same seed the small law's draws are the same at every scale.
        """
        rows = self._checked(weights)
        seed = int(rng.integers(2**63))
        out = self.small.sample(rows, draws, np.random.default_rng(seed))
        for some, target in self._by_scale(len(rows), scales):
            if target is not None:
                out[:, some] = self._carried(rows[some], out[:, some], target.line, rng)
        return out

    def _carried(
        self, rows: Array, small: Array, line: Recalibration, rng: np.random.Generator
    ) -> Array:
        """Draws (draws, k, m) of the small law as draws of the larger scale."""
        draws, m = len(small), len(line.slope)
        ties = shrunk_correlation(line.residuals)
        level = tied_normals((draws, 1, m), ties, rng) * line.tau / np.sqrt(line.anchors)
        turn = tied_normals((draws, 1, m), ties, rng) * line.slope_sd
        centre = self.small.predict(rows) - line.centre_small
        length = misfit_length(self.train_weights_[~self.small_rows_])
        misfit = misfit_draws(rows, length, draws, ties, rng)
        return line.mean(small) + level + turn * centre + line.tau * misfit

    def gradient(self, weights: Array) -> Array:
        """d L / d w at the default scale, (k, m, d)."""
        home = self._home(None)
        slopes = self.small.gradient(self._checked(weights))
        return slopes if home is None else home.line.slope[:, None] * slopes

    def simulated(self, rng: np.random.Generator, means: Array | None = None) -> Array:
        """Losses that the runs might have had if the law were true, (n, m)."""
        losses = means
        if losses is None:
            losses = self.predict(self.train_weights_, self.train_scales_)
        noise = rng.standard_normal(losses.shape)
        noise[self.small_rows_] *= self.small.noise_
        for rows, target in self._by_scale(len(losses), self.train_scales_):
            if target is not None:
                noise[rows] *= target.line.tau
        return np.where(np.isnan(self.train_losses_), np.nan, losses + noise)

    def parts(self) -> Mapping[str, Law]:
        """The law of the small scale, fitted."""
        return {self.law: self.small}

    def notes(self) -> tuple[str, ...]:
        """What the small law left out."""
        return self.small.notes()

    def state(self) -> dict[str, Any]:
        """What `fit` learned, with the small law's own."""
        state = super().state()
        targets = [
            {"scale": one.scale, **{f.name: getattr(one.line, f.name) for f in fields(one.line)}}
            for one in self.targets
        ]
        return {**state, "small_": self.small.state(), "targets_": targets}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become the fitted law that `state` was taken from; returns self."""
        own = {key: value for key, value in state.items() if key not in ("small_", "targets_")}
        self.small = make_law(self.law).restore(state["small_"])
        self.targets = []
        for one in state["targets_"]:
            line = {key: value for key, value in one.items() if key != "scale"}
            self.targets.append(_Target(one["scale"], Recalibration(**line)))
        return super().restore(own)

    def _by_scale(
        self, count: int, scales: ArrayLike | None
    ) -> list[tuple[NDArray[np.int64], _Target | None]]:
        """Rows of candidates and the lines that carry them there."""
        if scales is None:
            return [(np.arange(count), self._home(None))]
        asked = np.atleast_2d(np.asarray(scales, dtype=np.float64))
        kinds, groups = np.unique(asked, axis=0, return_inverse=True)
        groups = np.broadcast_to(groups.reshape(-1), (count,))
        return [(np.flatnonzero(groups == g), self._home(kind)) for g, kind in enumerate(kinds)]


def _some(info: Info, rows: NDArray[np.int64]) -> Info:
    """What is known of some runs of one scale."""
    return Info(
        scales=None if info.scales is None else info.scales[rows],
        noise_sd=None if info.noise_sd is None else info.noise_sd[rows],
        seed_block=None if info.seed_block is None else info.seed_block[rows],
        own=info.own,
        tokens=info.tokens,
    )


def _mixture_means(weights: Array, losses: Array) -> tuple[Array, Array]:
    """Each mixture once (k, d), and the means of its runs (k, m), NaN where none measured."""
    groups = mixture_groups(weights)
    first = np.unique(groups, return_index=True)[1]
    means = np.full((len(first), losses.shape[1]), np.nan)
    for i in range(len(first)):
        part = losses[groups == i]
        known = np.isfinite(part)
        total = np.where(known, part, 0.0).sum(axis=0)
        means[i] = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    return weights[first], means
