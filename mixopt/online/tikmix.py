"""TiKMiX: weights by the influence of whole domains on what is evaluated (arXiv:2508.17677).

    P = S w,  S_ij = influence of domain j on metric i (larger is better),  p_i = P_i / (max_j S_ij)
    direct      min  std(p) - sum(p) - H(w)   such that  S w >= S w_prior,  w on the simplex
    regression  the drops of the losses after short runs on mixtures around the prior (their true
                influence), a quadratic of them, then Dirichlet samples around the best so far

The direct problem is convex. The paper solves it by SLSQP; an augmented Lagrangian in
w = softmax(z) has the same answer and does not slow down with the square of the domains.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import qmc

from mixopt.errors import ConfigError
from mixopt.online.adaptive import Adaptive
from mixopt.online.base import Feedback

Array = NDArray[np.float64]

_TINY = 1e-8
_OUTER = 25  # of the augmented Lagrangian
_SLACK = 1e-4  # of the constraints, by their scale, that still counts as kept
_ROUNDS, _SAMPLES, _KEPT = 6, 512, 8  # of the search under the regression
_RIDGE = 0.05  # of the mean square of a mixture's features


@dataclass
class TiKMiX(Adaptive):
    """Balances what a mixture does for all that is evaluated, no worse than the prior for any."""

    every: int = 100
    form: Literal["direct", "regression"] = "direct"
    at_least_prior: bool = True
    """Whether no metric may be influenced less than by the prior."""
    runs: int = 12
    """Mixtures that `regression` trains at each refresh."""
    steps: int = 20
    """Steps of each."""
    reach: float = 2.0
    """Box of those mixtures: shares of the prior over, and times, this."""
    seed: int = 0

    kept = ("_w", "_turn")

    @property
    def needs(self) -> frozenset[str]:
        """Influences; for the regression also losses after short runs."""
        extra = {"eval_loss", "probe_loss"} if self.form == "regression" else set()
        return frozenset({"influence", *extra})

    def probes(self) -> tuple[Array, int] | None:
        """The mixtures around the prior, for the regression."""
        if self.form == "direct":
            return None
        rng = np.random.default_rng([self.seed, self._turn])
        return around(self.budget.prior, self.reach, self.runs, rng), self.steps

    def _begin(self) -> None:
        if self.form not in ("direct", "regression"):
            raise ConfigError(f"tikmix: form must be direct or regression, got {self.form!r}")
        if self.runs < 4 or not self.reach > 1.0:
            raise ConfigError("tikmix: runs must be 4 or more, and reach above 1")
        self._w = self.budget.prior.copy()
        self._turn = 0

    def _wanted(self) -> Array:
        return self._w

    def _learn(self, feedback: Feedback) -> None:
        assert feedback.influence is not None
        known = feedback.influence[np.isfinite(feedback.influence).all(axis=1)]
        prior = self.budget.prior
        if len(known):
            self._w = direct(known, prior, self.at_least_prior)
        if self.form == "regression":
            assert feedback.eval_loss is not None
            assert feedback.probe_loss is not None
            probes = self.probes()
            assert probes is not None
            drops = feedback.eval_loss - feedback.probe_loss
            rng = np.random.default_rng([self.seed, self._turn, 1])
            self._w = by_regression(probes[0], drops, self._w, prior, self.reach, rng)
        self._turn += 1

    def reasons(self) -> dict[str, Any]:
        """Where the method stands before the limits."""
        return {"wanted": dict(zip(self.budget.names, self._w.tolist(), strict=True))}


def direct(influence: Array, prior: Array, at_least_prior: bool = True) -> Array:
    """The mixture (d,) of TiKMiX-D for influences (m, d); the prior where nothing else will do.

    >>> diagonal = np.diag([5.0, 1.0, 0.2])
    >>> direct(diagonal, np.array([0.5, 0.3, 0.2]), at_least_prior=False).round(4)
    array([0.3333, 0.3333, 0.3333])
    >>> direct(diagonal, np.array([0.5, 0.3, 0.2])).round(4)
    array([0.5, 0.3, 0.2])
    """
    largest = influence.max(axis=1)
    unit = np.where(largest > 0, largest, np.abs(influence).max(axis=1))
    scaled = influence / np.where(unit > 0, unit, 1.0)[:, None]
    if not at_least_prior:
        return _solved(scaled, np.full(len(prior), 1.0 / len(prior)), None)
    least = scaled @ prior
    found = _solved(scaled, prior, least)
    return found if (scaled @ found >= least - _SLACK).all() else prior.copy()


def _solved(scaled: Array, start: Array, least: Array | None) -> Array:
    """min std(P) - sum(P) - H(w), P = scaled w >= least, by an augmented Lagrangian."""
    z = np.log(np.maximum(start, _TINY))
    price, weight = np.zeros(len(scaled)), 10.0
    for _ in range(1 if least is None else _OUTER):
        z = minimize(
            _lagrangian, z, (scaled, least, price, weight), "L-BFGS-B", jac=True, tol=1e-12
        ).x
        if least is None:
            break
        gap = least - scaled @ softmax(z)
        price = np.maximum(price + weight * gap, 0.0)
        if gap.max() < 1e-8:
            break
        weight = min(2.0 * weight, 1e6)
    return softmax(z)


def _lagrangian(
    z: Array, scaled: Array, least: Array | None, price: Array, weight: float
) -> tuple[float, Array]:
    """Value and gradient in z of the problem's Lagrangian."""
    w = softmax(z)
    p = scaled @ w
    away = p - p.mean()
    spread = float(np.sqrt((away**2).mean() + 1e-16))
    log_w = np.log(np.maximum(w, 1e-300))
    value = spread - p.sum() + float(w @ log_w)
    slope = away / (len(p) * spread) - 1.0
    if least is not None:
        push = np.maximum(price + weight * (least - p), 0.0)
        value += float((push**2 - price**2).sum()) / (2.0 * weight)
        slope = slope - push
    by_w = scaled.T @ slope + log_w + 1.0
    return value, w * (by_w - w @ by_w)


