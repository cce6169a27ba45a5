"""Capacity law: L_i = c_i x_i^-b_i + A_i (D w_i)^-a_i + E_i, x the best split of capacity N:

    x = argmin sum_i w_i c_i x_i^-b_i   subject to  sum x = N + (d - 1) H,  x >= H
      = max(H, (w_i b_i c_i / l)^(1 / (b_i + 1))),  l by Newton's method from below

(Dai and Zheng, arXiv:2606.08167). H is what every domain needs and all share; N one effective size,
as in `mixopt.laws.additive`. It is the only law whose metrics compete, so the only one that needs
them in comparable units: all losses, or all bits per byte.

Departures: w_i + .001 in the second term, since the published law is infinite at w_i = 0; Gaussian
priors. A domain without a metric of its own is a typical one: c and b near the mean of the others'.
A metric that owns no domain (a task, an unseen target, a second metric of one) is a mixture of the
domains' curves with weights v >= 0 of its own: sum_j v_j c_j x_j^-b_j + A (D sum_j v_j w_j)^-a + E,
v to sum one in the second term. Such metrics do not move c, b and H; where no metric owns a domain,
all domains are equal: c = 1, b = .3, H a tenth of the size.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mixopt.laws.arrow import Prior, alike_prior, chained, diagonal_prior
from mixopt.laws.base import Array, Info
from mixopt.laws.shared import Points, SharedLaw

_TYPICAL_B = 0.3
_B_BOUNDS = (0.01, 3.0)
_TYPICAL_H = 0.1
_LEAST_DATA = 1e-3
_EXACT = 1e-13
_STEPS = 60


class Skills(NamedTuple):
    """What the shared parameters say of the domains."""

    log_c: Array
    """(d,) in units of a standardised metric."""
    b: Array
    """(d,)"""
    floor: Array
    """() H by the least active size of the runs."""
    e: float
    """Exponent of active parameters in the effective size."""


class Frame(NamedTuple):
    """How capacity is split at k points."""

    points: Points
    parameters: int
    """q, how many are shared"""
    skills: Skills
    size: Array
    """(k, 1) N"""
    floor: Array
    """(k, 1) H, at most N"""
    split: Array
    """(k, d) x"""
    curves: Array
    """(k, d) c x^-b"""


@dataclass
class Capacity(SharedLaw[Frame]):
    """s = (ln c, ln b, logit H, logit e where sparsity varies); t = (E, ln A, ln a, ln v).

    >>> shares, b = np.array([[0.5, 0.3, 0.2]]), np.array([0.3, 0.4, 0.5])
    >>> allocate(shares, np.log([1.0, 2.0, 1.0]), b, floor=0.1, total=4.2).round(4).tolist()
    [[1.354, 1.8536, 0.9924]]
    """

    over_scale: ClassVar[bool] = True

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.owner_ = _owners(info.own, weights.shape[1], losses.shape[1])
        super()._fit(weights, losses, info)

    def _informing(self, m: int) -> NDArray[np.bool_]:
        return self.owner_ >= 0

    def _shared_prior(self, d: int) -> Prior:
        """Nothing is shared where no metric owns a domain."""
        if (self.owner_ < 0).all():
            return diagonal_prior(np.empty(0), np.empty(0))
        b = alike_prior(d, float(np.log(_TYPICAL_B)), 0.7, 0.5)
        ends = (np.full(d, np.log(end)) for end in _B_BOUNDS)
        parts = [
            alike_prior(d, 0.0, 1.0, 1.0),
            b._replace(lower=next(ends), upper=next(ends)),
            diagonal_prior(np.array([-1.5]), np.array([1.0]), 5.0),
            *[diagonal_prior(np.zeros(1), np.array([1.5]), 5.0)] * self.axes.sparse,
        ]
        return chained(parts)

    def _own_prior(self, d: int, reach: float) -> Prior:
        mean = np.array([-3.0 - reach, -1.0, np.log(0.3)])
        sd = np.array([3.0 + 3.0 * reach, 3.0, 0.7])
        return chained([diagonal_prior(mean, sd, 8.0), alike_prior(d, -np.log(d), 2.0, 1.5)])

    def _frame(self, points: Points, shared: Array) -> Frame:
        skills = self._skills(shared, points.shares.shape[1])
        size = np.exp(points.scale[:, :1] + (1.0 - skills.e) * points.scale[:, 1:2])
        floor = np.minimum(skills.floor, size)
        total = size + (points.shares.shape[1] - 1) * floor
        x = allocate(points.shares, skills.log_c + self._log_units, skills.b, floor, total)
        curves = np.exp(skills.log_c - skills.b * np.log(x))
        return Frame(points, len(shared), skills, size, floor, x, curves)

    def _values(self, frame: Frame, metrics: NDArray[np.int64], own: Array) -> Array:
        v = self._mixtures(metrics, own)
        return own[:, :1] + v @ frame.curves.T + _data(frame, own, v)[1]

    def _slopes(self, frame: Frame, metrics: NDArray[np.int64], own: Array) -> tuple[Array, Array]:
        v = self._mixtures(metrics, own)
        log_data, data = _data(frame, own, v)
        slopes = np.zeros((*data.shape, frame.parameters))
        if frame.parameters:
            slopes[:] = [self._curve_slopes(frame, row * frame.curves) for row in v]
        a, share = np.exp(own[:, 2:3]), v / v.sum(axis=1, keepdims=True)
        seen = share @ frame.points.shares.T
        rise = share[:, None, :] * (frame.points.shares - seen[:, :, None])
        by_v = v[:, None, :] * frame.curves
        by_v -= (a * data / (seen + _LEAST_DATA))[:, :, None] * rise
        by_v[self.owner_[metrics] >= 0] = 0.0
        first = np.stack([np.ones(data.shape), data, -a * log_data * data], axis=2)
        return slopes, np.concatenate([first, by_v], axis=2)

    def _curve_slopes(self, frame: Frame, curves: Array) -> Array:
        """d (sum_j curves_j) / d s, (k, q), of curves v_j c_j x_j^-b_j (k, d).

        By the split's conditions: for domains above H, (b + 1) d ln x = d ln c + d ln b
        - ln x db - d l, and sum d x = (d - 1) dH + dN - (domains at H) dH.
        """
        b, x, log_x = frame.skills.b, frame.split, np.log(frame.split)
        free = x > frame.floor
        give = np.where(free, x / (b + 1.0), 0.0)
        total = give.sum(axis=1, keepdims=True)
        pull = np.where(free, -b * curves / (b + 1.0), 0.0)
        pulled = pull.sum(axis=1, keepdims=True)
        by_total = np.divide(pulled, total, out=np.zeros_like(pulled), where=total > 0)
        by_force = pull - by_total * give
        held = (~free).sum(axis=1, keepdims=True)
        by_h = by_total * (x.shape[1] - 1 - held) * frame.floor
        by_h += np.where(free, 0.0, -b * curves).sum(axis=1, keepdims=True)
        rises = 1.0 - frame.skills.floor / np.exp(self._least_size)
        by_b = by_force * (1.0 - b * log_x) - curves * b * log_x
        parts = [curves + by_force, by_b, by_h * (frame.floor < frame.size) * rises]
        if self.axes.sparse:
            e = frame.skills.e
            parts.append(-by_total * frame.size * frame.points.scale[:, 1:2] * e * (1.0 - e))
        return np.hstack(parts)

    def _skills(self, shared: Array, d: int) -> Skills:
        least = np.exp(self._least_size)
        if len(shared) == 0:
            return Skills(np.zeros(d), np.full(d, _TYPICAL_B), np.array(_TYPICAL_H) * least, 1.0)
        e = float(expit(shared[2 * d + 1])) if self.axes.sparse else 1.0
        return Skills(shared[:d], np.exp(shared[d : 2 * d]), least * expit(shared[2 * d]), e)

    def _mixtures(self, metrics: NDArray[np.int64], own: Array) -> Array:
        """v (M, d): one domain where a metric owns it."""
        owner = self.owner_[metrics][:, None]
        owned = np.arange(own.shape[1] - 3) == owner
        return np.where(owner >= 0, owned, np.exp(own[:, 3:]))

    @property
    def _least_size(self) -> float:
        """ln of the least active size of the runs, in the units of `Points`."""
        rows = self.axes_[:2, 0] if len(self.axes_) else np.zeros(2)
        return float(rows[0] - rows.mean())

    @property
    def _log_units(self) -> Array:
        """ln of the units of the metrics of the domains (d,): the split compares losses."""
        found = np.full(self.train_weights_.shape[1], np.nan)
        owned = np.flatnonzero((self.owner_ >= 0) & (self.spread_ > 0))
        found[self.owner_[owned]] = np.log(self.spread_[owned])
        typical = np.nanmean(found) if len(owned) else 0.0
        return np.where(np.isnan(found), typical, found)


def allocate(
    shares: Array, log_c: Array, b: Array, floor: Array | float, total: Array | float
) -> Array:
    """The split x (k, d) that minimises sum_i w_i c_i x_i^-b_i; floor and total () or (k, 1).

    x >= floor and sum x = total >= d floor. The sum is convex in ln l, so that Newton's method from
    an l that is too small never passes the solution.
    """
    force = np.log(shares) + log_c + np.log(b)
    price = (force - (b + 1.0) * np.log(total)).max(axis=1, keepdims=True)
    for _ in range(_STEPS):
        x = np.maximum(floor, np.exp((force - price) / (b + 1.0)))
        over = x.sum(axis=1, keepdims=True) - total
        if (over <= _EXACT * total).all():
            break
        give = np.where(x > floor, x / (b + 1.0), 0.0).sum(axis=1, keepdims=True)
        price = price + np.divide(over, give, out=np.zeros_like(over), where=give > 0)
    return np.maximum(floor, np.exp((force - price) / (b + 1.0)))


def _data(frame: Frame, own: Array, v: Array) -> tuple[Array, Array]:
    """ln (D sum_j v_j w_j / sum v) and A (...)^-a, (M, k) each."""
    share = v / v.sum(axis=1, keepdims=True)
    log_data = np.log(share @ frame.points.shares.T + _LEAST_DATA) + frame.points.scale[:, 2]
    return log_data, np.exp(own[:, 1:2] - np.exp(own[:, 2:3]) * log_data)


def _owners(own: NDArray[np.int64] | None, d: int, m: int) -> NDArray[np.int64]:
    """(m,) the domain that each metric speaks for, -1 none; the first metric of a domain does."""
    found = np.full(m, -1)
    for i, domain in enumerate([] if own is None else own.tolist()):
        if 0 <= domain < d and domain not in found:
            found[i] = domain
    return found
