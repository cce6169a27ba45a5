"""Law: the contract of a mixing law, (mixture, scale) -> metrics with uncertainty."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError, NotFittedError

Array = NDArray[np.float64]


class Info(NamedTuple):
    """What a law may know beside weights and losses; everything is optional."""

    scales: Array | None = None
    """(n, 3) non-embedding parameters, active ones, training tokens."""
    noise_sd: Array | None = None
    """(n, m) standard deviation of each measurement."""
    seed_block: NDArray[np.int64] | None = None
    """(n,) block of the training seed, -1 unknown."""
    own: NDArray[np.int64] | None = None
    """(m,) the column of the space whose text a metric measures, -1 none."""
    tokens: Array | None = None
    """(d,) unique tokens of each domain, NaN unknown."""


class Law(ABC):
    """A mixing law. Subclasses are dataclasses: settings are fields, what was learned ends in `_`.

    Every subclass writes `_fit` and `_predict`; the shapes are checked here. Losses are oriented
    (lower is better) and NaN means not measured. Predictions are of the noise-free mean;
    `noise_ (m,)` is the sd of one run around it.
    """

    convex: ClassVar[bool] = False
    """Whether every metric is convex in the weights."""

    over_scale: ClassVar[bool] = False
    """Whether runs of several scales teach it: it is then asked at the largest of them."""
    published: ClassVar[bool] = False
    """Whether it keeps a paper's constants, in units of the loss: other units, another fit."""

    noise_: Array
    train_weights_: Array
    train_losses_: Array
    train_scales_: Array | None = None
    """(n, 3) as in `Info`, None unknown."""
    train_own_: NDArray[np.int64] | None = None
    """(m,) as in `Info`, None unknown."""

    @abstractmethod
    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        """Learn from weights (n, d) and losses (n, m)."""

    @abstractmethod
    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        """Mean and sd of the mean, both (k, m)."""

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        """Mean alone (k, m), for laws where its sd costs more."""
        return self._predict(weights, scales)[0]

    def fit(self, weights: Array, losses: Array, info: Info | None = None) -> Self:
        """Learn from `weights` (n, d) and oriented `losses` (n, m); returns self.

        Raises DataError when the shapes do not agree or a metric was never measured.
        """
        weights = np.asarray(weights, dtype=np.float64)
        losses = np.asarray(losses, dtype=np.float64)
        if weights.ndim != 2 or losses.ndim != 2 or len(weights) != len(losses):
            raise DataError(
                "expected weights (n, d) and losses (n, m) with as many rows, "
                f"got shapes {weights.shape} and {losses.shape}"
            )
        if not np.isfinite(weights).all() or np.isinf(losses).any():
            raise DataError(
                "expected finite weights, and losses that are finite or NaN (not measured), "
                "got others: leave diverged runs out"
            )
        if np.isnan(losses).all(axis=0).any():
            column = int(np.flatnonzero(np.isnan(losses).all(axis=0))[0])
            raise DataError(f"metric {column} was measured by no run, leave it out of the fit")
        self.train_weights_ = weights.copy()
        self.train_losses_ = losses.copy()
        info = info or Info()
        self.train_scales_ = None if info.scales is None else info.scales.copy()
        self.train_own_ = None if info.own is None else info.own.copy()
        self._fit(self.train_weights_, self.train_losses_, info)
        return self

    @overload
    def predict(
        self, weights: Array, scales: Array | None = None, return_std: Literal[False] = False
    ) -> Array: ...
    @overload
    def predict(
        self, weights: Array, scales: Array | None = None, *, return_std: Literal[True]
    ) -> tuple[Array, Array]: ...
    def predict(
        self, weights: Array, scales: Array | None = None, return_std: bool = False
    ) -> Array | tuple[Array, Array]:
        """Metrics of `weights` (k, d): mean (k, m), or mean and its sd."""
        rows = self._checked(weights)
        return self._predict(rows, scales) if return_std else self._mean(rows, scales)

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws of the noise-free mean, (draws, k, m): refits on bootstrapped mixtures."""
        rows = self._checked(weights)
        picks = (bootstrap(self.train_weights_, self.train_losses_, rng) for _ in range(draws))
        return np.stack([self._refit(pick).predict(rows, scales) for pick in picks])

    def refitted(self, losses: Array) -> Self:
        """A new law of the same runs with other losses (n, m), settings kept.

        Laws whose fit chooses hyper-parameters keep them too, and start where they stand.
        """
        self._require_fit()
        assert is_dataclass(self)
        return replace(self).fit(self.train_weights_, losses, self._train_info(slice(None)))

    def simulated(self, rng: np.random.Generator, means: Array | None = None) -> Array:
        """Losses that the training runs might have had if the law were true, (n, m).

        `means` (n, m): what the law says of them, where that was asked before.
        """
        if means is None:
            means = self.predict(self.train_weights_, self.train_scales_)
        losses = means + self._noise_draw(means.shape, rng) * self.noise_
        return np.where(np.isnan(self.train_losses_), np.nan, losses)

    def mean_only(self) -> Self:
        """The unfitted law, spared what only its uncertainty needs: for cross-validation."""
        assert is_dataclass(self)
        return replace(self)

    def parts(self) -> Mapping[str, "Law"]:
        """The fitted laws that this one combines, by name; none for a law of its own."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """What people should know of this fit: what it left out or chose by itself."""
        return ()

    def run_sd(self, weights: Array, scales: Array | None = None) -> Array:
        """sd (k, m) of what a new run of `weights` (k, d) would measure, around the prediction."""
        return np.hypot(self.predict(weights, scales, return_std=True)[1], self.noise_)

    def _noise_draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Standard normal noise (n, m) of one set of runs."""
        return rng.standard_normal(shape)

    def gradient(self, weights: Array) -> Array:
        """Derivatives of the mean by the weights, (k, m, d), by central differences."""
        rows = self._checked(weights)
        step = 1e-5
        columns = []
        for j in range(rows.shape[1]):
            up, down = rows.copy(), rows.copy()
            up[:, j] += step
            down[:, j] = np.maximum(down[:, j] - step, 0.0)
            width = (up[:, j] - down[:, j])[:, None]
            columns.append((self.predict(up) - self.predict(down)) / width)
        return np.stack(columns, axis=-1)

    def state(self) -> dict[str, Any]:
        """What `fit` learned, as JSON values and arrays; `restore` takes it back."""
        self._require_fit()
        return {key: value for key, value in vars(self).items() if key.endswith("_")}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become the fitted law that `state` was taken from; returns self."""
        for key, value in state.items():
            setattr(self, key, value)
        return self

    def settings(self) -> dict[str, Any]:
        """The hyper-parameters."""
        assert is_dataclass(self)
        assert not isinstance(self, type)
        return asdict(self)

    def _refit(self, rows: NDArray[np.int64]) -> Self:
        assert is_dataclass(self)
        weights, losses = self.train_weights_[rows], self.train_losses_[rows]
        return replace(self).fit(weights, losses, self._train_info(rows))

    def _train_info(self, rows: NDArray[np.int64] | slice) -> Info:
        """What is kept of the runs beside weights and losses, for some of them."""
        scales = None if self.train_scales_ is None else self.train_scales_[rows]
        return Info(scales=scales, own=self.train_own_)

    def _require_fit(self) -> None:
        if not hasattr(self, "train_weights_"):
            raise NotFittedError(f"the law {type(self).__name__} is not fitted, call fit first")

    def _checked(self, weights: Array) -> Array:
        self._require_fit()
        rows = np.asarray(weights, dtype=np.float64)
        d = self.train_weights_.shape[1]
        if rows.ndim != 2 or rows.shape[1] != d:
            raise DataError(f"expected weights of shape (k, {d}), got {rows.shape}")
        return rows


def standardised(losses: Array) -> tuple[Array, Array, Array]:
    """Each metric of (n, m) minus its mean, by its sd over the runs that measured it.

    Returns (z (n, m), centre (m,), spread (m,)); a constant metric has spread and z zero, and the
    constant itself as centre. NaN stays NaN.
    """
    centre, spread = np.nanmean(losses, axis=0), np.nanstd(losses, axis=0)
    low, high = np.nanmin(losses, axis=0), np.nanmax(losses, axis=0)
    constant = high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
    centre, spread = np.where(constant, low, centre), np.where(constant, 0.0, spread)
    z = (losses - centre) / np.where(constant, 1.0, spread)
    z[:, constant] = np.where(np.isnan(losses[:, constant]), np.nan, 0.0)
    return z, centre, spread


def mixture_groups(weights: Array) -> NDArray[np.int64]:
    """(n,) numbers that replicates of one mixture share, for weights (n, d)."""
    _, groups = np.unique(np.round(weights, 9), axis=0, return_inverse=True)
    return groups.reshape(-1)


def in_blocks(function: Callable[[Array], Array], rows: Array, size: int) -> Array:
    """`function` of rows (k, ...), at most `size` at once: what it holds of all would be too much.

    >>> in_blocks(lambda part: 2 * part, np.arange(5.0), 2).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    starts = range(0, max(1, len(rows)), size)
    return np.concatenate([function(rows[start : start + size]) for start in starts])


def bootstrap(weights: Array, losses: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of a bootstrap sample of mixtures, replicates together, that measured every metric."""
    groups = mixture_groups(weights)
    count = int(groups.max()) + 1
    while True:
        drawn = rng.integers(count, size=count)
        rows = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
        if np.isfinite(losses[rows]).any(axis=0).all():
            return rows
