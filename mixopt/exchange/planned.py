"""Planned runs for another trainer: id, name, seed and shares of each, as CSV or JSON lines.

Whoever trains them sends the metrics back under the id (`mixopt record ID FILE`). A schedule has a
row a phase in the CSV, numbered from 1.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from mixopt.errors import ConfigError, DataError, nearest
from mixopt.files import to_json
from mixopt.runs import Run


def write_planned(runs: Sequence[Run], to: str) -> str:
    """The planned runs among `runs` as a text; `to` is "csv" or "json" (a line for each run).

    Raises DataError when none is planned, ConfigError for another format.
    """
    if to not in _WRITERS:
        raise ConfigError(f"planned runs cannot be written as {to!r}, {nearest(to, _WRITERS)}")
    planned = [run for run in runs if run.status == "planned" and run.schedule is not None]
    if not planned:
        raise DataError("no run is planned: `mixopt sample` plans some")
    return _WRITERS[to](planned)


def _csv(runs: Sequence[Run]) -> str:
    phased = any(len(run.schedule or ()) > 1 for run in runs)
    domains = list(dict.fromkeys(name for run in runs for _, mix in _phases(run) for name in mix))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "name", "seed", *(["phase", "fraction"] if phased else []), *domains])
    for run in runs:
        for number, (fraction, mixture) in enumerate(_phases(run), start=1):
            phase = [number, repr(fraction)] if phased else []
            shares = [repr(float(mixture.get(name, 0.0))) for name in domains]
            writer.writerow([run.id, run.name, run.seed, *phase, *shares])
    return text.getvalue()


def _json_lines(runs: Sequence[Run]) -> str:
    return "".join(to_json(_document(run)) + "\n" for run in runs)


def _document(run: Run) -> dict[str, object]:
    phases = [{"fraction": part, "shares": dict(mixture)} for part, mixture in _phases(run)]
    return {
        "id": run.id,
        "name": run.name,
        "seed": run.seed,
        "proxy": dict(run.proxy),
        "phases": phases,
    }


def _phases(run: Run) -> Sequence[tuple[float, Mapping[str, float]]]:
    return run.schedule or ()


_WRITERS: dict[str, Callable[[Sequence[Run]], str]] = {"csv": _csv, "json": _json_lines}
