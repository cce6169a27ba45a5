"""Cells of a table, each measured once: a JSON file keeps them, and a command can be resumed."""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mixopt.files import write_atomic

Cell = Any
"""JSON values only."""


def completed(path: Path, wanted: Mapping[str, Callable[[], Cell]]) -> dict[str, Cell]:
    """The wanted cells by name: those that `path` holds, the others measured and written at once.

    A cell of the file is believed whatever made it: after a law has changed, begin another file.
    """
    cells: dict[str, Cell] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: measure for name, measure in wanted.items() if name not in cells}
    with _bar() as bar:
        task = bar.add_task("", total=len(missing))
        for name, measure in missing.items():
            bar.update(task, description=name)
            cells[name] = measure()
            write_atomic(path, json.dumps(cells, allow_nan=False))
            bar.advance(task)
    return {name: cells[name] for name in wanted}


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as Markdown, to be pasted as it is."""
    for line in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(line)} |")
    print()


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and sd of repetitions; the value itself where there is one.

    >>> spread([1.0, 3.0], 1), spread([2.0], 2)
    ('2.0 ± 1.4', '2.00')
    """
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
