"""Predictions of a small scale carried to a larger one by a line a metric, from a few anchor runs.

    y_big = alpha_i + b_i y_small + e            b_i: least squares, shrunk to the median slope
    tau_i^2 = mean squared residual of each anchor by the line of the others
    sd^2    = b_i^2 sd_small^2 + tau_i^2 + var(alpha_i, b_i)

Losses of domains shrink unequally with size, which moves the order of mixtures under any objective
over several of them; that is what the slopes take along. With few anchors a slope is poorly known,
but those of metrics resemble each other: b_i = med + k_i (b_i' - med), k_i = g^2 / (g^2 + v_i). v_i
is the variance of the least-squares slope b_i', g^2 the variance of slopes beyond their errors,
both by medians, so that one wild slope does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError

Array = NDArray[np.float64]

LEAST_ANCHORS = 4
"""Mixtures at the larger scale; with fewer nothing is said of it."""
_MEDIAN_VARIANCE = np.pi / 2
"""Of a median by that of a mean, for normals."""
_MAD = 1.4826
"""A normal's sd by its median absolute deviation."""


@dataclass(frozen=True)
class Recalibration:
    """Lines of m metrics, learned from anchors."""

    slope: Array
    """(m,) b"""
    slope_sd: Array
    """(m,)"""
    centre_small: Array
    """(m,) mean over anchors; the line goes through the two centres."""
    centre_big: Array
    """(m,)"""
    tau: Array
    """(m,) root mean square of left-out residuals."""
    anchors: Array
    """(m,) how many measured each metric."""
    residuals: Array
    """(k, m) left-out residuals, NaN where not measured."""

    def mean(self, small: Array) -> Array:
        """What the line says at predictions (..., m) of the small scale."""
        return self.centre_big + self.slope * (small - self.centre_small)

    def line_sd(self, small: Array) -> Array:
        """sd of the line itself at predictions (..., m): of alpha and b."""
        level = self.tau / np.sqrt(self.anchors)
        return np.hypot(level, (small - self.centre_small) * self.slope_sd)

    def sd(self, small: Array, small_sd: Array) -> Array:
        """sd of the larger scale's mean at predictions (..., m) with their sd (..., m)."""
        own = np.hypot(self.slope * small_sd, self.tau)
        return np.hypot(own, self.line_sd(small))


def recalibrate(small: Array, big: Array) -> Recalibration:
    """Lines from the predictions (k, m) of k anchors at the small scale to their values (k, m).

    `big` are means over replicates, NaN where not measured. Raises DataError where fewer than 4
    anchors measured a metric: there is then no telling how far off a line is.

    >>> small = np.array([[3.0, 4.0], [3.2, 4.5], [3.4, 4.2], [3.9, 4.1]])
    >>> line = recalibrate(small, 1.0 + 0.5 * small)
    >>> line.mean(np.array([[3.6, 4.4]])).round(6).tolist()
    [[2.8, 3.2]]
    """
    small, big = np.asarray(small, np.float64), np.asarray(big, np.float64)
    known = np.isfinite(big)
    found = int(known.sum(axis=0).min(initial=len(big)))
    if found < LEAST_ANCHORS:
        raise DataError(
            f"expected anchors of at least {LEAST_ANCHORS} mixtures at the larger scale, got "
            f"{found}: run {LEAST_ANCHORS - found} more, or predict at proxy scale"
        )
    residuals = np.full(big.shape, np.nan)
    for i in range(len(big)):
        others = np.arange(len(big)) != i
        slope, _, *centres = _lines(small[others], big[others])
        residuals[i] = big[i] - centres[1] - slope * (small[i] - centres[0])
    slope, slope_sd, centre_small, centre_big = _lines(small, big)
    tau = np.sqrt(np.nanmean(residuals**2, axis=0))
    count = known.sum(axis=0).astype(np.float64)
    return Recalibration(slope, slope_sd, centre_small, centre_big, tau, count, residuals)


def spread_anchors(predicted: Array, count: int, keep: Sequence[int] = ()) -> NDArray[np.int64]:
    """Candidates to run at a larger scale: `keep` (p0'), and the rest spread over `predicted` (k,).

    The middle of each of equal parts of their order, from near the best to near the worst: a line
    is learned from what differs, which top picks alone hardly do, and holds least for the very
    ends, which in a swarm are corners of the simplex. Returns `count` indices, `keep` first.
    Raises DataError when there are fewer candidates.

    >>> spread_anchors(np.array([3.0, 1.0, 2.0, 5.0, 4.0]), 4, keep=[4]).tolist()
    [4, 1, 0, 3]
    """
    chosen = list(dict.fromkeys(int(i) for i in keep))[:count]
    if len(predicted) < count:
        raise DataError(f"expected at least {count} candidates for anchors, got {len(predicted)}")
    left = [i for i in np.argsort(predicted, kind="stable").tolist() if i not in chosen]
    parts = count - len(chosen)
    ranks = [(2 * part + 1) * len(left) // (2 * parts) for part in range(parts)]
    return np.array([*chosen, *(left[rank] for rank in ranks)], dtype=np.int64)


def _lines(small: Array, big: Array) -> tuple[Array, Array, Array, Array]:
    """Shrunk slopes, their sds and the centres of both sides, (m,) each."""
    known = np.isfinite(big)
    count = known.sum(axis=0)
    x_mean = np.where(known, small, 0.0).sum(axis=0) / count
    y_mean = np.where(known, big, 0.0).sum(axis=0) / count
    x, y = (np.where(known, a - c, 0.0) for a, c in ((small, x_mean), (big, y_mean)))
    square = (x**2).sum(axis=0)
    told = square > 1e-18 * np.maximum(x_mean**2, 1e-300) * count
    raw = np.where(told, (x * y).sum(axis=0) / np.where(told, square, 1.0), np.nan)
    left = ((y - np.where(told, raw, 0.0) * x) ** 2).sum(axis=0) / np.maximum(count - 2, 1)
    variance = np.where(told, left / np.where(told, square, 1.0), np.inf)
    if not told.any():  # a law that says the same of every anchor: no slope moves its answer
        return np.ones(len(told)), np.zeros(len(told)), x_mean, y_mean
    middle = float(np.nanmedian(raw))
    typical = float(np.median(variance[told]))
    spread = (_MAD * float(np.nanmedian(np.abs(raw - middle)))) ** 2
    own = max(0.0, spread - typical)
    middle_variance = _MEDIAN_VARIANCE * (typical + own) / told.sum()
    with np.errstate(invalid="ignore"):
        share = np.where(told, np.where(variance > 0, own / (own + variance), 1.0), 0.0)
    slope = np.where(told, middle + share * (np.where(told, raw, 0.0) - middle), middle)
    error = share**2 * np.where(told, variance, 0.0) + (1.0 - share) ** 2 * (own + middle_variance)
    return slope, np.sqrt(error), x_mean, y_mean