def around(prior: Array, reach: float, count: int, rng: np.random.Generator) -> Array:
    """A Latin hypercube of mixtures (count, d), shares from prior / reach to prior * reach."""
    cube = qmc.LatinHypercube(len(prior), rng=rng).random(count)
    rows = np.maximum(prior, _TINY) * reach ** (2.0 * cube - 1.0)
    return rows / rows.sum(axis=1, keepdims=True)


def by_regression(
    mixtures: Array,
    drops: Array,
    start: Array,
    prior: Array,
    reach: float,
    rng: np.random.Generator,
) -> Array:
    """The mixture (d,) of TiKMiX-M from the drops (a, m) of losses after training on mixtures.

    Starts at `start`; stays there where no drop is known.
    """
    known = np.isfinite(drops).all(axis=0)
    if not known.any():
        return start
    scaled = drops[:, known] / (np.abs(drops[:, known]).max(axis=0) + _TINY)
    law = _Surface(mixtures, scaled, np.maximum(prior, _TINY))
    low, high = prior / reach, prior * reach
    best = start
    for turn in range(_ROUNDS):
        rows = rng.dirichlet(np.maximum(best, 1e-4) * 20.0 * 2.0**turn, _SAMPLES)
        rows = np.clip(rows, low, high)
        rows = np.concatenate([rows / rows.sum(axis=1, keepdims=True), best[None]])
        p = law.predict(rows)
        entropy = -(rows * np.log(np.maximum(rows, 1e-300))).sum(axis=1)
        score = p.std(axis=1) - p.sum(axis=1) - entropy
        best = rows[np.argsort(score, kind="stable")[:_KEPT]].mean(axis=0)
    return best


class _Surface:
    """A quadratic in w / prior - 1 by ridge regression; in its dual form, so that d costs little.

    The paper takes gradient-boosted trees, which a dozen mixtures do not feed.
    """

    def __init__(self, mixtures: Array, values: Array, prior: Array) -> None:
        self._prior = prior
        self._points = mixtures / prior - 1.0
        self._mean = values.mean(axis=0)
        kernel = self._kernel(self._points)
        ridge = (_RIDGE * np.trace(kernel) / len(kernel) + _TINY) * np.eye(len(kernel))
        self._dual = np.linalg.solve(kernel + ridge, values - self._mean)

    def predict(self, rows: Array) -> Array:
        """Values (k, m) of mixtures (k, d)."""
        return self._mean + self._kernel(rows / self._prior - 1.0) @ self._dual

    def _kernel(self, points: Array) -> Array:
        """The inner products of monomials up to degree two, less the constant."""
        return (1.0 + points @ self._points.T / points.shape[1]) ** 2 - 1.0
