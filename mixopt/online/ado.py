"""ADO: a law of each domain's loss fitted as it trains (Jiang et al. 2024, arXiv:2410.11820).

    L_j(n) = eps_j + beta_j n^-alpha_j  of n tokens from j,    slope_j = alpha_j (L_j - eps_j) / n
    p_j proportional to prior_j slope_j h_j^(1/2),   h the moving average of past shares
    shares = 0.9 (mean of past p) + 0.1 p

eps is what keeps text that cannot be learned from attracting draws. The fit is a grid over alpha
and eps with beta in closed form, Huber's loss on log-residuals, on at most 64 points of the curve.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.online.adaptive import Adaptive
from mixopt.online.base import Feedback

Array = NDArray[np.float64]

_POINTS = 64
_FEWEST = 6
_HUBER = 1e-3
_ALPHAS = np.geomspace(0.02, 1.0, 24)
_FLOORS = np.linspace(0.0, 0.98, 40)
"""eps over the lowest loss seen."""


@dataclass
class ADO(Adaptive):
    """Draws more of what still has something to teach."""

    every: int = 5
    begin: float = 0.15
    """Share of the run under the prior, before the first fit."""
    refit: int = 10
    """Feedbacks between two fits."""
    past: float = 0.9
    """Weight of the past in shares and in h."""

    kept = ("_tokens_seen", "_losses", "_counts", "_p", "_mean", "_h", "_turn", "_fits")

    def _begin(self) -> None:
        self._tokens_seen = np.zeros((0, self.d))
        self._losses = np.zeros((0, self.d))
        self._counts = np.zeros(0)
        self._p = self.budget.prior.copy()
        self._mean = self.budget.prior.copy()
        self._h = self.budget.prior.copy()
        self._fits = np.full((3, self.d), np.nan)
        self._turn = 0

    def _wanted(self) -> Array:
        return self.past * self._mean + (1.0 - self.past) * self._p

    def _learn(self, feedback: Feedback) -> None:
        self._record(np.asarray(feedback.drawn, dtype=np.float64), feedback.train_loss)
        self._h = self.past * self._h + (1.0 - self.past) * self.weights()
        if feedback.step < self.begin * feedback.steps:
            return
        if self._turn % self.refit == 0:
            self._fits = fit_curves(self._tokens_seen, self._losses, self._counts)
        self._turn += 1
        self._p = self._preference(np.asarray(feedback.drawn, dtype=np.float64))
        self._mean = self._mean + (self._p - self._mean) / (self._turn + 1)

    def _record(self, drawn: Array, losses: Array) -> None:
        """Add a point to the curves; when they are full, neighbours become one."""
        self._tokens_seen = np.concatenate([self._tokens_seen, drawn[None]])
        self._losses = np.concatenate([self._losses, losses[None]])
        self._counts = np.append(self._counts, 1.0)
        if len(self._counts) >= 2 * _POINTS:
            self._tokens_seen = _halved(self._tokens_seen)
            self._losses = _halved(self._losses)
            self._counts = self._counts.reshape(-1, 2).sum(axis=1)

    def _preference(self, drawn: Array) -> Array:
        """p (d,): domains without a fit have the mean slope of the others."""
        _, beta, alpha = self._fits
        known = np.isfinite(alpha) & (drawn > 0)
        slope = np.zeros(self.d)
        slope[known] = alpha[known] * beta[known] * drawn[known] ** (-alpha[known] - 1.0)
        if not (slope > 0).any():
            return self.budget.prior
        slope = np.where(known, slope, slope[known].mean())
        p = self.budget.prior * slope * np.sqrt(self._h)
        return p / p.sum() if p.sum() > 0 else self.budget.prior

    def reasons(self) -> dict[str, Any]:
        """The fitted laws by domain: eps, beta, alpha; None where there is none."""
        rows = [[None if np.isnan(one) else one for one in row] for row in self._fits.T.tolist()]
        return {"laws": dict(zip(self.budget.names, rows, strict=True))}


def fit_curves(tokens: Array, losses: Array, counts: Array) -> Array:
    """(eps, beta, alpha) by domain (3, d) from curves (h, d); NaN for fewer than 6 points.

    A curve that does not fall has beta = alpha = 0.

    `counts` (h,) is how many feedbacks each point stands for.

    >>> n = np.geomspace(10.0, 1e4, 30)[:, None]
    >>> eps, beta, alpha = fit_curves(n, 2.0 + 8.0 * n**-0.4, np.ones(30))[:, 0]
    >>> bool(abs(eps - 2.0) < 0.3), bool(abs(alpha - 0.4) < 0.1)
    (True, True)
    """
    found = np.full((3, tokens.shape[1]), np.nan)
    for j in range(tokens.shape[1]):
        known = np.isfinite(losses[:, j]) & (tokens[:, j] > 0) & (losses[:, j] > 0)
        if known.sum() >= _FEWEST:
            found[:, j] = _fit_curve(tokens[known, j], losses[known, j], counts[known])
    return found


def _fit_curve(tokens: Array, losses: Array, counts: Array) -> Array:
    """The best of the grid, or a constant."""
    log_n = np.log(tokens)
    eps = _FLOORS * losses.min()
    log_rest = np.log(losses - eps[:, None])  # (F, h)
    weight = counts / counts.sum()
    middle = (weight * log_rest).sum(axis=1)[:, None] + _ALPHAS * (weight * log_n).sum()  # log beta
    fitted = middle[:, :, None] - _ALPHAS[:, None] * log_n  # (F, G, h)
    ratio = eps[:, None, None] + np.exp(fitted)
    residual = np.abs(np.log(ratio) - np.log(losses))
    huber = np.where(residual < _HUBER, residual**2 / 2, _HUBER * (residual - _HUBER / 2))
    loss = (weight * huber).sum(axis=2)
    flat = np.abs(np.log(losses) - np.median(np.log(losses)))
    flat_loss = np.where(flat < _HUBER, flat**2 / 2, _HUBER * (flat - _HUBER / 2)) @ weight
    if loss.min() >= flat_loss:
        return np.array([np.median(losses), 0.0, 0.0])
    f, g = np.unravel_index(int(loss.argmin()), loss.shape)
    return np.array([eps[f], np.exp(middle[f, g]), _ALPHAS[g]])


def _halved(values: Array) -> Array:
    """(2h, d) to (h, d): means of neighbours, of those that are known."""
    pairs = values.reshape(-1, 2, values.shape[1])
    known = np.isfinite(pairs)
    count = known.sum(axis=1)
    total = np.where(known, pairs, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
