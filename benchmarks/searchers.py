"""Which search finds the best mixture of made-up worlds: the table behind the design `auto`.

    python benchmarks/searchers.py [--domains 5,10,20] [--seeds 3] [--designs edl_ts,edl_gp_ts,bo]

A first round covers the space, then two rounds are searched, 4:2:1 of 3.5 runs a domain; runs have
noise of 2 % of the spread of each loss. Regret is of the run that measured best, by the truth, in %
of the range from the best mixture to the mean of the space. No public table plays a part.
"""

import argparse
import json
import time

import numpy as np
from worlds import WORLDS, World, best_mixture, space_of

from mixopt.designs import make_design
from mixopt.designs.climb import halving
from mixopt.problem import Problem
from mixopt.testing import table_of

NOISE = 0.02


def main() -> None:
    """Print the median regret of each design by number of domains and world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", default="5,10,20")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--designs", default="spacefill,climb,edl_greedy,edl_ts,edl_gp_ts,bo")
    options = parser.parse_args()
    for d in map(int, options.domains.split(",")):
        for name in options.designs.split(","):
            started, by_world = time.process_time(), {}
            for kind in WORLDS:
                found = [regret(name, kind, d, seed) for seed in range(options.seeds)]
                by_world[kind] = round(float(np.median(found)), 2)
            seconds = round(time.process_time() - started, 1)
            line = {"domains": d, "design": name, "seconds": seconds, "regret %": by_world}
            print(json.dumps(line), flush=True)


def regret(name: str, kind: str, d: int, seed: int) -> float:
    """In % of the range, of the run that measured best after all rounds."""
    rng = np.random.default_rng((seed, d))
    world, space = WORLDS[kind](d, rng), space_of(d)
    best = world.value(best_mixture(world, space)[None])[0]
    even = space.uniform(1000, rng)
    spread = world.losses(even).std(axis=0)
    problem, weights, losses = Problem(space), np.empty((0, d)), np.empty((0, world.m))
    for number, count in enumerate(halving(int(3.5 * d), 3)):
        design = make_design("spacefill" if number == 0 else name)
        rows = design.plan(problem, count, np.random.default_rng((seed, number)))
        noise = NOISE * spread * rng.standard_normal((count, world.m))
        weights = np.vstack([weights, rows])
        losses = np.vstack([losses, world.losses(rows) + noise])
        problem = Problem(space, table_of(weights, losses), objective=world.objective)
    seen = _measured(world, losses)
    lost = world.value(weights[[seen.argmin()]])[0] - best
    return float(100.0 * lost / (world.value(even).mean() - best))


def _measured(world: World, losses: np.ndarray) -> np.ndarray:
    reference = world.losses(np.full((1, world.d), 1.0 / world.d))[0]
    return world.objective.value(losses, reference)


if __name__ == "__main__":
    main()
