"""Runs from other trainers: CSV pairs of mixtures and metrics, joined by id, never by position.

Mixtures and metrics stand in two files (or one); each line is a run and is found by its id. The
domain columns are matched by name, whatever their order; what a column is called here is returned
as a renaming, never printed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError, nearest
from mixopt.exchange.dialects import DIALECTS, Dialect
from mixopt.exchange.sheet import UNNAMED, Sheet, few
from mixopt.files import read_json
from mixopt.runs import IMPORT, Run
from mixopt.space import Domain, Space
from mixopt.table import Table, join

Scale = tuple[float, float, float]

_DESCRIPTIONS = ("id", "run_id", "run", "index", "name", "seed", UNNAMED)
"""Columns that are never shares or metrics."""

_NOT_MEASURED = ("", "na", "n/a", "null", "none")
_SUM_TOLERANCE = 0.01
_SUM_EXACT = 1e-6


@dataclass(frozen=True)
class ImportResult:
    """Runs read from files, and what was done to them on the way."""

    runs: tuple[Run, ...]
    domains: tuple[str, ...]
    """In the order of the mixture file's columns."""
    metrics: tuple[str, ...]
    renaming: Mapping[str, str] = field(default_factory=dict)
    """Column of a file -> domain or metric, where they differ."""
    renormalised: int = 0
    """Mixtures that missed a sum of one by at most 0.01."""
    unmeasured: int = 0
    """Mixtures without any metric: they are planned runs."""
    left_out: tuple[str, ...] = ()
    """What was not taken, and why, a sentence each."""
    directions: Mapping[str, str] = field(default_factory=dict)
    """Of metrics, where the dialect knows them."""

    def undeclared(self, directions: Mapping[str, str]) -> tuple[str, ...]:
        """Metrics that are no bpb, loss or ppl, and that `directions` leaves out."""
        falling = ("bpb/", "loss/", "ppl/", "router/")
        unknown = [name for name in self.metrics if not name.startswith(falling)]
        return tuple(name for name in unknown if name not in {*directions, *self.directions})


def read_csv(
    mixtures: str | Path,
    metrics: str | Path | None = None,
    *,
    weights: str | None = None,
    metric_columns: str | None = None,
    id: str | None = None,
    scale: Scale | str | None = None,
    dialect: str = "generic",
    directions: Mapping[str, str] | None = None,
) -> tuple[Space, Table]:
    """A space without limits and the table of its runs, from CSV files (see `imported_runs`).

    Token counts are not in such files, so the space has no caps and an equal prior.
    `directions` says "up" or "down" of metrics that are no bpb, loss or ppl.
    """
    result = imported_runs(
        mixtures,
        metrics,
        weights=weights,
        metric_columns=metric_columns,
        id=id,
        scale=scale,
        dialect=dialect,
    )
    space = Space([Domain(name) for name in result.domains])
    known = {**result.directions, **(directions or {})}
    return space, join(result.runs, space, directions=known)


def imported_runs(
    mixtures: str | Path,
    metrics: str | Path | None = None,
    *,
    weights: str | None = None,
    metric_columns: str | None = None,
    id: str | None = None,
    scale: Scale | str | None = None,
    dialect: str = "generic",
    known: Sequence[str] | None = None,
) -> ImportResult:
    """Runs from a CSV of mixtures and a CSV of metrics.

    `weights` and `metric_columns` are patterns of column names (`ratio_*`); a pattern's fixed
    beginning is no part of a domain's name. Without `metrics`, metrics stand in the mixture file
    if `metric_columns` says where, and the runs are only planned otherwise. `id` names the column
    that joins the files; `scale` is (parameters, active ones, tokens), or the column that holds
    the three. `known`: the domains of the study that is added to; one that a file leaves out has
    share 0. Empty and NaN metrics are not measured.

    Raises DataError with file, line and column for what cannot be read.
    """
    speech = _dialect(dialect)
    mixed = Sheet.read(Path(mixtures))
    measured = mixed if metrics is None else Sheet.read(Path(metrics))
    key, measured_key = _id_columns(mixed, measured, id, speech)
    described = {*_DESCRIPTIONS, key, measured_key, scale}
    inline = metric_columns if metrics is None else None
    domains = speech.domains(_columns(mixed, weights, described, inline), weights)
    _check_domains(mixed, domains, known)
    wanted = metrics is not None or metric_columns is not None
    columns = _columns(measured, metric_columns, described, None) if wanted else ()
    names = speech.metrics(columns, domains)
    _check_distinct(measured, names)
    shares, renormalised = _shares(mixed, domains)
    values = _metrics_by_id(measured, measured_key, names)
    strangers = _check_ids(mixed, key, measured, measured_key, speech.both_sides)
    absent = dict.fromkeys(known or (), 0.0)
    mixes = [absent | dict(zip(domains.values(), row.tolist(), strict=True)) for row in shares]
    runs = _runs(mixed, key, mixes, values, scale)
    alone = [run.name for run in runs if not run.metrics] if speech.both_sides and wanted else []
    runs = [run for run in runs if run.name not in alone]
    falling = {} if speech.direction is None else dict.fromkeys(names.values(), speech.direction)
    return ImportResult(
        runs=tuple(runs),
        domains=tuple(domains.values()),
        metrics=tuple(names.values()),
        renaming={old: new for old, new in {**domains, **names}.items() if old != new},
        renormalised=renormalised,
        unmeasured=sum(not run.metrics for run in runs),
        left_out=(*_missing(alone, "metrics", measured), *_missing(strangers, "mixture", mixed)),
        directions=falling,
    )


