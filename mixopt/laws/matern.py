"""Matern-5/2 and draws of it, k(r) = (1 + sqrt(5) r + 5 r^2 / 3) exp(-sqrt(5) r).

Draws are random Fourier features (Rahimi and Recht 2007): its spectral density is a t with 5
degrees of freedom. They are functions, so any rows may be asked of one draw.
"""

import numpy as np

from mixopt.laws.base import Array

FREQUENCIES = 256
"""Of the random-feature form: its covariances are good to about .06."""


def distances(left: Array, right: Array) -> Array:
    """Euclidean distances r (k, n) of rows (k, d) and (n, d)."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * left @ right.T
    return np.sqrt(np.maximum(squares, 0.0))


def kernel(r: Array) -> tuple[Array, Array]:
    """k(r) and -k'(r) / r, which is finite at 0, both shaped as r."""
    root = np.sqrt(5.0) * r
    decay = np.exp(-root)
    fall = (1.0 + root) * decay
    return fall + root**2 / 3.0 * decay, 5.0 / 3.0 * fall


def slopes_by_length(by_pair: Array, scaled: Array) -> Array:
    """Sum_ij b_ij k(r_ij) / 2 by the logarithm of each length, (d,).

    `by_pair` (n, n) is symmetric, b_ij times -k'(r) / r; `scaled` (n, d) are rows by lengths.
    """
    across = np.einsum("nd,nd->d", scaled, by_pair @ scaled)
    return by_pair.sum(axis=1) @ scaled**2 - across


def frequencies(d: int, rng: np.random.Generator) -> Array:
    """(d, FREQUENCIES) directions of the waves at length scale 1."""
    normal = rng.standard_normal((d, FREQUENCIES))
    return normal * np.sqrt(5.0 / rng.chisquare(5.0, FREQUENCIES))


def waves(points: Array, directions: Array) -> Array:
    """Features (k, 2 FREQUENCIES) of scaled points (k, d): their products are near k(r)."""
    phase = points @ directions
    return np.hstack([np.cos(phase), np.sin(phase)]) / np.sqrt(FREQUENCIES)
