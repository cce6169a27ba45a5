"""CPU seconds to propose the next batch, as runs and domains grow."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from cells import print_table
from lines import Cell, Work, measured

from mixopt.designs import make_design
from mixopt.fidelity import Fidelity
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.testing import table_of

METHODS = ("edl_greedy", "edl_ts", "edl_gp_ts", "bo", "mfbo", "climb")
RUNS = (64, 128, 256, 512, 1000, 2000)
DOMAINS = (5, 17, 50, 100, 500)
USUAL = (512, 17)
"""Runs where domains grow, domains where runs grow."""
BATCH = 8
METRICS = 13
SMALL = 5
"""One run of so many is of the top size, for `mfbo`."""
ROUGH = {"seconds/edl_greedy": 5.0, "seconds/edl_ts": 5.0, "seconds/bo": 15.0}
ROUGH |= {"seconds/edl_gp_ts": 10.0}
ROUGH |= {"seconds/mfbo": 5.0, "seconds/climb": 1.0}
"""CPU seconds of a cell; 500 domains may take minutes."""


def report(methods: Sequence[str], domains: Sequence[int], runs: Sequence[int], out: Path) -> None:
    """Measure what `out` does not hold yet, then print both tables."""
    by_runs = [(n, USUAL[1]) for n in runs or RUNS]
    by_domains = [(USUAL[0], d) for d in domains or DOMAINS]
    cells = measured(out, wanted(methods or METHODS, [*by_runs, *by_domains]), ROUGH)
    print(f"CPU seconds to propose {BATCH} runs, {METRICS} metrics, one thread.\n")
    for sizes, label in ((by_runs, "runs, 17 domains"), (by_domains, "domains, 512 runs")):
        place = 0 if sizes is by_runs else 1
        header = (label, *(f"{size[place]:,}" for size in sizes))
        rows = [
            (f"`{method}`", *(f"{cells[_name(method, *size)]:.1f}" for size in sizes))
            for method in methods or METHODS
        ]
        print_table(header, rows)


def wanted(methods: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Work:
    """seconds/METHOD/RUNS/DOMAINS, cheap ones first."""
    return {
        _name(method, n, d): partial(propose_seconds, method, n, d)
        for n, d in sorted(sizes, key=lambda size: size[0] * size[1])
        for method in methods
    }


def propose_seconds(method: str, n: int, d: int) -> Cell:
    """Of one batch, after a batch at a small size: imports are no part of it."""
    small, problem = problem_of(16, 3), problem_of(n, d)
    make_design(method).plan(small, 2, np.random.default_rng(0))
    design, rng = make_design(method), np.random.default_rng(0)
    started = time.process_time()
    design.plan(problem, BATCH, rng)
    return round(time.process_time() - started, 2)


def problem_of(n: int, d: int) -> Problem:
    """A finished swarm of uniform mixtures: each metric is of one domain, and of all a little."""
    rng = np.random.default_rng((n, d))
    space, m = Space([Domain(f"domain{j}") for j in range(d)]), min(METRICS, d)
    weights = space.uniform(n, rng)
    losses = 2.0 + (0.1 + weights[:, :m] + 0.1 * weights.mean(axis=1, keepdims=True)) ** -0.4
    losses += 0.01 * rng.standard_normal((n, m))
    kinds = np.where(np.arange(n) % SMALL == 0, "top", "small")
    table = replace(table_of(weights, losses), cohorts=tuple(kinds.tolist()))
    goal = Objective("mean", "relative", table.metrics, np.ones(m))
    sizes = (Fidelity("small", "small", 1.0), Fidelity("top", "top", 10.0))
    return Problem(space, table, objective=goal, fidelities=sizes)


def _name(method: str, n: int, d: int) -> str:
    return f"seconds/{method}/{n}/{d}"
