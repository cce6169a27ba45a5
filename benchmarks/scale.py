"""Laws over scale on RegMix's public runs: few anchors at a larger size, held-out mixtures there.

    python benchmarks/scale.py FOLDER [--laws joint recalibrated] [--anchors 4 8 16] [--out FILE]

FOLDER holds RegMix's CSV files. A law is fitted to 128 of the 512 runs of 1M parameters and to
anchors of the larger size, and predicts the runs of that size that were no anchors. `edl` sees no
anchor and is what the others must beat. Printed are means over 5 subsets x 10 draws of anchors:
Spearman in percent of Pile-CC (cc), as the mean over 13 metrics (mean) and of the mean of the 13
losses (average); the mean absolute error; the share of runs inside 90 % intervals. `spread` anchors
are chosen by `mixopt.recalibration.spread_anchors` from what EDL predicts, the others at random.
Last, whether the order of mixtures moves between 1M and the larger size.

What was measured is kept in --out, so that the same command again only does what is missing.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
from cells import Cell, completed, print_table
from numpy.typing import NDArray
from regmix_runs import Runs, read_runs, subset

from mixopt.laws import make_law
from mixopt.laws.base import Info, Law
from mixopt.rank_moves import measured_moves
from mixopt.recalibration import spread_anchors
from mixopt.score import quality
from mixopt.table import Table
from mixopt.testing import table_of

Array = NDArray[np.float64]

SCALES = {"1m": (1e6, 1e6, 1e9), "60m": (60e6, 60e6, 1e9), "1b": (1e9, 1e9, 25e9)}
"""Non-embedding parameters, active ones, training tokens, as the paper reports them."""
SMALL = "1m"
COUNT = 128
BLIND = "edl"
LAWS = ("edl", "recalibrated", "additive", "joint", "capacity", "moe_scale")
VALUES = ("cc", "mean", "average")
SUBSETS = 5
DRAWS = 10
_NINETY = 1.645


Line = tuple[str, int, str]
"""Law, number of anchors, how they were drawn."""


def main() -> None:
    """Measure what is missing and print a table a size."""
    options = _options()
    runs = read_runs(options.folder)
    print(f"{runs.note}.\n")
    for size in runs.tests:
        if size != SMALL:
            report(runs, size, options)


def report(runs: Runs, size: str, options: argparse.Namespace) -> None:
    """One larger size."""
    lines: list[Line] = [(BLIND, 0, "-")] if BLIND in options.laws else []
    others = [law for law in options.laws if law != BLIND]
    for how in ("random", "spread"):
        lines += [(law, count, how) for law in others for count in options.anchors]
    repeats = {
        line: [(i, j) for i in range(options.subsets) for j in range(_draws(line, options.draws))]
        for line in lines
    }
    wanted = {
        _name(size, line, *repeat): partial(measured, runs, size, line, *repeat)
        for line in lines
        for repeat in repeats[line]
    }
    cells = completed(options.out, wanted)
    rows = [
        _row(line, [cells[_name(size, line, *repeat)] for repeat in repeats[line]])
        for line in lines
    ]
    print(f"{COUNT} runs of {SMALL} and anchors of {size}, held-out runs of {size}:\n")
    header = ("law", "anchors", "drawn", *VALUES, "MAE", "cover", "CPU s")
    print_table(header, rows)
    print(moves(runs, size))


def measured(runs: Runs, size: str, line: Line, number: int, draw: int) -> Cell:
    """One fit, judged on the runs of the larger size that were no anchors."""
    name, count, how = line
    swarm, large = subset(runs, COUNT, number), runs.tests[size]
    anchors = chosen(swarm, large, count, how, draw)
    held = np.setdiff1d(np.arange(len(large)), anchors)
    started = time.process_time()
    law = fitted(name, swarm, large.select(anchors), size)
    scales = None if name == BLIND else np.array([SCALES[size]])
    mean, sd = law.predict(large.weights[held], scales, return_std=True)
    seconds = time.process_time() - started
    actual = large.losses[held]
    ranks = [quality(a, p).spearman for a, p in zip(actual.T, mean.T)]
    return {
        "cc": 100 * ranks[runs.target],
        "mean": 100 * fmean(ranks),
        "average": 100 * quality(actual.mean(axis=1), mean.mean(axis=1)).spearman,
        "mae": float(np.abs(mean - actual).mean()),
        "cover": float(np.mean(np.abs(mean - actual) < _NINETY * sd)),
        "seconds": seconds,
    }


def chosen(swarm: Table, large: Table, count: int, how: str, draw: int) -> NDArray[np.int64]:
    """The anchors among the runs of the larger size."""
    if how == "random":
        return np.sort(np.random.default_rng(draw).permutation(len(large))[:count])
    predicted = make_law(BLIND).fit(swarm.weights, swarm.losses).predict(large.weights)
    return spread_anchors(predicted.mean(axis=1), count)


def fitted(name: str, swarm: Table, anchors: Table, size: str) -> Law:
    """The law of the swarm, and of the anchors where it takes them."""
    if name == BLIND:
        return make_law(name).fit(swarm.weights, swarm.losses)
    scales = np.repeat(np.array([SCALES[SMALL], SCALES[size]]), [len(swarm), len(anchors)], axis=0)
    weights = np.vstack([swarm.weights, anchors.weights])
    losses = np.vstack([swarm.losses, anchors.losses])
    return make_law(name).fit(weights, losses, Info(scales=scales, own=swarm.own))


def moves(runs: Runs, size: str) -> str:
    """Whether the mean of the losses ranks the shared mixtures alike, with EDL's noise."""
    small, large = runs.tests[SMALL], runs.tests[size]
    both = table_of(
        np.vstack([small.weights, large.weights]), np.vstack([small.losses, large.losses])
    )
    scales = np.repeat(np.array([SCALES[SMALL], SCALES[size]]), [len(small), len(large)], axis=0)
    both = replace(both, scales=scales)
    law = make_law(BLIND).fit(small.weights, small.losses)
    left = small.losses.mean(axis=1) - law.predict(small.weights).mean(axis=1)
    found = measured_moves(
        both, both.losses.mean(axis=1), np.random.default_rng(0), residual_sd=float(left.std())
    )
    tau = "" if found.tau is None else f", Kendall's tau {found.tau:.3f}"
    ends = "" if found.tau_interval is None else " ({:.3f} to {:.3f})".format(*found.tau_interval)
    return f"rank moves from {SMALL} to {size}: {found.answer} ({found.why}){tau}{ends}\n"


def _draws(line: Line, draws: int) -> int:
    """What is drawn at random is drawn again and again."""
    return draws if line[2] == "random" else 1


def _name(size: str, line: Line, number: int, draw: int) -> str:
    law, count, how = line
    return f"{size}/{law}/{count}/{how}/{number}/{draw}"


def _row(line: Line, found: Sequence[Cell]) -> list[str]:
    mean = {key: fmean(cell[key] for cell in found) for key in found[0]}
    ranks = [f"{mean[key]:.2f}" for key in VALUES]
    rest = [f"{mean['mae']:.4f}", f"{mean['cover']:.2f}", f"{mean['seconds']:.2f}"]
    return [line[0], str(line[1]), line[2], *ranks, *rest]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--laws", nargs="+", default=list(LAWS))
    parser.add_argument("--anchors", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--subsets", type=int, default=SUBSETS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--out", type=Path, default=Path("scale.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
