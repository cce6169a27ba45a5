"""Made-up worlds on the whole simplex, with noise: regret by number of runs and domains."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lines import Work, measured
from search_methods import FIRST, ONE_SHOT, SEARCHED, Regrets, climbed, one_shot, sequential
from search_tables import simplex_tables
from search_worlds import made_up
from worlds import WORLDS

METHODS = ("random", *SEARCHED, "climb", *ONE_SHOT)
DOMAINS = (5, 10, 20, 50)
ROUGH = {
    "simplex/random": 0.2,
    "simplex/edl_greedy": 10.0,
    "simplex/edl_ts": 10.0,
    "simplex/edl_gp_ts": 15.0,
    "simplex/bo": 90.0,
    "simplex/climb": 2.0,
    "simplex/regmix": 15.0,
    "simplex/law": 8.0,
}
"""CPU seconds of a cell."""


def report(
    methods: Sequence[str], domains: Sequence[int], seeds: int, batch: int, out: Path
) -> None:
    """Measure what `out` does not hold yet, seed by seed, then print the tables."""
    cells = measured(out, wanted(methods or METHODS, domains or DOMAINS, seeds, batch), ROUGH)
    simplex_tables(cells)


def wanted(methods: Sequence[str], domains: Sequence[int], seeds: int, batch: int) -> Work:
    """simplex/METHOD/WORLD/DOMAINS/SEED."""
    return {
        f"simplex/{method}/{world}/{d}/{seed}": partial(_cell, method, world, d, seed, batch)
        for seed in range(seeds)
        for d in domains
        for world in WORLDS
        for method in methods
    }


def _cell(method: str, world: str, d: int, seed: int, batch: int) -> Regrets:
    arena = made_up(world, d, seed, FIRST)
    if method in ONE_SHOT:
        return one_shot(ONE_SHOT[method], {world: arena}, seed)[world]
    return climbed(arena, seed) if method == "climb" else sequential(method, arena, batch, seed)
