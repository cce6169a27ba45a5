"""Pairwise law: L(w) = sum_j g_j(w_j) - 4 sum_{i<j} C_ij w_i w_j, any curve g_j for each domain.

Scaling laws of mixed-modal models (Aghajanyan et al., arXiv:2301.03728) write the loss of a model
trained on equal parts of two modalities as the mean of what either gives alone and an interaction:

    L_ij(N, D) = (L_i(N, D_i) + L_j(N, D_j)) / 2 - C_ij + A_ij / N^alpha_ij + B_ij / D^beta_ij

At one scale the last three terms are one number, less C_ij. Here any domains in any shares have it:
the curves g_j = b_j w + s_j sqrt(w) + t_j log(w + .01) stand for the unimodal terms, 4 w_i w_j is 1
for equal parts of two, and the fit is a ridge (`mixopt.laws.interactions`). C_ij > 0: the two help
each other, C_ij < 0: they compete. What is separable and what interacts is a convention, since
w_j^2 = w_j - sum_i w_i w_j on the simplex: here squares are interactions.

Competition may turn into synergy as models grow; `barrier` finds where from C_ij at several sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from mixopt.errors import DataError
from mixopt.laws.base import Array
from mixopt.laws.interactions import Interactions

_SMALL = 0.01
_EXPONENTS = (0.02, 2.0)


@dataclass
class Pairwise(Interactions):
    """Curves of single shares and products of two.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(3), 40)
    >>> gain = 4.0 * weights[:, :1] * weights[:, 1:2]
    >>> law = Pairwise().fit(weights, 3.0 - np.sqrt(weights[:, :1]) - 0.2 * gain)
    >>> print(law.synergies()[0, 0, 1].round(3))
    0.2
    """

    ratios: Sequence[float] = (0.1, 3.0, 100.0)
    """Strengths of the ridge on the products, by that on the curves, tried in turn."""

    def _main(self, weights: Array) -> Array:
        return np.hstack([weights, np.sqrt(weights), np.log(weights + _SMALL)])

    def synergies(self) -> Array:
        """C_ij of every metric, (m, d, d): how much lower equal parts of i and j alone are.

        In units of the metric, symmetric with a diagonal of zeros. Raises NotFittedError before
        the fit.
        """
        return -0.25 * self.products()


class Barrier(NamedTuple):
    """C_ij at size N as C - A / N^alpha."""

    limit: float
    """C, of an endless model."""
    height: float
    """A."""
    exponent: float
    """alpha."""
    size: float | None
    """(A / C)^(1 / alpha), where C_ij changes its sign; None where it never does."""


def barrier(sizes: ArrayLike, synergies: ArrayLike) -> Barrier:
    """The size at which two domains stop competing, from C_ij (s,) at s >= 3 sizes (s,).

    Sizes are parameters, or tokens: whichever grew. Least squares; C and A are linear, alpha is
    searched in [.02, 2]. Raises DataError for fewer sizes or for such as are not positive.

    >>> found = barrier([1e7, 1e8, 1e9], [0.1 - 50.0 / n**0.3 for n in (1e7, 1e8, 1e9)])
    >>> found.size is not None and bool(np.isclose(found.size, 500.0 ** (1 / 0.3), rtol=1e-3))
    True
    """
    n, measured = np.asarray(sizes, dtype=np.float64), np.asarray(synergies, dtype=np.float64)
    if n.shape != measured.shape or len(np.unique(n)) < 3 or not (n > 0).all():
        raise DataError(
            "expected the interaction of two domains at three or more sizes above 0, "
            f"got sizes {n.tolist()} and {measured.shape} interactions"
        )
    log_n = np.log(n / n.min())
    search = minimize_scalar(
        lambda log_alpha: _lines(log_n, measured, np.exp(log_alpha))[1],
        bounds=tuple(np.log(_EXPONENTS)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    alpha = float(np.exp(search.x))
    (limit, drop), _ = _lines(log_n, measured, alpha)
    height = -drop * n.min() ** alpha
    crosses = height / limit > 0 if limit != 0 else False
    size = float((height / limit) ** (1.0 / alpha)) if crosses else None
    return Barrier(float(limit), float(height), alpha, size)


def _lines(log_n: Array, measured: Array, alpha: float) -> tuple[Array, float]:
    """(C, -A) of the smallest size as the unit, by least squares, and the sum of squares left."""
    design = np.column_stack([np.ones_like(log_n), np.exp(-alpha * log_n)])
    found = np.asarray(np.linalg.lstsq(design, measured)[0], dtype=np.float64)
    return found, float(np.sum((measured - design @ found) ** 2))
