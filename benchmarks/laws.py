"""Laws measured on RegMix's public runs and on made-up worlds; prints Markdown tables.

    python benchmarks/laws.py --data FOLDER                law x runs: ranks, errors, coverage
    python benchmarks/laws.py --data FOLDER --headline     few runs against LightGBM with all 512
    python benchmarks/laws.py --data FOLDER --seconds      what fitting, comparing, proposing cost
    python benchmarks/laws.py --synthetic                  regret of the pick in five worlds

FOLDER holds RegMix's CSV files. What was measured is kept in the file of --out (default: the
table's name, `laws.json` and so on), so that the same command again only does what is missing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import headline
import matrix
import seconds
import synthetic
from regmix_runs import read_runs

from mixopt.laws import LAWS

RUNS = (16, 32, 64, 128, 256, 512)
SUBSETS = 5
HEADLINE_SUBSETS = 20
WORLD_SEEDS = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, print and write."""
    options = parsed(arguments)
    if options.synthetic:
        synthetic.report(
            synthetic.Size(options.domains, (options.runs or [synthetic.RUNS])[0], options.design),
            options.laws or synthetic.LAWS,
            options.subsets or WORLD_SEEDS,
            _out(options),
        )
        return
    runs = read_runs(options.data)
    print(f"{runs.note}.\n")
    if options.headline:
        headline.report(
            runs,
            options.laws or ["auto"],
            options.runs or headline.RUNS,
            options.subsets or HEADLINE_SUBSETS,
            _out(options),
        )
    elif options.seconds:
        seconds.report(runs, options.laws or ["auto"], _out(options))
    else:
        matrix.report(
            runs,
            options.laws or sorted(LAWS),
            options.runs or RUNS,
            options.subsets or SUBSETS,
            _out(options),
        )


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of RegMix's CSV files")
    kind = parser.add_mutually_exclusive_group()
    for name in ("headline", "seconds", "synthetic"):
        kind.add_argument(f"--{name}", action="store_true", help="another table, see above")
    parser.add_argument("--laws", nargs="+", help="default: every one, or those of the table")
    parser.add_argument("--runs", nargs="+", type=int, help="numbers of training runs")
    parser.add_argument("--subsets", type=int, help="repetitions: subsets, or seeds of a world")
    parser.add_argument("--domains", type=int, default=synthetic.DOMAINS, help="of a world")
    parser.add_argument("--design", default="spacefill", help="of the swarms of --synthetic")
    parser.add_argument("--out", type=Path, help="file of what was measured")
    options = parser.parse_args(arguments)
    if options.data is None and not options.synthetic:
        parser.error("--data FOLDER is needed: the folder of RegMix's CSV files")
    return options


def _out(options: argparse.Namespace) -> Path:
    """The file of a table: that of another table would hold other cells."""
    names = [name for name in ("headline", "seconds", "synthetic") if getattr(options, name)]
    return options.out or Path(f"{names[0] if names else 'laws'}.json")


if __name__ == "__main__":
    main()
