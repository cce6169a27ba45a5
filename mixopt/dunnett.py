"""Dunnett's multivariate t: several proposals against one rival, P(max_i T_i >= t).

T_i = (Z_0 - Z_i) / (sqrt(2) u), the Z independent standard normal, df u^2 chi-square with df
degrees of freedom (Dunnett 1955, doi:10.1080/01621459.1955.10501294). Given Z_0 and u the T_i are
independent, so the probability is a mean over two variables, taken here by quadrature: it has no
simulation error, and a p value is the same in every run.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr

Array = NDArray[np.float64]

_NODES = 100


def dunnett_tail(t: float, proposals: int, df: int) -> float:
    """P(the largest of `proposals` t statistics against one rival >= t); Student's t for one.

    >>> round(dunnett_tail(1.812, proposals=1, df=10), 3)
    0.05
    """
    u, scale_weight = _scale_nodes(df)
    z, weight = _normal_nodes()
    below = ndtr(np.sqrt(2.0) * t * u[:, None] + z) ** proposals
    return float(1.0 - scale_weight @ below @ weight)


@lru_cache(maxsize=256)
def dunnett_quantile(level: float, proposals: int, df: int) -> float:
    """The t that the largest of `proposals` statistics stays below with probability `level`.

    >>> round(dunnett_quantile(0.95, proposals=3, df=20), 2)   # Dunnett's table: 2.19
    2.19
    """

    def excess(t: float) -> float:
        return dunnett_tail(t, proposals, df) - (1.0 - level)

    return float(brentq(excess, 0.0, 1e4))


def power(
    gain: float, noise: float, blocks: int, proposals: int, rivals: int, level: float
) -> float:
    """P(one proposal, better than `rivals` equal rivals by `gain`, is found better than each).

    `noise` is the sd of one run beside its block. Proposals and rivals are the arms: the noise is
    estimated with (arms - 1)(blocks - 1) degrees of freedom.
    """
    df = (proposals + rivals - 1) * (blocks - 1)
    u, scale_weight = _scale_nodes(df)
    z, weight = _normal_nodes()
    needed = dunnett_quantile(level, proposals, df) * np.sqrt(2.0) * u
    beaten = ndtr(gain * np.sqrt(blocks) / noise - needed[:, None] - z) ** rivals
    return float(scale_weight @ beaten @ weight)


@lru_cache(maxsize=1)
def _normal_nodes() -> tuple[Array, Array]:
    """Gauss-Hermite nodes and weights of a standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return nodes, weights / weights.sum()


@lru_cache(maxsize=64)
def _scale_nodes(df: int) -> tuple[Array, Array]:
    """Nodes and weights of u, the estimated sd over the true one: Gauss-Legendre over its quantile.

    The quantile is y^4, so that the small values of u, which make large t, have nodes enough.
    """
    nodes, weights = np.polynomial.legendre.leggauss(2 * _NODES)
    y = (nodes + 1.0) / 2.0
    return np.sqrt(2.0 * gammaincinv(df / 2.0, y**4) / df), 2.0 * weights * y**3
