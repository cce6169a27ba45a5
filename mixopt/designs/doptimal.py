"""doptimal: runs that determine a law's parameters best, max log det(X'X + X0'X0 + P).

X holds the law's features (slopes by its parameters) at the new runs, X0 those at the runs that
exist, P the precision of what is known before (the Bayesian variant, Chaloner and Verdinelli 1995).
Greedy additions, then exchanges of single points while they pay (Fedorov 1972). For a law linear in
the shares the answer is the vertices; for one with all products of two shares, the lattice of
vertices and midpoints of edges (Scheffe 1958).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import linprog

from mixopt.designs.base import Array, Design, Plan, distinct
from mixopt.designs.search import Known, measured, pick_apart
from mixopt.designs.spacefill import candidates
from mixopt.errors import ConfigError
from mixopt.laws.edl import EDL
from mixopt.problem import Problem
from mixopt.space import Space

Model = Literal["linear", "root", "quadratic", "edl"]
Features = Callable[[Array], Array]

_DIRECTIONS = 64
"""Linear programmes beside one a column whose solutions are vertices of the limits."""
_MIDPOINTS = 2000
_PAYS = 1e-6
_EDL_RUNS = 8
_TINY = 1e-8
_WIDEST_QUADRATIC = 40


@dataclass
class DOptimal(Design):
    """Exact designs for a chosen law by greedy exchange, around the runs that exist."""

    model: Model = "root"
    """`linear` in the shares, in their roots, `quadratic` with all products of two shares, or `edl`
    as fitted to the runs that exist (`root` before there are any)."""
    prior_sd: float | None = None
    """sd of the parameters before any run, in sd of a run; None: nothing is known."""
    pool: int = 1000
    """Points inside the limits that may be taken, beside vertices and midpoints of edges."""
    exchanges: int = 3
    """Rounds in which each point may be exchanged."""

    def __post_init__(self) -> None:
        if self.model not in ("linear", "root", "quadratic", "edl"):
            raise ConfigError(
                f"doptimal: expected model linear, root, quadratic or edl, got {self.model!r}"
            )

    def _plan(self, space: Space, count: int, rng: np.random.Generator) -> Array:
        return self._detailed(Problem(space), count, rng).rows

    def _detailed(self, problem: Problem, count: int, rng: np.random.Generator) -> Plan:
        seen = np.empty((0, problem.space.width))
        if problem.table is not None:
            seen = problem.table.weights
        if problem.pending is not None:
            seen = np.concatenate([seen, problem.pending])
        basis = self._basis(problem)
        rows = problem.candidates
        if rows is None:
            rows = support_points(problem.space, self.pool, rng)
        old = basis.features(seen)
        picked = exchange(
            basis.features(rows), basis.precision + old.T @ old, count, self.exchanges
        )
        others = rng.permutation(np.setdiff1d(np.arange(len(rows)), picked))
        ranked = rows[np.concatenate([picked, others])]
        chosen = pick_apart(problem, ranked, count, np.empty((0, rows.shape[1])))
        return Plan(chosen, notes=basis.notes)

    def _basis(self, problem: Problem) -> "Basis":
        """The model's features, and what stands in for a law that cannot be fitted yet."""
        width, model, notes = problem.space.width, self.model, ()
        if model == "quadratic" and width > _WIDEST_QUADRATIC:
            notes = (f"{width} columns have too many products of two: their roots stand in",)
            model = "root"
        if model == "edl":
            known = measured(problem) if problem.objective is not None else None
            if known is not None and known.mixtures >= _EDL_RUNS and not known.flat:
                return edl_basis(known)
            notes = (f"edl needs {_EDL_RUNS} mixtures: roots of the shares stand in",)
            model = "root"
        features = {"linear": np.asarray, "root": np.sqrt, "quadratic": products}[model]
        parameters = features(np.zeros((1, width))).shape[1]
        precision = _TINY if self.prior_sd is None else self.prior_sd**-2
        return Basis(features, precision * np.eye(parameters), notes)


class Basis(NamedTuple):
    """The features of a law and what is known of its parameters before any run."""

    features: Features
    """(k, width) -> (k, p)"""
    precision: Array
    """(p, p)"""
    notes: tuple[str, ...] = ()


def products(rows: Array) -> Array:
    """Scheffe's quadratic features (k, d (d + 1) / 2): shares, then products of two of them."""
    first, second = np.triu_indices(rows.shape[1], k=1)
    return np.hstack([rows, rows[:, first] * rows[:, second]])


