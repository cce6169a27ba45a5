"""Nested extrapolation: L(D) = E + B / D^b, then L(N) = E + A / N^a, then a law of the mixture.

Data Mixing Laws (Ye et al., arXiv:2403.16952), section 4: the loss of each mixture and size is
carried to the target's tokens along its own runs, these losses are carried to the target's size,
and the law of the mixture is fitted to what arrives. A mixture takes part where it was run at the
target's tokens or size itself, or at three others; N is the active size.

Departure: an exponent is shared by all curves of a metric (`shared_exponents`), since three points
with noise do not tell one for each; two points are then enough for a curve beside others of three.
The intervals are those of the last step: values carried there count as measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from mixopt.errors import DataError
from mixopt.laws import make_law
from mixopt.laws.base import Array, Info, Law, mixture_groups
from mixopt.laws.scales import Axes

_LEAST_POINTS = 3
_EXPONENTS = np.log(np.geomspace(0.02, 3.0, 40))
_SAME = 1e-6


@dataclass
class Nested(Law):
    """`law` fitted to values carried to the target, `scale` (parameters, active ones, tokens).

    `scale` None: the largest of the runs. With runs of one scale it is `law` itself.
    """

    over_scale: ClassVar[bool] = True

    law: str = "loglinear"
    scale: tuple[float, float, float] | None = None
    shared_exponents: bool = True
    """One exponent a metric and axis; False: one a curve, as published."""

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.axes_ = Axes.of(info.scales, self.scale).rows
        self.last = self._law_at(Axes(self.axes_).at(None, 1)[0])
        self.noise_ = self.last.noise_

    def _law_at(self, target: Array) -> Law:
        """The law of the mixture at coordinates (3,) of `Axes.at`."""
        info, axes = self._train_info(slice(None)), Axes(self.axes_)
        if not (axes.sized or axes.timed):
            return make_law(self.law).fit(self.train_weights_, self.train_losses_, info)
        points = axes.at(self.train_scales_, len(self.train_weights_))
        weights, values = carried(
            self.train_weights_,
            self.train_losses_,
            points[:, [2, 0]],
            target[[2, 0]],
            self.shared_exponents,
        )
        arrived = np.isfinite(values).any(axis=1)
        if not np.isfinite(values).any(axis=0).all():
            raise DataError(
                f"expected mixtures that were run at the scale asked for, or at {_LEAST_POINTS} "
                "sizes or numbers of tokens, got none for some metric: run some mixtures at more "
                "scales, or take a law that shares what scale does among mixtures, like `additive`"
            )
        return make_law(self.law).fit(weights[arrived], values[arrived], Info(own=info.own))

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        out = np.empty((len(weights), self.train_losses_.shape[1]))
        for rows, law in self._by_scale(len(weights), scales):
            out[rows] = law.predict(weights[rows])
        return out

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        shape = (len(weights), self.train_losses_.shape[1])
        mean, sd = np.empty(shape), np.empty(shape)
        for rows, law in self._by_scale(len(weights), scales):
            mean[rows], sd[rows] = law.predict(weights[rows], return_std=True)
        return mean, sd

    def run_sd(self, weights: Array, scales: Array | None = None) -> Array:
        """sd (k, m) of what a new run would measure, by the last step."""
        rows = self._checked(weights)
        out = np.empty((len(rows), self.train_losses_.shape[1]))
        for some, law in self._by_scale(len(rows), scales):
            out[some] = law.run_sd(rows[some])
        return out

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws (draws, k, m) of the last step's law; with one seed, alike at every scale."""
        rows, seed = self._checked(weights), int(rng.integers(2**63))
        out = np.empty((draws, len(rows), self.train_losses_.shape[1]))
        for some, law in self._by_scale(len(rows), scales):
            out[:, some] = law.sample(rows[some], draws, np.random.default_rng(seed))
        return out

    def gradient(self, weights: Array) -> Array:
        """d L / d w at the default scale, (k, m, d)."""
        return self.last.gradient(self._checked(weights))

    def members(self) -> Mapping[str, Law]:
        """The law of the mixture at the default scale, fitted."""
        return {self.law: self.last}

    def state(self) -> dict[str, Any]:
        """What `fit` learned, with the last step's law."""
        return {**super().state(), "last_": self.last.state()}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become the fitted law that `state` was taken from; returns self."""
        self.last = make_law(self.law).restore(state["last_"])
        return super().restore({key: value for key, value in state.items() if key != "last_"})

    def _by_scale(
        self, count: int, scales: ArrayLike | None
    ) -> list[tuple[NDArray[np.int64], Law]]:
        """Rows of candidates of one scale, and its law; other scales than the default are fitted
        when they are asked for."""
        axes = Axes(self.axes_)
        home, asked = axes.at(None, 1), axes.at(scales, count)
        kinds, groups = np.unique(np.round(asked, 9), axis=0, return_inverse=True)
        laws = [
            self.last if np.abs(kind - home).max() < _SAME else self._law_at(kind) for kind in kinds
        ]
        return [(np.flatnonzero(groups.reshape(-1) == g), law) for g, law in enumerate(laws)]


def carried(
    weights: Array, losses: Array, points: Array, target: Array, shared: bool
) -> tuple[Array, Array]:
    """Each mixture once (g, d), and its losses (g, m) at `target` (2,) of (ln D, ln N).

    `points` (n, 2) are those of the runs. NaN where a mixture has too few points to go on.
    """
    mixtures = mixture_groups(weights)
    sizes, at_size = np.unique(np.round(points[:, 1], 6), return_inverse=True)
    curves = mixtures * len(sizes) + at_size.reshape(-1)
    names = np.unique(curves)
    along_tokens = _carry(losses, curves, points[:, 0], target[0], shared)
    along_size = _carry(
        along_tokens, names // len(sizes), sizes[names % len(sizes)], target[1], shared
    )
    return weights[np.unique(mixtures, return_index=True)[1]], along_size


def _carry(
    losses: Array, curves: NDArray[np.int64], x: Array, target: float, shared: bool
) -> Array:
    """Values (c, m) at `target` of each curve, from losses (n, m) at x (n,) of `curves` (n,)."""
    names, rows = np.unique(curves, return_inverse=True)
    grid, columns = np.unique(np.round(x, 6), return_inverse=True)
    out = np.empty((len(names), losses.shape[1]))
    for i, values in enumerate(losses.T):
        table = _means(values, rows.reshape(-1), columns.reshape(-1), (len(names), len(grid)))
        out[:, i] = power_law(grid, table, target, shared)
    return out


def power_law(x: Array, table: Array, target: float, shared: bool) -> Array:
    """Values (c,) at `target` of curves E + B exp(-b x) through `table` (c, points), NaN missing.

    x is a logarithm. Where a curve has a point at the target, that is its value; NaN where the
    points do not tell. `shared`: one b for all curves.

    >>> x = np.log([1.0, 2.0, 4.0])
    >>> power_law(x, 1.0 + np.array([[2.0], [3.0]]) * np.exp(-0.5 * x), np.log(16.0), True).round(6)
    array([1.5 , 1.75])
    """
    there = np.flatnonzero(np.abs(x - target) < _SAME)
    measured = table[:, there[0]] if len(there) else np.full(len(table), np.nan)
    out = measured.copy()
    count = np.isfinite(table).sum(axis=1)
    telling = count >= _LEAST_POINTS
    if shared and telling.any():
        exponent = _exponent(x, table[telling])
        usable = (count >= 2) & np.isnan(out)
        out[usable] = _at(x, table[usable], exponent, target)[0]
    elif not shared:
        for i in np.flatnonzero(telling & np.isnan(out)):
            out[i] = _at(x, table[i : i + 1], _exponent(x, table[i : i + 1]), target)[0][0]
    return out


def _exponent(x: Array, table: Array) -> float:
    """The b whose lines in exp(-b x) leave the least squares over all curves."""

    def squares(log_b: float) -> float:
        return float(_at(x, table, np.exp(log_b), 0.0)[1])

    best = int(np.argmin([squares(log_b) for log_b in _EXPONENTS]))
    ends = _EXPONENTS[max(best - 1, 0)], _EXPONENTS[min(best + 1, len(_EXPONENTS) - 1)]
    found = minimize_scalar(squares, bounds=ends, method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


def _at(x: Array, table: Array, b: float, target: float) -> tuple[Array, float]:
    """Least-squares lines in exp(-b x): their values (c,) at `target`, and the squares left."""
    known = np.isfinite(table)
    u = np.exp(-b * (x - x.mean()))
    y, count = np.where(known, table, 0.0), known.sum(axis=1, keepdims=True)
    mean_u = np.where(known, u, 0.0).sum(axis=1, keepdims=True) / count
    mean_y = y.sum(axis=1, keepdims=True) / count
    du, dy = np.where(known, u - mean_u, 0.0), np.where(known, y - mean_y, 0.0)
    slope = (du * dy).sum(axis=1, keepdims=True) / (du**2).sum(axis=1, keepdims=True)
    values = mean_y + slope * (np.exp(-b * (target - x.mean())) - mean_u)
    return values[:, 0], float(((dy - slope * du) ** 2).sum())


def _means(
    values: Array, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> Array:
    """Means of the finite values (n,) by row and column, NaN where there are none."""
    known = np.isfinite(values)
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (rows[known], columns[known]), values[known])
    np.add.at(count, (rows[known], columns[known]), 1.0)
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
