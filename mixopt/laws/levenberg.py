"""Penalised Huber regression on a curve, by Levenberg-Marquardt inside bounds, many starts at once:

    min over theta of  sum_i huber(f_i(theta) - z_i) + s^2 |R theta - t|^2 / 2,   s the residual sd

Huber's loss bends from squares to lines at `delta` (Huber 1964; by iterated weights). The penalty
is a Gaussian prior N(t, 1) on R theta; s is found with it: guessed, fitted, measured, fitted again.
theta_0 is a constant added to the curve and is put where it fits best after every step: steep
curves are steep in one direction together with it, and would otherwise be followed in small steps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import Array, mixture_groups
from mixopt.laws.linearised import MetricFit, inverse_hessian, left_out_sd, leverage_of

_SIGMA_START = 0.3
_SIGMA_LEAST = 1e-4
_NOISE_FOUND = 0.02
"""... when it moves by less than this share."""
_ROUNDS = 15
_FIRST_STEPS = 15
"""After them only the best start goes on."""
_STEPS = 60
_STEPS_AGAIN = 20
"""Once the noise is known better, and from where another fit ended."""
_TOLERANCE = 1e-7
_CHOICE_RUNS = 2048
"""Runs on which starts and prior widths are chosen, at most."""
_HELD = 2**24
"""Slopes of all starts held at once."""
_DAMPING = 1e-3
_STUCK = 1e12
_LEAST_FREEDOM = 0.05
"""Of a run that fixes the curve to itself."""


class Curve(NamedTuple):
    """A curve at n mixtures as a function of s parameter vectors, with its prior and bounds."""

    values: Callable[[Array], Array]
    """theta (s, p) -> f (s, n); theta_0 is added to it."""
    slopes: Callable[[Array], Array]
    """theta (s, p) -> d f / d theta (s, n, p)."""
    rows: Array
    """(q, p) R."""
    targets: Array
    """(q,) t."""
    lower: Array
    """(p,)"""
    upper: Array
    """(p,)"""


def fit_curve(
    curve_at: Callable[[Array, float], Curve],
    weights: Array,
    z: Array,
    starts: Array,
    widths: Sequence[float],
    delta: float,
) -> MetricFit:
    """The fit to z (n,) at weights (n, d) whose prior width predicts left-out mixtures best.

    `curve_at` makes the curve of some weights and a prior width. Starts (s, p) compete at the
    first width; every other width goes on from the fit before it.
    """
    few = every(len(z))
    some, values = weights[few], z[few]
    curves = [curve_at(some, width) for width in widths]
    theta, cost = descend(curves[0], values, starts, _SIGMA_START, delta, _FIRST_STEPS)
    theta, sigma = theta[cost.argmin()], _SIGMA_START
    groups, fits, errors = mixture_groups(some), [], []
    for curve in curves:
        fit = _at_its_noise(curve, values, theta, sigma, delta)
        theta, sigma = fit.theta, fit.sigma
        fits.append(fit)
        errors.append(_left_out_error(curve, values, fit, groups))
    best = int(np.argmin(errors))
    if len(values) == len(z):
        return fits[best]
    whole, near = curve_at(weights, widths[best]), fits[best]
    fit = settle(whole, z, near.theta, near.sigma, delta, _STEPS_AGAIN)
    return settle(whole, z, fit.theta, fit.sigma, delta, _STEPS_AGAIN)


def refit_curve(curve: Curve, z: Array, kept: MetricFit, delta: float) -> MetricFit:
    """The fit to other values z (n,) from where `kept` ended, at the same noise and prior width."""
    curve = curve._replace(rows=kept.penalty / kept.sigma)
    fit = settle(curve, z, kept.theta, kept.sigma, delta, _STEPS_AGAIN)
    return MetricFit(fit.theta, kept.sigma, kept.penalty, fit.curvature)


def settle(
    curve: Curve, z: Array, theta: Array, sigma: float, delta: float, steps: int
) -> MetricFit:
    """The minimum from `theta` (p,) at noise sigma, then the noise that it leaves."""
    theta = descend(curve, z, theta[None], sigma, delta, steps)[0][0]
    slopes = curve.slopes(theta[None])[0]
    residual = z - curve.values(theta[None])[0]
    leverage = leverage_of(slopes, inverse_hessian(slopes, sigma * curve.rows))
    left = max(left_out_sd(residual, leverage), _SIGMA_LEAST)
    return MetricFit(theta, left, left * curve.rows, inverse_hessian(slopes, left * curve.rows))


def descend(
    curve: Curve, z: Array, starts: Array, sigma: float, delta: float, steps: int
) -> tuple[Array, Array]:
    """Levenberg-Marquardt from starts (s, p) at noise sigma: theta (s, p) and its cost (s,)."""
    size = max(1, _HELD // (len(z) * starts.shape[1]))
    blocks = [starts[at : at + size] for at in range(0, len(starts), size)]
    ends = [_descended(curve, z, block, sigma, delta, steps) for block in blocks]
    thetas, costs = zip(*ends)
    return np.concatenate(thetas), np.concatenate(costs)


def every(runs: int) -> slice:
    """Evenly spaced runs on which settings are chosen: all of them, unless there are thousands."""
    return slice(None, None, -(-runs // _CHOICE_RUNS))


def _descended(
    curve: Curve, z: Array, starts: Array, sigma: float, delta: float, steps: int
) -> tuple[Array, Array]:
    theta = _centred(curve, z, np.clip(starts, curve.lower, curve.upper), delta)
    cost, slope, bend = _expanded(curve, z, theta, sigma, delta)
    damping = np.full(len(theta), _DAMPING)
    live = np.arange(len(theta))
    for _ in range(steps):
        if len(live) == 0:
            break
        trial = _stepped(curve, theta[live], slope[live], bend[live], damping[live])
        trial = _centred(curve, z, trial, delta)
        gain = cost[live] - _cost(curve, z, trial, sigma, delta)
        good = gain > 0
        damping[live] *= np.where(good, 0.2, 6.0)
        better = live[good]
        theta[better] = trial[good]
        cost[better], slope[better], bend[better] = _expanded(curve, z, theta[better], sigma, delta)
        done = (good & (gain <= _TOLERANCE * cost[live])) | (damping[live] > _STUCK)
        live = live[~done]
    return theta, cost


def _at_its_noise(curve: Curve, z: Array, theta: Array, sigma: float, delta: float) -> MetricFit:
    """The minimum from `theta` (p,) at the noise that it leaves, guessed as sigma at first."""
    fit = settle(curve, z, theta, sigma, delta, _STEPS)
    for _ in range(_ROUNDS):
        before = fit.sigma
        fit = settle(curve, z, fit.theta, before, delta, _STEPS_AGAIN)
        if abs(fit.sigma - before) <= _NOISE_FOUND * before:
            break
    return fit


def _left_out_error(curve: Curve, z: Array, fit: MetricFit, groups: NDArray[np.int64]) -> float:
    """Mean squared residual of runs whose mixture is left out, by the hat matrix of the slopes."""
    slopes = curve.slopes(fit.theta[None])[0]
    residual = z - curve.values(fit.theta[None])[0]
    left = residual / np.maximum(1.0 - leverage_of(slopes, fit.curvature), _LEAST_FREEDOM)
    for group in np.flatnonzero(np.bincount(groups) > 1):
        rows = np.flatnonzero(groups == group)
        hat = slopes[rows] @ fit.curvature @ slopes[rows].T
        size, turn = np.linalg.eigh(np.eye(len(rows)) - hat)
        left[rows] = turn / np.maximum(size, _LEAST_FREEDOM) @ turn.T @ residual[rows]
    return float(np.mean(left**2))


def _centred(curve: Curve, z: Array, theta: Array, delta: float) -> Array:
    """theta (s, p) with its constant where the residuals, weighted by trust, add up to zero."""
    residual = z - curve.values(theta)
    trust = delta / np.maximum(np.abs(residual), delta)
    out = theta.copy()
    out[:, 0] += (trust * residual).sum(axis=1) / trust.sum(axis=1)
    return np.clip(out, curve.lower, curve.upper)


def _cost(curve: Curve, z: Array, theta: Array, sigma: float, delta: float) -> Array:
    """What is minimised, (s,)."""
    apart = np.abs(curve.values(theta) - z)
    bent = np.minimum(apart, delta)
    off = theta @ curve.rows.T - curve.targets
    return (bent * (apart - 0.5 * bent)).sum(axis=1) + 0.5 * sigma**2 * (off**2).sum(axis=1)


def _expanded(
    curve: Curve, z: Array, theta: Array, sigma: float, delta: float
) -> tuple[Array, Array, Array]:
    """Cost (s,), its gradient (s, p) and Gauss-Newton Hessian (s, p, p)."""
    residual, slopes = curve.values(theta) - z, curve.slopes(theta)
    trust = delta / np.maximum(np.abs(residual), delta)
    off = theta @ curve.rows.T - curve.targets
    weighted = (slopes * trust[:, :, None]).transpose(0, 2, 1)
    slope = np.matmul(weighted, residual[:, :, None])[:, :, 0] + sigma**2 * off @ curve.rows
    bend = np.matmul(weighted, slopes) + sigma**2 * curve.rows.T @ curve.rows
    return _cost(curve, z, theta, sigma, delta), slope, bend


def _stepped(curve: Curve, theta: Array, slope: Array, bend: Array, damping: Array) -> Array:
    """One damped step (s, p); parameters that push against a bound stay there."""
    held = ((theta <= curve.lower) & (slope > 0)) | ((theta >= curve.upper) & (slope < 0))
    free = ~held
    system = bend * (free[:, :, None] & free[:, None, :])
    size = np.einsum("spp->sp", bend)
    size = damping[:, None] * np.maximum(size, 1e-12 * size.max(axis=1, keepdims=True)) + held
    system = system + size[:, :, None] * np.eye(theta.shape[1])
    move = np.linalg.solve(system, np.where(held, 0.0, slope)[:, :, None])[:, :, 0]
    return np.clip(theta - move, curve.lower, curve.upper)
