"""Two sizes at a cost ratio of 1:10: `mfbo` against the zero-shot law, and against one size alone.

Where sizes agree (RegMix's 256 mixtures that were run at 1M and at 60M): the zero-shot law is
fitted to small runs alone, its first three mixtures are run at the top and the best of them is
taken; told is the cost after which the recommendation of `mfbo` has no more regret.

Where a made-up small size is the top plus a constant, another world, or the top turned round: the
regret of the recommendation of `mfbo` and of `bo` on top runs alone, both at the same cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from lines import Work, measured
from numpy.typing import NDArray
from regmix_runs import Runs
from search_tables import agreeing_table, disagreeing_table
from search_worlds import NOISE, goals
from worlds import WORLDS, best_mixture, space_of

from mixopt.designs.bo import BO
from mixopt.designs.mfbo import MFBO
from mixopt.fidelity import Fidelity
from mixopt.laws import DEFAULT, make_law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Space
from mixopt.table import Table
from mixopt.testing import table_of

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Trace = list[list[float]]
"""[cost, regret of the recommendation in %, share of the runs that were small] in order."""

SIZES = (Fidelity("small", "small", 1.0), Fidelity("top", "top", 10.0))
COSTS = np.array([size.cost for size in SIZES])
ZERO_SHOT_RUNS = (16, 32, 64)
ZERO_SHOT_TOP = 3
FIRST = 9
"""Small runs that `mfbo` starts from."""
BATCH = 3
REPLAY_BUDGET = ZERO_SHOT_RUNS[-1] + 10.0 * ZERO_SHOT_TOP
KINDS = {"constant": 100.0, "another world": 200.0, "turned round": 200.0}
"""Budget by how the small size relates to the top."""
DOMAINS = 5
_SAME = 1e-6
"""Largest difference of a share between mixtures that are one."""
ROUGH = {"agree/mfbo": 3.0, "agree/zero-shot": 2.0, "sizes/mfbo": 15.0, "sizes/bo": 12.0}
"""CPU seconds of a cell."""


@dataclass(frozen=True, eq=False)
class TwoSizes:
    """A world at two sizes; all that is measured is one number, lower is better."""

    space: Space
    candidates: Array | None
    first: Array
    run: Callable[[Array, int, np.random.Generator], Array]
    """Values (n,) of mixtures (n, d) at size 0 or 1."""
    regret: Callable[[Array], Array]
    """At the top, in % (n,)."""


def report(runs: Runs | None, names: Sequence[str], seeds: int, out: Path) -> None:
    """Measure what `out` does not hold yet, then print the tables; `runs` are of two sizes."""
    agree = {} if runs is None else agreeing(runs, names, seeds)
    work = {**disagreeing(seeds), **agree}
    cells = measured(out, work, ROUGH)
    disagreeing_table(cells)
    if runs is not None:
        agreeing_table(cells)


def agreeing(runs: Runs, names: Sequence[str], seeds: int) -> Work:
    """agree/zero-shot/SEED for all goals at once, agree/mfbo/GOAL/SEED."""
    every = list(names) or list(goals(runs.train.metrics))
    found: dict[str, Callable[[], object]] = {}
    for seed in range(seeds):
        found[f"agree/zero-shot/{seed}"] = partial(zero_shot, runs, every, seed)
        for goal in every:
            found[f"agree/mfbo/{goal}/{seed}"] = partial(_agreed, runs, goal, seed)
    return found


def disagreeing(seeds: int) -> Work:
    """sizes/METHOD/KIND/SEED."""
    ways = {"mfbo": searched, "bo": alone}
    return {
        f"sizes/{method}/{kind}/{seed}": partial(_made_up, way, kind, seed)
        for seed in range(seeds)
        for kind in KINDS
        for method, way in ways.items()
    }


def zero_shot(runs: Runs, names: Sequence[str], seed: int) -> dict[str, list[list[float]]]:
    """[cost, regret in %] by goal, for each number of small runs, and three at the top."""
    small, top, order = _both(runs, seed)
    told: dict[str, list[list[float]]] = {name: [] for name in names}
    for count in ZERO_SHOT_RUNS:
        part = small.select(order[:count])
        fitted = make_law(DEFAULT).mean_only().fit(part.weights, part.losses, part.info)
        expected = fitted.predict(small.weights)
        for name in names:
            weights = goals(small.metrics)[name].weights
            truth = top.losses @ weights
            picks = np.argsort(expected @ weights, kind="stable")[:ZERO_SHOT_TOP]
            lost = 100.0 * (truth[picks].min() - truth.min()) / np.ptp(truth)
            told[name].append([count + 10.0 * ZERO_SHOT_TOP, float(lost)])
    return told


def searched(world: TwoSizes, budget: float, rng: np.random.Generator) -> Trace:
    """`mfbo` from small runs on, until the budget is spent."""
    rows, kinds = world.first, np.zeros(len(world.first), dtype=np.int64)
    values, told, design = world.run(rows, 0, rng), [], MFBO(starts=len(world.first))
    while True:
        problem = _problem(world, rows, kinds, values)
        if (kinds == 1).any():
            pick = design.recommend(problem, rng)
            cost = float(COSTS[kinds].sum())
            told.append([cost, float(world.regret(pick[None])[0]), float((kinds == 0).mean())])
        plan = design.detailed(problem, BATCH, rng)
        assert plan.fidelity is not None
        left = budget - COSTS[kinds].sum()
        paid = np.cumsum(COSTS[plan.fidelity]) <= left
        if not paid.any():
            return told
        new, kind = plan.rows[paid], plan.fidelity[paid]
        found = [world.run(row[None], int(size), rng) for row, size in zip(new, kind)]
        rows, kinds = np.vstack([rows, new]), np.append(kinds, kind)
        values = np.concatenate([values, *found])


def alone(world: TwoSizes, budget: float, rng: np.random.Generator) -> Trace:
    """`bo` on top runs alone, at the same budget."""
    count, told = int(budget / COSTS[1]), []
    rows = world.first[:4]
    values = world.run(rows, 1, rng)
    while True:
        problem = _problem(world, rows, np.ones(len(rows), dtype=np.int64), values)
        pick = BO().recommend(problem, rng)
        told.append([float(10 * len(rows)), float(world.regret(pick[None])[0]), 0.0])
        if len(rows) >= count:
            return told
        new = BO().plan(problem, min(BATCH, count - len(rows)), rng)
        rows, values = np.vstack([rows, new]), np.append(values, world.run(new, 1, rng))


def _agreed(runs: Runs, goal: str, seed: int) -> Trace:
    small, top, order = _both(runs, seed)
    weights = goals(small.metrics)[goal].weights
    rows = small.weights[order]
    values = np.stack([small.losses @ weights, top.losses @ weights])[:, order]
    percent = 100.0 * (values[1] - values[1].min()) / np.ptp(values[1])

    def at(mixtures: Array) -> Index:
        return np.abs(mixtures[:, None] - rows[None]).max(axis=2).argmin(axis=1)

    world = TwoSizes(
        runs.space,
        rows,
        rows[:FIRST],
        lambda mixtures, size, rng: values[size][at(mixtures)],
        lambda mixtures: percent[at(mixtures)],
    )
    return searched(world, REPLAY_BUDGET, np.random.default_rng(seed))


def _made_up(
    way: Callable[[TwoSizes, float, np.random.Generator], Trace], kind: str, seed: int
) -> Trace:
    rng = np.random.default_rng((seed, 3))
    space, world = space_of(DOMAINS), WORLDS["smooth"](DOMAINS, rng)
    other = WORLDS["smooth"](DOMAINS, rng)
    even, first = space.uniform(1000, rng), space.uniform(FIRST, rng)
    best = float(world.value(best_mixture(world, space)[None])[0])
    spread, mean = float(world.value(even).std()), float(world.value(even).mean())
    small = {
        "constant": lambda rows: world.value(rows) + 0.7,
        "another world": other.value,
        "turned round": lambda rows: -world.value(rows),
    }[kind]
    sizes = (small, world.value)

    def run(rows: Array, size: int, rng: np.random.Generator) -> Array:
        return 3.0 + sizes[size](rows) + NOISE * spread * rng.standard_normal(len(rows))

    made = TwoSizes(
        space, None, first, run, lambda rows: 100.0 * (world.value(rows) - best) / (mean - best)
    )
    return way(made, KINDS[kind], np.random.default_rng(seed))


def _both(runs: Runs, seed: int) -> tuple[Table, Table, Index]:
    """The tables of the mixtures at both sizes, row by row, and the order in which a seed asks."""
    small, top = runs.tests["1m"], runs.tests["60m"]
    away = np.abs(small.weights[:, None] - top.weights[None]).max(axis=2)
    both = np.flatnonzero(away.min(axis=1) < _SAME)
    small, top = small.select(both), top.select(away[both].argmin(axis=1))
    return small, top, np.random.default_rng(seed).permutation(len(small))


def _problem(world: TwoSizes, rows: Array, kinds: Index, values: Array) -> Problem:
    goal = Objective("value", "absolute", ("loss/domain0",), np.ones(1), scale=np.ones(1))
    table = replace(
        table_of(rows, values[:, None]), cohorts=tuple(SIZES[kind].cohort for kind in kinds)
    )
    return Problem(
        world.space, table, objective=goal, candidates=world.candidates, fidelities=SIZES
    )
