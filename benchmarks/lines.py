"""Cells measured once, one JSON line each: appended as they finish, so that any stop loses one."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

Cell = Any
"""JSON values only."""
Work = Mapping[str, Callable[[], Cell]]
"""What is to be measured, by name: KIND/...; cells of one kind take about as long."""


def measured(path: Path, wanted: Work, rough: Mapping[str, float]) -> dict[str, Cell]:
    """The wanted cells by name: those that `path` holds, the others measured and appended.

    Says first how long the rest should take: by the seconds of finished cells of the same kind, or
    by the `rough` CPU seconds of a kind. A cell of the file is believed whatever made it.
    """
    lines = read(path)
    missing = {name: work for name, work in wanted.items() if name not in lines}
    print(f"{len(wanted) - len(missing)} of {len(wanted)} cells are in {path}; the others need")
    print(f"about {told(estimate(lines, list(missing), rough))} of CPU.\n", flush=True)
    for name, work in missing.items():
        started = time.process_time()
        cell = work()
        line = {"cell": name, "seconds": round(time.process_time() - started, 3), "value": cell}
        _append(path, line)
        lines[name] = line
    return {name: lines[name]["value"] for name in wanted}


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of a file by the name of their cell; a torn last line is left out."""
    if not path.exists():
        return {}
    found = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # the writer was killed in it
        found[line["cell"]] = line
    return found


def cells(path: Path) -> dict[str, Cell]:
    """The values of all cells of a file."""
    return {name: line["value"] for name, line in read(path).items()}


def estimate(
    lines: Mapping[str, Mapping[str, Any]], missing: list[str], rough: Mapping[str, float]
) -> float:
    """CPU seconds of the missing cells.

    >>> estimate({"a/x/1": {"seconds": 2.0}}, ["a/x/2", "a/x/3", "b/y/1"], {"b/y": 5.0})
    9.0
    """
    known: dict[str, list[float]] = {}
    for name, line in lines.items():
        known.setdefault(kind(name), []).append(line["seconds"])
    means = {**rough, **{key: fmean(values) for key, values in known.items()}}
    return sum(means.get(kind(name), 0.0) for name in missing)


def kind(name: str) -> str:
    """The first two words of a cell's name.

    >>> kind("replay/bo/loss/pile_cc/0")
    'replay/bo'
    """
    return "/".join(name.split("/")[:2])


def told(seconds: float) -> str:
    """A time for people.

    >>> told(40), told(400), told(40_000)
    ('40 s', '7 min', '11.1 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """One write of whole lines, the last of which a kill may have torn."""
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if torn else "") + json.dumps(line, allow_nan=False) + "\n")
