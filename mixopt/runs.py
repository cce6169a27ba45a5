"""Run and the one table: append-only JSON lines, merged by id, so that no finished run can be lost.

A writer appends only to a file that it created in this process, and begins another one after a
failure: a torn line is always a file's last, and is skipped with a warning. Lines of one id merge
whatever their order and files: metrics beat an error, an error beats a plan; then the higher
attempt, then the later time; the metrics of finished lines unite by name.
"""

import errno
import json
import math
import os
import time as clock
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from mixopt.errors import DataError, nearest
from mixopt.files import digest, to_json, unwritable

SCHEMA = 1

CONFIRM = "confirm"
IMPORT = "import"
"""The origin of runs that `confirm` plans: judged on test text, never fitted."""

VERIFY = "verify"
"""The origin of picks that are trained because the law could not vouch for its own."""
SEARCH = "search:"
"""Origins of runs that a search chose by a law start so."""

CALIBRATION = "calibration"
"""The origin of runs that find a learning rate, and the key that tells them apart in a proxy."""
ROBUSTNESS = "robustness"
"""The origin of runs that repeat mixtures at another learning rate."""
LR_SCALE = "lr_scale"
"""The key in a proxy of a constant learning rate that is so many times the tuned one."""

Schedule = tuple[tuple[float, Mapping[str, float]], ...]
"""(fraction of training, mixture) pairs; a mixture is a schedule of one."""


def held_phases(schedule: Schedule) -> Schedule:
    """The schedule with neighbouring phases of one mixture as one phase.

    >>> held_phases(((0.5, {"web": 1.0}), (0.3, {"web": 1.0}), (0.2, {"code": 1.0})))
    ((0.8, {'web': 1.0}), (0.2, {'code': 1.0}))
    """
    found: list[tuple[float, Mapping[str, float]]] = []
    for part, mixture in schedule:
        if found and found[-1][1] == mixture:
            part += found.pop()[0]
        found.append((part, mixture))
    return tuple(found)


def is_apart(origin: str) -> bool:
    """Whether runs of this origin answer a question of their own: no law is fitted on them."""
    return origin in (CONFIRM, CALIBRATION, ROBUSTNESS)


def is_searched(origin: str) -> bool:
    """Whether a law chose where a run of this origin stands: such runs are scored apart."""
    return origin == VERIFY or origin.startswith(SEARCH)


@dataclass(frozen=True)
class Run:
    """One training of one proxy.

    `schedule` or `controller`, `seed`, `proxy`, `data` and `parent` are its identity; the other
    fields say what came of it.
    """

    schedule: Schedule | None
    seed: int
    proxy: Mapping[str, Any] = field(default_factory=dict)
    """What changes training, from `proxy.toml`."""
    data: str = ""
    """Hash of the prepared data's manifest; empty where the data is the user's own business."""
    controller: Mapping[str, Any] | None = None
    parent: tuple[str, int] | None = None
    """(run id, step) that a branch or a warm start begins from."""
    name: str = ""
    mixture: Mapping[str, float] | None = None
    """Of a controlled run: its mean shares, written at the end."""
    origin: str = ""
    """The design or proposer that planned it, or the file it was imported from."""
    round: int = 0
    scale: tuple[float, float, float] | None = None
    """(non-embedding parameters, active ones, training tokens)."""
    seed_block: int = -1
    metrics: Mapping[str, float] = field(default_factory=dict)
    metrics_sd: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    """FLOPs, device seconds, device."""
    marks: tuple[str, ...] = ()
    """What a reader of the metrics should know, e.g. `pool_small:DOMAIN`."""
    attempt: int = 0
    error: str | None = None
    time: float = 0.0
    """Seconds since the epoch at which this line was written."""
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        """16 hex digits of what the run is, none of what came of it."""
        return digest(
            {
                "schedule": _rounded(self.schedule),
                "controller": self.controller,
                "seed": self.seed,
                "proxy": self.proxy,
                "data": self.data,
                "parent": self.parent,
            }
        )

    @property
    def status(self) -> str:
        """`finished`, `diverged`, `failed` or `planned`."""
        if self.metrics:
            return "finished"
        if self.error is None:
            return "planned"
        return "diverged" if self.error.startswith("diverged") else "failed"

    def line(self) -> str:
        """The run as one line of JSON, its id first."""
        values = {key: value for key, value in asdict(self).items() if not _is_empty(value)}
        return to_json({"id": self.id, **values})

    @classmethod
    def from_line(cls, text: str, where: str) -> Self:
        """Read one line; `where` (file and line) is for the error."""
        try:
            values = json.loads(text)
            named_id = values.pop("id")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(f"{where}: not a run: {error}") from error
        _check_fields(cls, values, where)
        try:
            run = cls(**_thawed(values))
            own_id = run.id
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{where}: not a run: {error}") from error
        if own_id != named_id:
            raise DataError(
                f"{where}: the line says it is run {named_id} but its content is run {own_id}: "
                "it was edited by hand or damaged, remove the line"
            )
        _check_numbers(run, where)
        return run


