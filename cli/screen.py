"""What a command shows: a table for people, one JSON document for machines, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from mixopt.digits import rounded
from mixopt.progress import Report

FOLDER = typer.Argument(".", help="the experiment's folder", show_default=True)
JSON = typer.Option(False, "--json", help="one JSON document on stdout, logs on stderr")
QUIET = typer.Option(False, "--quiet", "-q", help="no progress, no remarks")

_LINE_EVERY_S = 20.0


def emit(document: dict[str, Any]) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1) + "\n")


def say(text: str, quiet: bool = False) -> None:
    """A remark on stderr."""
    if not quiet:
        sys.stderr.write(text + "\n")


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: the first column to the left, numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD)
    for index, name in enumerate(header):
        grid.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console = Console(soft_wrap=False, highlight=False)
    if not console.is_terminal:
        console.width = 118
    console.print(Text(title, style="bold"))  # rich would fold it to the table's width
    console.print(grid)


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """A bar with the time left on a terminal, a line now and then elsewhere."""
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=90) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: float, total: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, completed=round(done))
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _lines() -> Report:
    """Progress where no terminal is: at most a line every 20 seconds and stage."""
    began: dict[str, tuple[float, float]] = {}
    spoke: dict[str, float] = {}

    def report(stage: str, done: float, total: float) -> None:
        now = time.monotonic()
        if stage not in began:
            began[stage] = (now, done)
            spoke[stage] = now
        if now - spoke[stage] < _LINE_EVERY_S or done <= began[stage][1]:
            return
        spoke[stage] = now
        start, first = began[stage]
        left = (now - start) * (total - done) / (done - first)
        say(f"{stage}: {100 * done / total:.0f} %, {duration(left)} left")

    return report


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(95), duration(7200)
    ('1 min 35 s', '2 h 00 min')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def count(value: float) -> str:
    """A large number with three digits.

    >>> count(1234567), count(950), count(4.5e16)
    ('1.23M', '950', '4.50e+16')
    """
    for limit, unit in ((1e3, ""), (1e6, "k"), (1e9, "M"), (1e12, "G"), (1e15, "T")):
        if value < limit:
            scaled = value / (limit / 1e3)
            return f"{scaled:.0f}" if not unit else f"{scaled:.3g}{unit}"
    return f"{value:.2e}"


def interval(mean: float, low: float, high: float, percent: bool) -> str:
    """A value with its interval; objectives that are log-ratios are shown in percent.

    >>> interval(0.0123, 0.0051, 0.0195, percent=True)
    '+1.23 % (0.51 to 1.95)'
    """
    scale = 100.0 if percent else 1.0
    width = scale * (high - low) / 2
    texts = [rounded(scale * value, width) for value in (mean, low, high)]
    sign = "+" if mean > 0 else ""
    return f"{sign}{texts[0]}{' %' if percent else ''} ({texts[1]} to {texts[2]})"
