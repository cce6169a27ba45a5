"""Cells of a table, each measured once: a JSON file keeps them, and a command can be resumed."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
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


def told(values: Sequence[float | None], digits: int) -> str:
    """The mean of repetitions; a dash where one of them is no number.

    >>> told([1.0, 2.0], 1), told([1.0, None], 1)
    ('1.5', '-')
    """
    known = [value for value in values if value is not None]
    return f"{fmean(known):.{digits}f}" if len(known) == len(values) else "-"


def spread(values: Sequence[float | None], digits: int) -> str:
    """Mean and sd of repetitions; the value itself where there is one.

    >>> spread([1.0, 3.0], 1), spread([2.0], 2), spread([1.0, None], 1)
    ('2.0 ± 1.4', '2.00', '-')
    """
    known = [value for value in values if value is not None]
    mean = told(values, digits)
    return mean if mean == "-" or len(values) == 1 else f"{mean} ± {stdev(known):.{digits}f}"


def finite(value: Any) -> Any:
    """A cell with None in place of NaN and infinities, which are no JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
