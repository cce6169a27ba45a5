"""Ties between metrics: the correlation of residuals over runs, shrunk to the identity."""

import numpy as np

from mixopt.laws.base import Array


def shrunk_correlation(residuals: Array) -> Array:
    """Correlation (m, m) of residuals (n, m), shrunk to the identity by max(.1, m / (m + n)).

    NaN residuals are left out; a metric without any variation is tied to no other.
    """
    n, m = residuals.shape
    centred = np.where(np.isnan(residuals), 0.0, residuals)
    length = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(length > 0, length, 1.0)
    share = max(0.1, m / (m + n))
    correlation = (1.0 - share) * (unit.T @ unit)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def tied_normals(shape: tuple[int, ...], correlation: Array, rng: np.random.Generator) -> Array:
    """Standard normals (..., m) whose last axis has the given correlation (m, m)."""
    return rng.standard_normal(shape) @ np.linalg.cholesky(correlation).T
