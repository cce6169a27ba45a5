"""Planned runs for another trainer: id, name, seed and shares of each, as CSV or JSON lines.

Whoever trains them sends the metrics back under the id (`mixopt record ID FILE`). A schedule has a
row a phase in the CSV, numbered from 1; runs at another, constant learning rate say by how many
times the tuned one. Shares are in tokens of the target's tokenizer, unless they
are recounted for a trainer that has another; ids name the runs as they were planned.
"""

import csv
import io
from collections.abc import Callable, Sequence

from mixopt.errors import ConfigError, DataError, nearest
from mixopt.files import to_json
from mixopt.runs import LR_SCALE, Run, Schedule

Planned = tuple[Run, Schedule]


def write_planned(
    runs: Sequence[Run], to: str, recount: Callable[[Schedule], Schedule] | None = None
) -> str:
    """The planned runs among `runs` as a text; `to` is "csv" or "json" (a line for each run).

    `recount` turns a schedule into the tokens of whoever trains (`mixopt.exchange.recount`).
    Raises DataError when none is planned, ConfigError for another format.
    """
    if to not in _WRITERS:
        raise ConfigError(f"planned runs cannot be written as {to!r}, {nearest(to, _WRITERS)}")
    planned = [run for run in runs if run.status == "planned" and run.schedule is not None]
    if not planned:
        raise DataError("no run is planned: `mixopt sample` plans some")
    schedules = [run.schedule or () for run in planned]
    told = schedules if recount is None else map(recount, schedules)
    return _WRITERS[to](list(zip(planned, told, strict=True)))


def _csv(planned: Sequence[Planned]) -> str:
    phased = any(len(schedule) > 1 for _, schedule in planned)
    domains = list(dict.fromkeys(name for _, told in planned for _, mix in told for name in mix))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    scaled = any(LR_SCALE in run.proxy for run, _ in planned)
    columns = [LR_SCALE] * scaled + ["phase", "fraction"] * phased
    writer.writerow(["id", "name", "seed", *columns, *domains])
    for run, schedule in planned:
        rate = [repr(float(run.proxy.get(LR_SCALE, 1.0)))] * scaled
        for number, (fraction, mixture) in enumerate(schedule, start=1):
            phase = [number, repr(fraction)] if phased else []
            shares = [repr(float(mixture.get(name, 0.0))) for name in domains]
            writer.writerow([run.id, run.name, run.seed, *rate, *phase, *shares])
    return text.getvalue()


def _json_lines(planned: Sequence[Planned]) -> str:
    return "".join(to_json(_document(run, schedule)) + "\n" for run, schedule in planned)


def _document(run: Run, schedule: Schedule) -> dict[str, object]:
    phases = [{"fraction": part, "shares": dict(mixture)} for part, mixture in schedule]
    return {
        "id": run.id,
        "name": run.name,
        "seed": run.seed,
        "proxy": dict(run.proxy),
        "phases": phases,
    }


_WRITERS: dict[str, Callable[[Sequence[Planned]], str]] = {"csv": _csv, "json": _json_lines}
