"""Capacity-conditioned law: ln (L - E) = a - t.w - p ln Na - q ln (N / Na) - r ln D + (u.w) ln Na.

Mixture and scale multiply: a domain buys a share of what is left to learn, and u lets that share
grow or shrink with the active size Na. N / Na is the sparsity of a mixture of experts: total
parameters beyond the active ones may buy less (q < p). Terms whose axis no run varied are left out.

u has a ridge of its own and is kept only where it lowers the regret of picks on held-out mixtures
at the largest scale (`interaction = None`), because the best mixture at one scale is the hardest
rival of any extrapolation. The form is this project's, for want of a published one that is open.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.arrow import Prior, alike_prior, chained, diagonal_prior
from mixopt.laws.base import Array, Info, mixture_groups
from mixopt.laws.scales import scale_groups
from mixopt.laws.shared import Points, SharedLaw

_POWERS = (0.2, 0.05, 0.2)
"""Prior means of p, q and r."""
_POWER_SPREAD = 0.2
_PULL_SPREAD = 4.0
_TILT_SPREAD = 0.3
"""sd of u_j: about p t_j, so that effects of the mixture need not shrink with size at all."""
_FOLDS = 5
_LEAST_POINTS = 10
"""Mixtures at the largest scale below which a regret says nothing."""


class Frame(NamedTuple):
    """The regressors at k points."""

    mixture: Array
    """(k, d) shares less 1 / d."""
    logs: Array
    """(k, l) of the axes that vary."""
    size: Array
    """(k,) ln Na"""


@dataclass
class MoeScale(SharedLaw[Frame]):
    """t = (E, a, t, the powers of the axes that vary, u); nothing is shared by the metrics.

    >>> from mixopt.laws.base import Info
    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 40)
    >>> scales = np.array([[4e6, 1e6, 1e8], [64e6, 8e6, 1e9]])[np.arange(40) % 2]
    >>> losses = 1 + np.exp(0.5 - weights @ [[1.0], [0.5], [0.0]]) * scales[:, 1:2] ** -0.1
    >>> law = MoeScale(interaction=False).fit(weights, losses, Info(scales=scales))
    >>> bool(np.abs(law.predict(weights, scales) - losses).max() < 0.01)
    True
    """

    over_scale: ClassVar[bool] = True

    convex = True

    interaction: bool | None = None
    """Whether u is fitted; None: if held-out mixtures say so."""

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.tilted_ = self._wanted(weights, losses, info)
        super()._fit(weights, losses, info)

    def _wanted(self, weights: Array, losses: Array, info: Info) -> bool:
        if self.interaction is not None:
            return self.interaction
        largest = scale_groups(info.scales, len(weights))
        judged = (largest == largest.max()) & (largest.max() > 0)
        if len(np.unique(mixture_groups(weights)[judged])) < _LEAST_POINTS:
            return False
        plain, tilted = (
            decision_regret(replace(self, interaction=u, scale=None), weights, losses, info, judged)
            for u in (False, True)
        )
        return tilted < plain

    def _shared_prior(self, d: int) -> Prior:
        return diagonal_prior(np.empty(0), np.empty(0))

    def _own_prior(self, d: int, reach: float) -> Prior:
        ends = np.array([-2.0 - reach, np.log(2.0 + reach)])
        powers = np.array(_POWERS)[self._axes]
        parts = [
            diagonal_prior(ends, np.array([3.0 + 3.0 * reach, 3.0])),
            alike_prior(d, 0.0, _PULL_SPREAD, _PULL_SPREAD),
            diagonal_prior(powers, np.full(len(powers), _POWER_SPREAD)),
        ]
        tilts = alike_prior(d, 0.0, _TILT_SPREAD, _TILT_SPREAD)
        return chained([*parts, tilts] if self._tilts else parts)

    def _frame(self, points: Points, shared: Array) -> Frame:
        mixture = points.shares - 1.0 / points.shares.shape[1]
        return Frame(mixture, points.scale[:, self._axes], points.scale[:, 0])

    def _values(self, frame: Frame, metrics: NDArray[np.int64], own: Array) -> Array:
        return own[:, :1] + np.exp(own[:, 1:] @ self._regressors(frame).T)

    def _slopes(self, frame: Frame, metrics: NDArray[np.int64], own: Array) -> tuple[Array, Array]:
        regressors = self._regressors(frame)
        left = np.exp(own[:, 1:] @ regressors.T)[:, :, None]
        return np.zeros((*left.shape[:2], 0)), np.concatenate(
            [np.ones(left.shape), left * regressors], axis=2
        )

    def _regressors(self, frame: Frame) -> Array:
        """(k, p - 1): 1, -w, -logs and, with u, w ln Na."""
        parts = [np.ones((len(frame.mixture), 1)), -frame.mixture, -frame.logs]
        return np.hstack([*parts, frame.mixture * frame.size[:, None]] if self._tilts else parts)

    def gradient(self, weights: Array) -> Array:
        """d L / d w through the renormalisation of w, (k, m, d), at the default scale."""
        rows = self._checked(weights)
        frame, d = self._frame(self._points(rows, None), self.shared_), rows.shape[1]
        left = np.exp(self.theta_[:, 1:] @ self._regressors(frame).T)
        pull = -self.theta_[:, None, 2 : d + 2] + np.zeros((1, len(rows), 1))
        if self._tilts:
            pull = pull + self.theta_[:, None, -d:] * frame.size[:, None]
        size = rows.sum(axis=1, keepdims=True)
        along = (pull * rows / size).sum(axis=2, keepdims=True)
        slope = left[:, :, None] * (pull - along) / size
        return slope.transpose(1, 0, 2) * self.spread_[:, None]

    @property
    def _axes(self) -> NDArray[np.bool_]:
        """Which of ln Na, ln (N / Na), ln D some run varied."""
        return np.array([self.axes.sized, self.axes.sparse, self.axes.timed])

    @property
    def _tilts(self) -> bool:
        return bool(self.tilted_) and self.axes.sized


def decision_regret(
    law: MoeScale, weights: Array, losses: Array, info: Info, judged: NDArray[np.bool_]
) -> float:
    """What is lost by picking, among the judged runs, by a law of the runs of other mixtures.

    Mean over the metrics and their mean, in units of the sd of the judged runs.
    """
    groups = mixture_groups(weights)
    folds = np.random.default_rng(0).permutation(groups.max() + 1)[groups] % _FOLDS
    predicted, actual = np.full(losses.shape, np.nan), losses[judged]
    for fold in range(_FOLDS):
        seen, held = np.flatnonzero(folds != fold), np.flatnonzero((folds == fold) & judged)
        known = np.flatnonzero(np.isfinite(losses[seen]).any(axis=0))
        fitted = replace(law).fit(
            weights[seen], losses[np.ix_(seen, known)], info._replace(scales=_rows(info, seen))
        )
        predicted[np.ix_(held, known)] = fitted.predict(weights[held], _rows(info, held))
    predicted = predicted[judged]
    used = np.isfinite(predicted).all(axis=0) & np.isfinite(actual).all(axis=0)
    used &= np.ptp(actual, axis=0) > 0
    if not used.any():
        return 0.0
    spread = actual.std(axis=0)
    actual, predicted = actual[:, used] / spread[used], predicted[:, used] / spread[used]
    actual = np.column_stack([actual, actual.mean(axis=1)])
    picks = np.column_stack([predicted, predicted.mean(axis=1)]).argmin(axis=0)
    return float(np.mean(actual[picks, np.arange(actual.shape[1])] - actual.min(axis=0)))


def _rows(info: Info, rows: NDArray[np.int64]) -> Array | None:
    return None if info.scales is None else info.scales[rows]