def read_metrics(path: str | Path) -> dict[str, float]:
    """The metrics of one run, from a JSON mapping of names to numbers or a CSV with name, value.

    Raises DataError for anything but finite numbers.
    """
    path = Path(path)
    if path.suffix == ".csv":
        sheet = Sheet.read(path)
        if set(sheet.header) != {"name", "value"}:
            raise DataError(f"{path}:1: expected the columns name and value, got {sheet.header}")
        sheet.require_unique("name")
        pairs = [
            (row["name"], sheet.number(i, "value"), sheet.where(i))
            for i, row in enumerate(sheet.rows)
        ]
    else:
        pairs = [(name, value, str(path)) for name, value in _json_mapping(path).items()]
    for name, value, where in pairs:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{where}: metric {name!r} must be a number, got {value!r}")
        if not math.isfinite(value):
            raise DataError(
                f"{where}: metric {name!r} is {value}, a run that diverged has no metrics: "
                "leave it out"
            )
    return {name: float(value) for name, value, _ in pairs}


def check_agreement(existing: Sequence[Run], imported: Sequence[Run]) -> None:
    """Imported runs never contradict what the table holds of the same run.

    Raises DataError where a metric differs: other runs of the same mixtures (of another size, say)
    need their `scale` to be told apart.
    """
    known = {run.id: run for run in existing if run.status == "finished"}
    for run in imported:
        if run.id not in known:
            continue
        for name, value in run.metrics.items():
            held = known[run.id].metrics.get(name, value)
            if not math.isclose(held, value, rel_tol=1e-9):
                raise DataError(
                    f"{run.origin}: run {run.name!r} has {name} = {value}, the table holds {held} "
                    "for the same mixture: give the scale of these runs to keep them apart"
                )


def _dialect(name: str) -> Dialect:
    if name not in DIALECTS:
        raise DataError(f"no dialect is called {name!r}, {nearest(name, DIALECTS)}")
    return DIALECTS[name]


def _id_columns(
    mixed: Sheet, measured: Sheet, wanted: str | None, speech: Dialect
) -> tuple[str, str]:
    """The columns that join the two files, one of each; `run` and `run_id` are the same."""
    if wanted is not None:
        mixed.require(wanted)
        measured.require(wanted)
        return wanted, wanted
    for name in speech.ids:
        same = ("run", "run_id") if name in ("run", "run_id") else (name,)
        mine, theirs = (
            [item for item in same if item in sheet.header] for sheet in (mixed, measured)
        )
        if mine and theirs:
            return mine[0], theirs[0]
    raise DataError(
        f"{mixed.path} and {measured.path} share no id column ({', '.join(speech.ids)}): "
        "name the column that both have with --id"
    )


def _columns(
    sheet: Sheet, pattern: str | None, left_out: set[Any], but: str | None
) -> tuple[str, ...]:
    """The columns of a pattern; without one, all that are not left out and not of pattern `but`."""
    if pattern is not None:
        return sheet.matching(pattern)
    found = (name for name in sheet.header if name not in left_out)
    return tuple(name for name in found if but is None or not fnmatchcase(name, but))


def _check_domains(sheet: Sheet, domains: Mapping[str, str], known: Sequence[str] | None) -> None:
    _check_distinct(sheet, domains)
    for column, name in domains.items():
        if known is not None and name not in known:
            raise DataError(
                f"{sheet.path}:1: column {column!r} is no domain of this study, "
                f"{nearest(name, known)}"
            )


def _check_distinct(sheet: Sheet, names: Mapping[str, str]) -> None:
    told = list(names.values())
    for column, name in names.items():
        if told.count(name) > 1:
            twins = [other for other, same in names.items() if same == name]
            raise DataError(
                f"{sheet.path}:1: the columns {', '.join(twins)} would all be called {name!r}, "
                f"please rename {column!r}"
            )


def _check_ids(
    mixed: Sheet, key: str, measured: Sheet, measured_key: str, both_sides: bool
) -> list[str]:
    """The ids with metrics and without a mixture, which are an error unless both sides are asked.

    Raises DataError for an id that stands twice, and for a run with two names.
    """
    mixed.require_unique(key)
    measured.require_unique(measured_key)
    names = {row[key]: row.get("name", "") for row in mixed.rows}
    strangers = []
    for i, row in enumerate(measured.rows):
        run, name = row[measured_key], row.get("name", "")
        if run in names:
            if name and names[run] and name != names[run]:
                raise DataError(
                    f"{measured.where(i)}: run {run!r} is called {name!r} here and "
                    f"{names[run]!r} in {mixed.path}"
                )
        elif both_sides:
            strangers.append(run)
        else:
            raise DataError(
                f"{measured.where(i)}: run {run!r} has metrics but no mixture in {mixed.path}"
            )
    return strangers


