"""Finished runs replayed as a world: how good a mixture each method finds after how many runs."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lines import Cell, Work, measured
from regmix_runs import Runs
from search_methods import (
    FIRST,
    METHODS,
    ONE_LINE,
    ONE_SHOT,
    Regrets,
    climbed,
    one_line,
    one_shot,
    sequential,
)
from search_tables import replay_tables
from search_worlds import Arena, goals, replayed

ROUGH = {
    "replay/random": 0.1,
    "replay/edl_greedy": 3.0,
    "replay/edl_ts": 3.5,
    "replay/edl_gp_ts": 7.0,
    "replay/bo": 10.0,
    "replay/climb": 0.5,
    "replay/regmix": 11.0,
    "replay/law": 3.0,
}
"""CPU seconds of a cell; what is left out takes none."""


def report(
    runs: Runs, methods: Sequence[str], names: Iterable[str], seeds: int, batch: int, out: Path
) -> None:
    """Measure what `out` does not hold yet, seed by seed, then print the tables."""
    cells = measured(out, wanted(runs, methods or METHODS, list(names), seeds, batch), ROUGH)
    replay_tables(cells)


def wanted(
    runs: Runs, methods: Sequence[str], names: Sequence[str], seeds: int, batch: int
) -> Work:
    """replay/METHOD/SEED for methods that answer all goals at once, else replay/METHOD/GOAL/SEED.

    Every seed asks every method, so that a run that was stopped compares what it has fairly.
    """
    every = list(names) or list(goals(runs.train.metrics))
    found = {}
    for seed in range(seeds):
        for method in methods:
            if method in ONE_SHOT:
                name = f"replay/{method}/{seed}"
                found[name] = partial(_one_shot, runs, method, every, seed)
                continue
            if method in ONE_LINE and seed > 0:
                continue  # no chance in them
            for goal in every:
                name = f"replay/{method}/{goal}/{seed}"
                found[name] = partial(_single, runs, method, goal, seed, batch)
    return found


def _single(runs: Runs, method: str, goal: str, seed: int, batch: int) -> dict[str, Regrets]:
    arena = _arena(runs, goal, seed)
    if method in ONE_LINE:
        prior = runs.train.weights.mean(axis=0)  # RegMix samples around it
        return {goal: one_line(method, arena, runs.train.own, prior)}
    if method == "climb":
        return {goal: climbed(arena, seed)}
    return {goal: sequential(method, arena, batch, seed)}


def _one_shot(runs: Runs, method: str, names: Sequence[str], seed: int) -> Mapping[str, Cell]:
    arenas = {goal: _arena(runs, goal, seed) for goal in names}
    return one_shot(ONE_SHOT[method], arenas, seed)


def _arena(runs: Runs, goal: str, seed: int) -> Arena:
    return replayed(runs.space, runs.train, goals(runs.train.metrics)[goal], seed, FIRST)
