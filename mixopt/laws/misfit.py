"""Lack of fit as a Matern-5/2 process over sqrt(w): near mixtures share what a curve gets wrong."""

import numpy as np
from scipy.spatial.distance import pdist

from mixopt.laws.base import Array
from mixopt.laws.correlation import tied_normals
from mixopt.laws.matern import FREQUENCIES, frequencies, waves

_ROWS = 512
"""Runs whose pairwise distances set the length scale."""


def misfit_length(weights: Array) -> float:
    """The process's length scale: half the median distance between runs (n, d) in sqrt(w)."""
    rows = np.sqrt(np.maximum(weights, 0.0))[:: max(1, len(weights) // _ROWS)]
    distances = pdist(rows)
    positive = distances[distances > 0]
    return 0.5 * float(np.median(positive)) if len(positive) else 1.0


def misfit_draws(
    weights: Array, length: float, draws: int, correlation: Array, rng: np.random.Generator
) -> Array:
    """Processes of unit variance at `weights` (k, d), (draws, k, m), tied as `correlation` (m, m).

    A draw is a function: other rows asked with the same generator come from the same one.
    """
    directions = frequencies(weights.shape[1], rng)
    gains = tied_normals((draws, 2 * FREQUENCIES, len(correlation)), correlation, rng)
    return np.matmul(waves(np.sqrt(np.maximum(weights, 0.0)) / length, directions), gains)