def _missing(runs: Sequence[str], what: str, sheet: Sheet) -> tuple[str, ...]:
    """The sentence about runs that one file alone knows."""
    if not runs:
        return ()
    return (f"{len(runs)} runs have no {what} in {sheet.path.name}: {few(runs)}",)


def _shares(sheet: Sheet, domains: Mapping[str, str]) -> tuple[NDArray[np.float64], int]:
    """Mixtures (n, d) that sum to one, and how many were renormalised."""
    rows = np.array([[sheet.number(i, c) for c in domains] for i in range(len(sheet.rows))])
    for i, row in enumerate(rows):
        bad = ~np.isfinite(row) | (row < 0)
        if bad.any():
            column = list(domains)[int(np.flatnonzero(bad)[0])]
            raise DataError(
                f"{sheet.where(i)}: column {column!r} holds {sheet.rows[i][column]!r}, "
                "expected a share of 0 or more"
            )
    sums = rows.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE + 1e-9)
    if len(off):
        raise DataError(
            f"{sheet.where(int(off[0]))}: the shares sum to {sums[off[0]]:.6g}, expected 1: "
            "name the columns that hold shares with a pattern, or divide by the sum"
        )
    return rows / sums[:, None], int((np.abs(sums - 1) > _SUM_EXACT).sum())


def _metrics_by_id(sheet: Sheet, key: str, names: Mapping[str, str]) -> dict[str, dict[str, float]]:
    return {row[key]: _measured(sheet, i, names) for i, row in enumerate(sheet.rows)}


def _measured(sheet: Sheet, i: int, names: Mapping[str, str]) -> dict[str, float]:
    """The metrics of one line that were measured."""
    found = {}
    for column, name in names.items():
        if sheet.rows[i][column].lower() in _NOT_MEASURED:
            continue
        value = sheet.number(i, column)
        if math.isnan(value):
            continue
        if math.isinf(value):
            raise DataError(
                f"{sheet.where(i)}: column {column!r} is infinite, leave the cell of a run that "
                "diverged empty"
            )
        found[name] = value
    return found


def _runs(
    sheet: Sheet,
    key: str,
    mixes: Sequence[Mapping[str, float]],
    metrics: Mapping[str, Mapping[str, float]],
    scale: Scale | str | None,
) -> list[Run]:
    """A run for each line, told apart by mixture, seed and scale."""
    runs = [
        Run(
            schedule=((1.0, mix),),
            seed=seed,
            proxy={} if size is None else {"scale": list(size)},
            name=row[key],
            origin=f"{IMPORT}:{sheet.path.name}",
            scale=size,
            metrics=metrics.get(row[key], {}),
        )
        for row, mix, seed, size in zip(
            sheet.rows, mixes, _seeds(sheet, mixes), _scales(sheet, scale), strict=True
        )
    ]
    _check_told_apart(sheet, runs)
    return runs


def _seeds(sheet: Sheet, mixes: Sequence[Mapping[str, float]]) -> list[int]:
    """The lines' own seeds, else how many lines above hold the same mixture."""
    if "seed" in sheet.header:
        return [_seed(sheet, i) for i in range(len(mixes))]
    seen: dict[tuple[float, ...], int] = {}
    counts = []
    for mix in mixes:
        key = tuple(round(share, 10) for share in mix.values())
        counts.append(seen.get(key, 0))
        seen[key] = counts[-1] + 1
    return counts


def _seed(sheet: Sheet, i: int) -> int:
    cell = sheet.rows[i]["seed"]
    if not cell.lstrip("-").isdecimal():
        raise DataError(f"{sheet.where(i)}: column 'seed' holds {cell!r}, expected a whole number")
    return int(cell)


def _check_told_apart(sheet: Sheet, runs: Sequence[Run]) -> None:
    first: dict[str, int] = {}
    for i, run in enumerate(runs):
        if run.id in first:
            raise DataError(
                f"{sheet.where(i)}: the mixture, seed and scale of line "
                f"{sheet.lines[first[run.id]]} again, expected another seed"
            )
        first[run.id] = i


def _scales(sheet: Sheet, scale: Scale | str | None) -> list[Scale | None]:
    """Parameters, active parameters and tokens of each line."""
    if not isinstance(scale, str):
        return [scale] * len(sheet.rows)
    sheet.require(scale)
    return [_scale(sheet, i, scale) for i in range(len(sheet.rows))]


def _scale(sheet: Sheet, i: int, column: str) -> Scale:
    cell = sheet.rows[i][column]
    try:
        parameters, active, tokens = (float(part) for part in cell.replace(";", ",").split(","))
    except ValueError as error:
        raise DataError(
            f"{sheet.where(i)}: column {column!r} holds {cell!r}, expected "
            "parameters,active parameters,tokens"
        ) from error
    return parameters, active, tokens


def _json_mapping(path: Path) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict):
        raise DataError(f"{path}: expected a JSON mapping of metric names to numbers")
    return document
