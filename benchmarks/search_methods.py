"""Ways to search a world, each told as regret after 8, 16, 32 and 64 runs.

`pick` is what a method would hand over: the optimum that its model predicts; `best` is the run that
measured best. All searches start from the same runs and then plan batches.

    random, edl_greedy, edl_ts, edl_gp_ts, bo    designs of mixopt, from random first runs
    climb                       4:2:1 rounds for each budget anew, as CLIMB prescribes
    regmix, law                 one swarm, one fit: LightGBM, or mixopt's default law
    own share, entropy, prior   no model: run in the order of one number of a mixture
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from search_worlds import Arena

from mixopt.designs import make_design
from mixopt.designs.bo import BO
from mixopt.designs.climb import Climb, halving
from mixopt.designs.search import Known, measured
from mixopt.errors import MixoptError
from mixopt.laws import DEFAULT, make_law
from mixopt.laws.base import Law
from mixopt.problem import Problem
from mixopt.proposers import propose
from mixopt.proposers.simulate import Simulate, dirichlet_rows
from mixopt.testing import table_of

Array = NDArray[np.float64]
Regrets = dict[str, list[float]]
"""`pick` and `best`, a number a budget."""

BUDGETS = (8, 16, 32, 64)
FIRST = BUDGETS[0]
SEARCHED = ("edl_greedy", "edl_ts", "edl_gp_ts", "bo")
ONE_SHOT = {"regmix": "regmix", "law": DEFAULT}
ONE_LINE = ("own share", "entropy", "prior")
METHODS = ("random", *SEARCHED, "climb", *ONE_SHOT, *ONE_LINE)
_DRAWS, _BEST = 20_000, 26
"""Samples of RegMix and CLIMB on the simplex, and how many of them RegMix's answer is the mean of.
"""


def sequential(name: str, arena: Arena, batch: int, seed: int) -> Regrets:
    """A design of mixopt in batches from the first runs."""
    rng = np.random.default_rng(seed)
    rows, losses = arena.first, arena.run(arena.first, rng)
    told: Regrets = {"pick": [], "best": []}
    for budget in BUDGETS:
        while len(rows) < budget:
            count = min(batch, budget - len(rows))
            problem = _problem(arena, rows, losses)
            design = make_design(name, {"starts": FIRST} if name != "random" else {})
            new = design.plan(problem, count, rng)
            rows, losses = np.vstack([rows, new]), np.vstack([losses, arena.run(new, rng)])
        problem = _problem(arena, rows, losses)
        _tell(told, arena, problem, PICKS[name](problem, rng))
    return told


def climbed(arena: Arena, seed: int) -> Regrets:
    """CLIMB for each budget by itself, because its rounds depend on it."""
    told: Regrets = {"pick": [], "best": []}
    for budget in BUDGETS:
        rng = np.random.default_rng((seed, budget))
        first, *later = halving(budget, 3)
        rows = arena.first[:first] if first <= FIRST else _more(arena, first, rng)
        losses = arena.run(rows, rng)
        for count in later:
            new = Climb(starts=1).plan(_problem(arena, rows, losses), count, rng)
            rows, losses = np.vstack([rows, new]), np.vstack([losses, arena.run(new, rng)])
        problem = _problem(arena, rows, losses)
        _tell(told, arena, problem, _climb_pick(problem, rng))
    return told


def one_shot(law: str, arenas: dict[str, Arena], seed: int) -> dict[str, Regrets]:
    """One swarm and one fit of all metrics for each budget, asked for every goal.

    The arenas differ in their goal alone. Where a law predicts the same everywhere, the pick is the
    best run.
    """
    told: dict[str, Regrets] = {goal: {"pick": [], "best": []} for goal in arenas}
    arena = next(iter(arenas.values()))
    for budget in BUDGETS:
        rng = np.random.default_rng((seed, budget))
        rows = _more(arena, budget, rng)
        losses = arena.run(rows, rng)
        table = table_of(rows, losses)
        fitted = make_law(law).mean_only().fit(table.weights, table.losses, table.info)
        for goal, one in arenas.items():
            problem = replace(_problem(one, rows, losses), law=fitted)
            _tell(told[goal], one, problem, _one_shot_pick(law, problem, fitted, rng))
    return told


def one_line(name: str, arena: Arena, own: NDArray[np.int64], prior: Array) -> Regrets:
    """The candidates in the order of one number; `own` (m,) columns of metrics, -1 for none."""
    assert arena.candidates is not None
    rows = arena.candidates
    scores = {
        "own share": lambda: -_own_share(rows, own, arena.objective.weights),
        "entropy": lambda: (rows * np.log(np.maximum(rows, 1e-12))).sum(axis=1),
        "prior": lambda: np.abs(rows - prior).sum(axis=1),
    }
    regret = arena.regret(rows[np.argsort(scores[name](), kind="stable")])
    best = [float(regret[:budget].min()) for budget in BUDGETS]
    return {"pick": best, "best": best}


def random_pick(problem: Problem, rng: np.random.Generator) -> Array:
    """The best run: there is no model."""
    known = _known(problem)
    return known.table.weights[known.values.argmin()]


def law_pick(problem: Problem, rng: np.random.Generator) -> Array:
    """The optimum of the default law, which `propose` would ask of the same runs."""
    table = _known(problem).table
    law = make_law(DEFAULT).mean_only().fit(table.weights, table.losses, table.info)
    return _optimum(problem, law, rng)


def bo_pick(problem: Problem, rng: np.random.Generator) -> Array:
    """The lowest posterior mean; the best run where the process has none."""
    try:
        return BO().recommend(problem, rng)
    except MixoptError:
        return random_pick(problem, rng)


PICKS: dict[str, Callable[[Problem, np.random.Generator], Array]] = {
    "random": random_pick,
    "edl_greedy": law_pick,
    "edl_ts": law_pick,
    "edl_gp_ts": law_pick,
    "bo": bo_pick,
}


def _climb_pick(problem: Problem, rng: np.random.Generator) -> Array:
    known, rows = _known(problem), problem.candidates
    if rows is None:
        rows = dirichlet_rows(problem.space, _DRAWS, rng)
    predicted = Climb().predicted(known, rows, rng)
    return random_pick(problem, rng) if np.ptp(predicted) == 0 else rows[predicted.argmin()]


def _one_shot_pick(name: str, problem: Problem, law: Law, rng: np.random.Generator) -> Array:
    if problem.candidates is None and name == "regmix":  # as choosy as 128 of 100,000
        return Simulate(_DRAWS, _BEST).propose(replace(problem, law=law), 1, rng)[0]
    return _optimum(problem, law, rng)


def _optimum(problem: Problem, law: Law, rng: np.random.Generator) -> Array:
    """Of a law for the objective, among the candidates or in the whole space."""
    if problem.candidates is None:
        return propose("exact", replace(problem, law=law), 1, rng)[0]
    known = _known(problem)
    rows = problem.candidates
    metrics = law.predict(rows)
    if metrics.shape[1] != len(known.objective.metrics):  # the law has all, the goal some
        assert problem.table is not None
        names = problem.table.metrics
        metrics = metrics[:, [names.index(name) for name in known.objective.metrics]]
    value = known.told(metrics)
    return random_pick(problem, rng) if np.ptp(value) < 1e-12 else rows[value.argmin()]


def _tell(told: Regrets, arena: Arena, problem: Problem, pick: Array) -> None:
    best = random_pick(problem, np.random.default_rng(0))
    regret = arena.regret(np.stack([pick, best]))
    told["pick"].append(float(regret[0]))
    told["best"].append(float(regret[1]))


def _known(problem: Problem) -> Known:
    known = measured(problem)
    assert known is not None
    return known


def _problem(arena: Arena, rows: Array, losses: Array) -> Problem:
    table = replace(table_of(rows, losses), metrics=arena.objective.metrics)
    return Problem(arena.space, table, objective=arena.objective, candidates=arena.candidates)


def _more(arena: Arena, count: int, rng: np.random.Generator) -> Array:
    """The first runs and further ones of the same kind."""
    if arena.candidates is not None:
        return arena.candidates[:count]  # in random order
    return np.vstack([arena.first, arena.space.uniform(count, rng)])[:count]


def _own_share(rows: Array, own: NDArray[np.int64], weights: Array) -> Array:
    """The shares of the goal's own domains by its weights (k,)."""
    columns = np.flatnonzero(own >= 0)
    return rows[:, own[columns]] @ weights[columns]
