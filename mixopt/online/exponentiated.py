"""The step that the methods of the linear mixing law share: exponentiated gradient.

    L_i(t+1) = L_i(t) - sum_j A_ij x_j        x_j <- x_j exp(eta sum_i A_ij) / Z

minimises the linear law plus KL(x' || x) / eta (Chen et al. 2024, arXiv:2411.05735). Skill-It,
DoReMi, DoGE and Aioli differ in how they come by A.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST = 1e-12  # a share of zero could never come back


def exponentiated(x: Array, gain: Array, rate: float) -> Array:
    """x (d,) moved by exp(rate gain); a gain (d,) that is missing counts as the mean of the others.

    >>> exponentiated(np.array([0.5, 0.5]), np.array([np.log(2.0), 0.0]), 1.0).round(4)
    array([0.6667, 0.3333])
    """
    known = np.isfinite(gain)
    if not known.any():
        return x
    filled = np.where(known, gain, gain[known].mean())
    moved = np.maximum(x, _LEAST) * np.exp(rate * (filled - filled.max()))
    moved = np.maximum(moved / moved.sum(), _LEAST)
    return moved / moved.sum()


def column_gains(matrix: Array) -> Array:
    """sum_i A_ij (d,) of A (m, d) over the metrics that are known for every domain."""
    known = np.isfinite(matrix).all(axis=1)
    return matrix[known].sum(axis=0) if known.any() else np.full(matrix.shape[1], np.nan)
