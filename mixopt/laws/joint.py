"""Joint law: L = E + 1 / sum_j C_j w_j^g_j + A(w) / N^a + B(w) / D^b (arXiv:2507.09404, eq. 2.5).

A(w) = (sum_j CA_j w_j)^gA and B(w) alike: what scale buys depends on the mixture, so the best
mixture moves with scale. With equal CA_j, equal CB_j and gA = gB = 1 it is the additive law, and
the priors hold it there unless the runs say otherwise. The rest is as in `mixopt.laws.additive`.
"""

from dataclasses import dataclass

import numpy as np

from mixopt.laws.additive import HEIGHT_SPREAD, Additive
from mixopt.laws.arrow import Prior, diagonal_prior
from mixopt.laws.base import Array

_SPREAD = 0.7
"""sd of ln CA_j: how unequally domains are expected to gain from scale."""


@dataclass
class Joint(Additive):
    """The additive law with heights A and B that depend on the mixture."""

    convex = False

    def _height_prior(self, d: int, reach: float) -> Prior:
        """Of (ln A, ln CA_1..d, ln gA) in A (sum_j CA_j w_j)^gA; the paper has A in the CA_j."""
        mean = np.concatenate([[np.log(1.0 + reach)], np.zeros(d + 1)])
        sd = np.concatenate([[HEIGHT_SPREAD], np.full(d, _SPREAD), [0.5]])
        return diagonal_prior(mean, sd, reach=6.0)

    def _log_height(self, shares: Array, own: Array) -> Array:
        return own[:, :1] + np.exp(own[:, -1:]) * np.log(np.exp(own[:, 1:-1]) @ shares.T)

    def _height_slopes(self, shares: Array, own: Array) -> Array:
        inner, power = np.exp(own[:, 1:-1]) @ shares.T, np.exp(own[:, -1:])
        by_gain = self._height_by_share(shares, own) * shares
        ends = np.ones_like(inner), power * np.log(inner)
        return np.concatenate([ends[0][:, :, None], by_gain, ends[1][:, :, None]], axis=2)

    def _height_by_share(self, shares: Array, own: Array) -> Array:
        inner = np.exp(own[:, 1:-1]) @ shares.T
        return np.exp(own[:, -1])[:, None, None] * np.exp(own[:, None, 1:-1]) / inner[:, :, None]