def merged(lines: Sequence[Run]) -> Run:
    """The lines of one id as one run; their order does not matter."""
    if len(lines) == 1:
        return lines[0]
    ranked = sorted(lines, key=_rank)
    metrics: dict[str, float] = {}
    spread: dict[str, float] = {}
    for line in ranked:
        metrics |= line.metrics
        kept = {name: sd for name, sd in spread.items() if name not in line.metrics}
        spread = kept | dict(line.metrics_sd)  # never another line's sd beside a line's metric
    winner = ranked[-1]
    told = _told_by_others(winner, ranked)
    return replace(winner, **told, metrics=metrics, metrics_sd=spread)


def read_runs(folder: Path) -> list[Run]:
    """All runs of an experiment's `runs/` folder, merged by id, in the order of their planning."""
    lines: dict[str, list[Run]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for run in _read_file(path):
            lines.setdefault(run.id, []).append(run)
    runs = [merged(same) for same in lines.values()]
    return sorted(runs, key=lambda run: (run.round, run.name, run.id))


class RunWriter:
    """Appends runs to a file of its own in `folder`; use it as a context.

    What `append` is given is one write, on the disk before it returns.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None

    def append(self, runs: Run | Iterable[Run]) -> None:
        """Write runs, stamped with the time: all of them, or none and DataError."""
        now = clock.time()
        lines = [
            replace(run, time=now).line() + "\n"
            for run in ([runs] if isinstance(runs, Run) else runs)
        ]
        if lines:
            self._write("".join(lines).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._create()
            start = os.lseek(self._file, 0, os.SEEK_CUR)
            if os.write(self._file, data) != len(data):
                os.ftruncate(self._file, start)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            self._close()  # its last line may be torn, so that nothing may follow it
            raise unwritable(self.folder, error) from error

    def _create(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp = clock.strftime("%Y%m%dT%H%M%S", clock.gmtime())
        path = self.folder / f"{stamp}-{uuid4().hex[:8]}.jsonl"
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _read_file(path: Path) -> Iterable[Run]:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        if number == len(lines) and not _is_json(line):
            if line:
                warnings.warn(f"{where}: a torn last line was skipped", stacklevel=3)
            return
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: not UTF-8 text: {error}") from error
        yield Run.from_line(text, where)


def _is_json(line: bytes) -> bool:
    """Whether a line without its end is whole nevertheless."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _check_fields(cls: type[Run], values: Mapping[str, Any], where: str) -> None:
    if values.get("schema", SCHEMA) > SCHEMA:
        raise DataError(
            f"{where}: written by a newer mixopt (schema {values['schema']}, "
            f"this one reads {SCHEMA}): please upgrade"
        )
    known = [item.name for item in fields(cls)]
    for key in values:
        if key not in known:
            raise DataError(f"{where}: a run has no field {key!r}, {nearest(key, known)}")


def _rank(run: Run) -> tuple[int, int, float, str]:
    level = {"planned": 0, "failed": 1, "diverged": 1, "finished": 2}[run.status]
    return level, run.attempt, run.time, run.line()


def _told_by_others(winner: Run, lines: Sequence[Run]) -> dict[str, Any]:
    """What other lines knew about the run and the winning one left out."""
    empty = {
        "name": "",
        "origin": "",
        "round": 0,
        "seed_block": -1,
        "scale": None,
        "mixture": None,
    }
    told = {}
    for key, nothing in empty.items():
        if getattr(winner, key) == nothing:
            known = [getattr(line, key) for line in lines if getattr(line, key) != nothing]
            told |= {key: known[-1]} if known else {}
    return told


def _rounded(schedule: Schedule | None) -> list[Any] | None:
    """A schedule up to the tenth decimal: what arithmetic may change is no part of an id."""
    if schedule is None:
        return None
    return [[round(float(fraction), 10), _shares(mixture)] for fraction, mixture in schedule]


def _shares(mixture: Mapping[str, float]) -> dict[str, float]:
    shares = {name: round(float(share), 10) for name, share in mixture.items()}
    return {name: share for name, share in shares.items() if share}


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, "", ())


def _thawed(values: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that a Run holds."""
    if values.get("schedule") is not None:
        values["schedule"] = tuple((fraction, mix) for fraction, mix in values["schedule"])
    else:
        values["schedule"] = None
    for key in ("parent", "scale", "marks"):
        if values.get(key) is not None:
            values[key] = tuple(values[key])
    return values


def _check_numbers(run: Run, where: str) -> None:
    """Metrics are finite numbers: a diverged run is an error, never a result."""
    for name, value in run.metrics.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{where}: metric {name!r} must be a finite number, got {value!r}")
