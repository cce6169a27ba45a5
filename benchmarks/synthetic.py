"""Regret of the pick in made-up worlds: one-shot by each law, and with verified picks.

17 domains, no limits. Every run's metrics carry noise of a twentieth of their sd over the swarm.
One-shot: 64 runs of a design, then the law's optimum. Verified: 56 runs, twice four runs at
`verification_picks`, then the law's optimum if the interval of its gain over the best run excludes
zero, else the best run. Regret is the true objective of the pick less that of the best mixture, in
percent of the range from the best mixture to the worst of the 64 runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from cells import Cell, completed, print_table
from numpy.typing import NDArray
from worlds import WORLDS, World, best_mixture, space_of

from mixopt.baselines import baselines
from mixopt.designs import make_design
from mixopt.laws import make_law
from mixopt.problem import Problem
from mixopt.proposers import propose
from mixopt.proposers.rank import best_run, rank
from mixopt.space import Space
from mixopt.testing import table_of
from mixopt.verification import verification_picks

Array = NDArray[np.float64]

LAWS = ("edl", "gp", "edl_gp", "auto")
DOMAINS = 17
RUNS = 64
ROUNDS = 2
PICKS = 4
"""Verified picks a round."""
NOISE = 0.05
"""sd of a run's noise by the sd of the metric over the swarm."""
DRAWS = 1000


class Size(NamedTuple):
    """What the studies of a table have in common."""

    domains: int = DOMAINS
    runs: int = RUNS
    design: str = "spacefill"


class Study(NamedTuple):
    """A world, how its runs are planned, and the true objective's range."""

    world: World
    space: Space
    size: Size
    seed: int
    noise: Array
    """(m,) sd of a run."""
    best: float
    worst: float

    def problem(self, weights: Array) -> Problem:
        """The runs of `weights` (n, d) as a table; the first ones have the same noise always."""
        rng = np.random.default_rng([self.seed, 1])
        losses = self.world.losses(weights)
        losses = losses + self.noise * rng.standard_normal(losses.shape)
        return Problem(self.space, table_of(weights, losses), objective=self.world.objective)

    def swarm(self, runs: int) -> Array:
        """Mixtures (runs, d) of the design."""
        return swarm(self.space, runs, self.size.design, self.seed)

    def regret(self, row: Array) -> float:
        """In percent of the range."""
        value = float(self.world.value(row[None])[0])
        return 100.0 * (value - self.best) / (self.worst - self.best)


def report(size: Size, laws: Sequence[str], seeds: int, out: Path) -> None:
    """Measure what `out` does not hold yet, then print the table."""
    pickers = {"best run": best_seen} | {law: partial(one_shot, law) for law in laws}
    pickers[f"{laws[-1]}, verified"] = partial(verified, laws[-1])
    start = f"{size.domains}/{size.runs}/{size.design}"
    wanted = {
        f"{start}/{world}/{name}/{seed}": partial(_measured, pick, world, size, seed)
        for world in WORLDS
        for name, pick in pickers.items()
        for seed in range(seeds)
    }
    cells = completed(out, wanted)
    print(
        f"Regret in % of the range, mean (largest) of {seeds} seeds, {size.domains} domains, "
        f"{size.runs} runs of {size.design}:\n"
    )
    names = list(pickers)
    print_table(("world", *names), (_row(cells, f"{start}/{w}", w, names) for w in WORLDS))


def study(world: str, size: Size, seed: int) -> Study:
    """One world of a kind with its optimum."""
    rng = np.random.default_rng([seed, list(WORLDS).index(world)])
    found, space = WORLDS[world](size.domains, rng), space_of(size.domains)
    rows = swarm(space, size.runs, size.design, seed)
    best = best_mixture(found, space)
    ends = found.value(np.stack([best, rows[found.value(rows).argmax()]]))
    noise = NOISE * found.losses(rows).std(axis=0)
    return Study(found, space, size, seed, noise, float(ends[0]), float(ends[1]))


def swarm(space: Space, runs: int, design: str, seed: int) -> Array:
    """Mixtures (runs, d) of a design."""
    return make_design(design).plan(Problem(space), runs, np.random.default_rng([seed, runs]))


def best_seen(made: Study) -> Array:
    """The best run of the swarm, by its measured objective."""
    problem = made.problem(made.swarm(made.size.runs))
    assert problem.table is not None
    losses = problem.table.losses
    return problem.table.weights[made.world.objective.value(losses, losses[0]).argmin()]


def one_shot(law: str, made: Study) -> Array:
    """The law's optimum after one swarm, whatever it is worth."""
    return _optimum(law, made.problem(made.swarm(made.size.runs)))[0]


def verified(law: str, made: Study) -> Array:
    """The answer after rounds of verified picks."""
    rows = made.swarm(made.size.runs - ROUNDS * PICKS)
    for number in range(ROUNDS):
        rng = np.random.default_rng([made.seed, number])
        rows = np.concatenate([rows, verification_picks(made.problem(rows), PICKS, rng)])
    row, problem = _optimum(law, made.problem(rows))
    rng = np.random.default_rng(made.seed)
    ranking = rank(problem, {"pick": row}, baselines(problem.space, {}), DRAWS, rng)
    if ranking.outranks_best_run:
        return row
    seen = best_run(problem)
    assert seen is not None
    return seen[1]


def _optimum(law: str, problem: Problem) -> tuple[Array, Problem]:
    """The law's optimum, and the problem with the law fitted."""
    table = problem.table
    assert table is not None
    fitted = make_law(law).fit(table.weights, table.losses, table.info)
    problem = replace(problem, law=fitted)
    return propose("exact", problem, 1, np.random.default_rng(0))[0], problem


def _measured(pick: Callable[[Study], Array], world: str, size: Size, seed: int) -> Cell:
    made = study(world, size, seed)
    return made.regret(pick(made))


def _row(cells: Mapping[str, Cell], start: str, world: str, names: Sequence[str]) -> list[str]:
    """Mean and largest regret of every way to pick."""
    told = [world]
    for name in names:
        found = [cell for key, cell in cells.items() if key.startswith(f"{start}/{name}/")]
        told.append(f"{fmean(found):.1f} ({max(found):.1f})")
    return told
