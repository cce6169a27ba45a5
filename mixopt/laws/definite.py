"""Inverse and log determinant of a positive definite matrix A = L L', by its Cholesky root L."""

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from mixopt.laws.base import Array


def inverse(matrix: Array) -> tuple[Array, float]:
    """A^-1 (n, n) and ln |A|.

    >>> found, log_det = inverse(np.diag([1.0, 4.0]))
    >>> found.tolist(), round(log_det, 4)
    ([[1.0, 0.0], [0.0, 0.25]], 1.3863)
    """
    root, failed = dpotrf(matrix, lower=1)
    assert not failed, "covariances with noise on the diagonal are positive definite"
    found, _ = dpotri(root, lower=1)
    lower = np.tril(found)
    whole = lower + np.tril(lower, -1).T
    return whole, 2.0 * float(np.log(np.diag(root)).sum())
