"""How other people choose a mixture from a swarm: RegMix, Olmix and CLIMB, each its own solver.

Each method is a function of the same problem (space, finished runs, objective) and a generator,
and returns one row (width,) inside the limits.

    regmix   LightGBM a metric, mean of the best 128 of 100,000 samples      (arXiv:2407.01492)
    olmix    c_i + exp(a_i . w), sum_i v_i L_i + .05 KL(w || prior), solved  (arXiv:2602.12237)
    climb    LightGBM on the objective, three rounds of narrower samples     (arXiv:2504.13161)
"""

from collections.abc import Callable
from dataclasses import replace

import lightgbm
import numpy as np
from numpy.typing import NDArray

from mixopt.laws import make_law
from mixopt.problem import Problem
from mixopt.proposers.exact import Exact
from mixopt.proposers.goal import Goal
from mixopt.proposers.simulate import Simulate, dirichlet_rows

Array = NDArray[np.float64]
Method = Callable[[Problem, np.random.Generator], Array]

_OLMIX_KL = 0.05
_CLIMB_SETTINGS = {
    "objective": "regression",
    "max_depth": 4,
    "min_data_in_leaf": 5,
    "lambda_l1": 0.01,
    "lambda_l2": 0.1,
    "learning_rate": 0.05,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_CLIMB_TREES = 1000
_CLIMB_PATIENCE = 20
_CLIMB_HELD = 5
"""Every fifth run decides when to stop."""
_CLIMB_SAMPLES = 20_000
_CLIMB_TOP = 64
_CLIMB_NARROWER = (30.0, 100.0)
"""Strengths of the Dirichlets around the top ones in the second and third round."""


def regmix(problem: Problem, rng: np.random.Generator, samples: int = 100_000) -> Array:
    """RegMix: trees a metric, then the mean of the best samples."""
    return Simulate(samples).propose(_with_law(problem, "regmix"), 1, rng)[0]


def olmix(problem: Problem, rng: np.random.Generator) -> Array:
    """Olmix: its log-linear law in the losses' own units, and its convex problem solved exactly.

    The objective's weights v are kept, over losses divided by the reference's where it is of
    ratios: to first order the objective that every method is judged by.
    """
    fitted = _with_law(problem, "loglinear_olmix")
    assert fitted.objective is not None
    assert fitted.law is not None
    reference = fitted.law.predict(problem.space.reference[None])[0]
    scale = reference if fitted.objective.kind == "relative" else np.ones(len(reference))
    goal = replace(fitted, objective=replace(fitted.objective, kind="absolute", scale=scale))
    spread = Goal.of(goal).spread
    return Exact(strength=_OLMIX_KL / spread if spread > 0 else 0.0).propose(goal, 1, rng)[0]


def climb(problem: Problem, rng: np.random.Generator) -> Array:
    """CLIMB's predictor on a pool that is trained already: the best predicted of three rounds.

    Where CLIMB trains the top ones of each round, here the rounds only look closer and closer
    around them; the runs of the pool are candidates as well. Trees are constant in cells: among
    equal predictions the mean is taken.
    """
    assert problem.table is not None
    assert problem.objective is not None
    space, table = problem.space, problem.table
    values = problem.objective.value(table.losses, np.nanmean(table.losses, axis=0))
    trees = _climb_trees(table.weights, values)
    rows = np.concatenate(
        [space.project(table.weights), dirichlet_rows(space, _CLIMB_SAMPLES, rng)]
    )
    for strength in _CLIMB_NARROWER:
        top = rows[np.argsort(_predicted(trees, rows), kind="stable")[:_CLIMB_TOP]]
        rows = np.concatenate([top, space.project(_around(top, strength, rng))])
    predicted = _predicted(trees, rows)
    mean = rows[predicted <= predicted.min() + 1e-12].mean(axis=0)
    return space.project(mean[None])[0]


METHODS: dict[str, Method] = {"regmix": regmix, "olmix": olmix, "climb": climb}


def _with_law(problem: Problem, name: str) -> Problem:
    """The problem with the law of that name fitted to its table; means are all that is asked."""
    assert problem.table is not None
    table, law = problem.table, make_law(name).mean_only()
    return replace(problem, law=law.fit(table.weights, table.losses, table.info))


def _climb_trees(weights: Array, values: Array) -> lightgbm.Booster:
    """Trees on the standardised objective (n,), stopped by runs that they do not see."""
    spread = values.std() or 1.0
    z = (values - values.mean()) / spread
    held = np.arange(len(z)) % _CLIMB_HELD == _CLIMB_HELD - 1
    seen = lightgbm.Dataset(weights[~held], z[~held])
    return lightgbm.train(
        _CLIMB_SETTINGS,
        seen,
        _CLIMB_TREES,
        valid_sets=[lightgbm.Dataset(weights[held], z[held], reference=seen)],
        callbacks=[lightgbm.early_stopping(_CLIMB_PATIENCE, verbose=False)],
    )


def _predicted(trees: lightgbm.Booster, rows: Array) -> Array:
    return np.asarray(trees.predict(rows, num_threads=1))


def _around(top: Array, strength: float, rng: np.random.Generator) -> Array:
    """Samples (.., width) around each of the top rows (k, width); a share of 0 stays near 0."""
    each = _CLIMB_SAMPLES // len(top)
    shape = np.maximum(strength * top, 1e-3)[:, None, :]
    gamma = rng.standard_gamma(shape, (len(top), each, top.shape[1])) + 1e-12
    return gamma.reshape(-1, top.shape[1])
