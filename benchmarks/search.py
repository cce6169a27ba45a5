"""Searches judged by regret: finished tables replayed, made-up worlds, two sizes, and seconds.

    python benchmarks/search.py --data FOLDER               RegMix's 512 runs of 1M as the world
    python benchmarks/search.py --worlds                    five made-up worlds, 5 to 50 domains
    python benchmarks/search.py --fidelity [--data FOLDER]  two sizes at 1:10; with data 1M and 60M
    python benchmarks/search.py --seconds                   time to propose, by runs and domains
    python benchmarks/search.py --report                    the tables of what was measured so far

FOLDER holds RegMix's CSV files. Finished cells are lines of --out: a command that was stopped goes
on where it was, and says first how long the rest should take. `--seeds 2 --methods random climb` is
a quick look. No public table chose anything in mixopt; `mfbo`'s thresholds are of made-up sizes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import search_fidelity
import search_growth
import search_replay
import search_simplex
from lines import cells
from regmix_runs import read_runs
from search_methods import METHODS
from search_tables import agreeing_table, disagreeing_table, replay_tables, simplex_tables

SEEDS = 20
BATCH = 4
PARTS = ("worlds", "fidelity", "seconds", "report")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, print and write."""
    options = parsed(arguments)
    data = None if options.data is None else read_runs(options.data)
    if options.report:
        report(options.out)
    elif options.seconds:
        search_growth.report(options.methods, options.domains, options.runs, options.out)
    elif options.worlds:
        search_simplex.report(
            options.methods, options.domains, options.seeds, options.batch, options.out
        )
    elif options.fidelity:
        search_fidelity.report(data, options.goals, options.seeds, options.out)
    else:
        assert data is not None
        search_replay.report(
            data, options.methods, options.goals, options.seeds, options.batch, options.out
        )


def report(path: Path) -> None:
    """Every table but that of seconds, which its own command prints."""
    found = cells(path)
    replay_tables(found)
    simplex_tables(found)
    agreeing_table(found)
    disagreeing_table(found)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of RegMix's CSV files")
    kind = parser.add_mutually_exclusive_group()
    for name in PARTS:
        kind.add_argument(f"--{name}", action="store_true", help="another table, see above")
    parser.add_argument("--methods", nargs="+", default=[], help=f"of {', '.join(METHODS)}")
    parser.add_argument("--goals", nargs="+", default=[], help="default: all 34")
    parser.add_argument("--domains", nargs="+", type=int, default=[], help="of made-up worlds")
    parser.add_argument("--runs", nargs="+", type=int, default=[], help="of --seconds")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--batch", type=int, default=BATCH, help="runs planned at a time")
    parser.add_argument("--out", type=Path, default=Path("search.jsonl"))
    options = parser.parse_args(arguments)
    if options.data is None and not any(getattr(options, name) for name in PARTS):
        parser.error("--data FOLDER is needed: the folder of RegMix's CSV files")
    return options


if __name__ == "__main__":
    main()