def log_det(features: Array, gram: Array) -> float:
    """log det(X'X + G) of features X (k, p) and G (p, p)."""
    return float(np.linalg.slogdet(features.T @ features + gram)[1])


def exchange(features: Array, gram: Array, count: int, rounds: int) -> np.ndarray:
    """Indices (count,) of the rows of `features` (k, p) that make log det of X'X + gram largest.

    A row is taken twice only where there are fewer rows than `count`.
    """
    inverse = _inverse(gram)
    picked: list[int] = []
    for _ in range(min(count, len(features))):
        worth = _leverage(features, inverse)
        worth[picked] = -np.inf
        picked.append(int(worth.argmax()))
        inverse = _with(inverse, features[picked[-1]])
    for _ in range(rounds):
        better = _exchanged(features, gram, picked)
        if better == picked:
            break
        picked = better
    return np.array(picked, dtype=np.int64)


def support_points(space: Space, count: int, rng: np.random.Generator) -> Array:
    """Vertices of the limits, midpoints of pairs of them, and about `count` other legal points."""
    corners = vertices(space, rng)
    first, second = np.triu_indices(len(corners), k=1)
    if len(first) > _MIDPOINTS:
        some = rng.permutation(len(first))[:_MIDPOINTS]
        first, second = first[some], second[some]
    middles = (corners[first] + corners[second]) / 2
    return distinct(
        np.concatenate([corners, space.project(middles), candidates(space, count, rng)])
    )


def vertices(space: Space, rng: np.random.Generator) -> Array:
    """Vertices (v, width) of the limits: most of each share, and most in random directions."""
    equal, equal_to, limit, limit_to = space.linear()
    costs = np.concatenate([-np.eye(space.width), rng.standard_normal((_DIRECTIONS, space.width))])
    if not len(limit) and (space.lower == 0).all() and (space.upper == 1).all():
        costs = costs[: space.width]
    bounds = list(zip(space.lower.tolist(), space.upper.tolist()))
    found = []
    for cost in costs:
        result = linprog(
            cost,
            A_ub=limit if len(limit) else None,
            b_ub=limit_to if len(limit) else None,
            A_eq=equal,
            b_eq=equal_to,
            bounds=bounds,
        )
        if result.x is not None:
            found.append(np.clip(result.x, space.lower, space.upper))
    found.append(space.reference)
    return distinct(space.project(np.stack(found)))


def _exchanged(features: Array, gram: Array, picked: list[int]) -> list[int]:
    """The picks, each replaced in turn by a better row where there is one."""
    kept = list(picked)
    inverse = _inverse(features[picked].T @ features[picked] + gram)
    for place, old in enumerate(picked):
        less = _without(inverse, features[old])
        worth = _leverage(features, less)
        worth[[index for index in kept if index != old]] = -np.inf
        best = int(worth.argmax())
        if np.log1p(worth[best]) > np.log1p(worth[old]) + _PAYS:
            kept[place] = best
            inverse = _with(less, features[best])
    return kept


def _leverage(features: Array, inverse: Array) -> Array:
    """x' A x (k,): log(1 + it) is what a row adds to the log determinant."""
    return np.einsum("kp,kp->k", features @ inverse, features)


def _inverse(gram: Array) -> Array:
    return np.asarray(np.linalg.inv(gram), dtype=np.float64)


def _with(inverse: Array, row: Array) -> Array:
    """The inverse after row' row is added (Sherman and Morrison 1950)."""
    pull = inverse @ row
    return inverse - np.outer(pull, pull) / (1.0 + row @ pull)


def _without(inverse: Array, row: Array) -> Array:
    """The inverse after row' row is taken away."""
    pull = inverse @ row
    return inverse + np.outer(pull, pull) / max(1.0 - row @ pull, 1e-12)


def edl_basis(known: Known) -> Basis:
    """Slopes of EDL, fitted to the objective, by its parameters, and the law's own prior."""
    law = EDL().fit(known.table.weights, known.values[:, None])
    theta, penalty = law.theta_[0], law.penalty_[0]
    sigma = float(law.sigma_[0])

    def features(rows: Array) -> Array:
        return law._jacobian(rows, theta) / sigma

    return Basis(features, penalty.T @ penalty / sigma**2 + _TINY * np.eye(len(theta)))
