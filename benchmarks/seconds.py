"""CPU seconds on all of RegMix's 512 runs and 13 metrics: fit, compare, predict, propose."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from cells import Cell, completed, print_table
from regmix_runs import Runs

from mixopt.laws import COMPARED, make_law
from mixopt.problem import Problem
from mixopt.proposers import propose
from mixopt.score import compare_laws

MIXTURES = 100_000


def report(runs: Runs, laws: Sequence[str], out: Path) -> None:
    """Measure what `out` does not hold yet, then print the table."""
    wanted = {f"law/{law}": partial(law_seconds, law, runs) for law in laws}
    cells = completed(out, wanted | {"compare": partial(comparison_seconds, runs)})
    print("CPU seconds, one thread, 512 runs and 13 metrics:\n")
    header = ("law", "fit", f"{MIXTURES:,} means", "one propose")
    told = ("fit", "means", "propose")
    rows = ([law, *(f"{cells[f'law/{law}'][key]:.2f}" for key in told)] for law in laws)
    print_table(header, rows)
    compared = cells["compare"]
    print(f"comparison of {', '.join(compared['laws'])}: {compared['seconds']:.1f} s")


def law_seconds(name: str, runs: Runs) -> Cell:
    """What one law costs."""
    rng = np.random.default_rng(0)
    table = runs.train
    law = make_law(name)
    fit = _seconds(lambda: law.fit(table.weights, table.losses, table.info))
    rows = rng.dirichlet(np.ones(runs.space.d), MIXTURES)
    means = _seconds(lambda: law.predict(rows))
    problem = Problem(runs.space, table, law, runs.objective)
    return {
        "fit": fit,
        "means": means,
        "propose": _seconds(lambda: propose("exact", problem, 5, rng)),
    }


def comparison_seconds(runs: Runs) -> Cell:
    """What `fit` spends on cross-validating the laws that it compares by default."""
    goal = {runs.objective.name: runs.objective}
    rng = np.random.default_rng(0)
    work = partial(compare_laws, COMPARED, runs.train, goal, rng)
    return {"laws": list(COMPARED), "seconds": _seconds(work)}


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
