"""train: every planned run of a folder exactly once, by worker processes that may die at any time.

One worker a core, or one a GPU. The table, the claims and the checkpoints are the whole state, so
that training again is resuming, and two supervisors on one folder share the work.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType
from typing import IO, Any, NamedTuple, Protocol

from mixopt.claims import Claims
from mixopt.errors import DataError, MixoptError, PausedError, nearest
from mixopt.runs import Run, RunWriter
from proxies.groups import families, largest_group, plan_groups
from proxies.jobs import (
    TRIES,
    Job,
    devices,
    is_open,
    last_line,
    require_torch,
    start,
    status_file,
)
from proxies.memory import most_that_fit
from proxies.meter import Meter, Progress
from proxies.plugins import load_metric
from proxies.speed import measure_speed
from proxies.study import Study
from proxies.tune import proxies_in_flight

__all__ = ["HasFolder", "Progress", "Summary", "measure_speed", "train"]

_POLL_SECONDS = 0.25
_GRACE_SECONDS = 120.0
_FRUITLESS = 4


class HasFolder(Protocol):
    """An experiment, as far as training is concerned."""

    folder: Path


@dataclass(frozen=True)
class Summary:
    """What became of the runs that were not finished when the call began."""

    finished: int
    failed: int
    diverged: int
    left: int
    seconds: float
    tokens_per_second: float
    """Training tokens of all workers over the whole call, start-up and evaluation included."""

    def to_json(self) -> dict[str, Any]:
        """The summary for machines."""
        return asdict(self)


def train(
    experiment: HasFolder | str | Path,
    *,
    only: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    max_swarm: int | None = None,
    checkpoint_seconds: float = 60.0,
    on: Sequence[str] | None = None,
) -> Summary:
    """Train what is planned in a folder, each run once; returns when nothing is left to train.

    `only`: ids of runs; default all. `workers`: processes; default one a core, or one a GPU.
    `on`: numbers of the visible GPUs to use, or "cpu"; default all. `max_swarm`: at most that many
    proxies in one process; default by a short trial, which the folder remembers. Runs that failed
    before get new tries. Runs that another trainer is at are waited for, and taken over should it
    die.

    Raises DataError for runs that were not planned for this corpus, ConfigError for devices that
    are not here and for proxies that no worker has the memory for, PausedError when SIGINT or
    SIGTERM came (the same call goes on), MixoptError when a worker cannot work, as on a full disk.
    """
    require_torch()
    folder = Path(experiment) if isinstance(experiment, str | Path) else experiment.folder
    study = Study.open(folder)
    for name in study.metrics:
        load_metric(name)  # what cannot be measured is said before anything is trained
    scope = _scope(study, only)
    if not scope:
        return Summary(0, 0, 0, 0, 0.0, 0.0)
    watched = set(only) if only is not None else set(study.runs())
    places = devices(workers, on)
    supervisor = _Supervisor(study, scope, watched, places, max_swarm, checkpoint_seconds)
    with _signals(supervisor.pause):
        return supervisor.train(progress or _silent)


def _scope(study: Study, only: Sequence[str] | None) -> list[str]:
    """The ids of the runs to train, in the order of their planning."""
    runs = study.runs()
    for run_id in only or ():
        if run_id not in runs:
            raise DataError(f"no planned run has the id {run_id!r}, {nearest(run_id, runs)}")
    wanted = [
        run
        for run in runs.values()
        if run.status in ("planned", "failed") and (only is None or run.id in only)
    ]
    for run in wanted:
        study.check(run)
        study.config(run.proxy)
    return [run.id for run in wanted]


class _Process(NamedTuple):
    """A worker that was started."""

    popen: subprocess.Popen[str]
    errors: IO[str]


class _Supervisor:
    """Keeps workers at work until every run in `scope` has come to its end."""

    def __init__(
        self,
        study: Study,
        scope: Sequence[str],
        watched: Set[str],
        devices: Sequence[str],
        max_swarm: int | None,
        checkpoint_seconds: float,
    ) -> None:
        self._study = study
        self._scope = scope
        self._watched = watched
        self._claims = Claims(study.folder / "claims")
        self._workers: dict[int, _Process] = {}
        self._pauses = 0
        self._files: list[tuple[str, int]] | None = None
        self._runs: dict[str, Run] = {}
        self._last_death = "with its machine"
        self._attempts = -1
        self._fruitless = 0
        groups = self._groups(devices, max_swarm)
        self._jobs = [
            # each worker begins at another group, so that they do not meet at one
            Job(study.folder, (*groups[k:], *groups[:k]), device, os.getpid(), checkpoint_seconds)
            for k, device in enumerate(devices[: len(groups)])
        ]

    def pause(self) -> None:
        """Let the workers save and end; asked twice, do not wait for them."""
        self._pauses += 1

    def train(self, progress: Callable[[Progress], None]) -> Summary:
        """Start workers, replace the dead, until nothing is left."""
        table = self._table()
        meter = Meter(self._study, {run_id: table[run_id] for run_id in self._watched})
        self._forgive()
        try:
            while not self._pauses and (waiting := self._waiting()):
                began = time.monotonic()
                self._bury()
                self._start(waiting)
                progress(meter.read(self._table()))
                time.sleep(max(_POLL_SECONDS, 20.0 * (time.monotonic() - began)))
        finally:
            self._end()
        self._give_up()
        progress(meter.read(self._table()))
        summary = self._summary(meter)
        if self._pauses and summary.left:
            raise PausedError(
                f"paused with {summary.left} of {len(self._scope)} runs left: "
                "the same command goes on from the checkpoints"
            )
        return summary

    def _table(self) -> Mapping[str, Run]:
        """The table, read again when its files have changed."""
        paths = sorted((self._study.folder / "runs").glob("*.jsonl"))
        files = [(path.name, path.stat().st_size) for path in paths]
        if files != self._files:
            self._files, self._runs = files, self._study.runs()
        return self._runs

    def _groups(self, devices: Sequence[str], max_swarm: int | None) -> list[tuple[str, ...]]:
        """Runs of one proxy, begun ones apart from others, those with the most work first."""
        runs = self._table()
        kinds: dict[tuple[str, bool], list[str]] = {}
        largest: dict[tuple[str, bool], int] = {}
        for run_id in families([runs[run_id] for run_id in self._scope]):
            config = self._study.config(runs[run_id].proxy)
            kind = (config.digest(), self._is_begun(run_id))
            kinds.setdefault(kind, []).append(run_id)
            largest[kind] = most_that_fit(config, devices)
        for kind, ids in kinds.items():
            config = self._study.config(runs[ids[0]].proxy)
            if max_swarm is None:
                most, folder = largest[kind], self._study.folder
                largest[kind] = proxies_in_flight(folder, config, len(ids), devices, most)
            else:
                largest[kind] = min(max_swarm, largest[kind], largest_group(config, devices[0]))
        groups = plan_groups(kinds, largest, len(devices))
        flops = {
            ids: sum(self._study.config(runs[run_id].proxy).flops for run_id in ids)
            for ids in groups
        }
        return sorted(groups, key=lambda ids: -flops[ids])

    def _is_begun(self, run_id: str) -> bool:
        """Whether it has a checkpoint (known without torch, which takes seconds to load)."""
        return any((self._study.folder / "checkpoints").glob(f"*/{run_id}.safetensors"))

    def _waiting(self) -> list[str]:
        """Runs that have not come to an end."""
        runs = self._table()
        return [run_id for run_id in self._scope if is_open(runs[run_id], self._claims)]

    def _forgive(self) -> None:
        """A person asks again: failures of earlier calls count no more."""
        for run_id in self._scope:
            if self._claims.failures(run_id) and (claim := self._claims.take(run_id)):
                claim.release()

    def _start(self, waiting: Sequence[str]) -> None:
        """Start the workers that are missing, if there is work that nobody has claimed."""
        missing = [index for index in range(len(self._jobs)) if index not in self._workers]
        if not missing or not any(self._claims.is_free(run_id) for run_id in waiting):
            return
        for index in missing:
            errors = TemporaryFile("w+")  # closed when its worker is buried
            job = self._jobs[index].to_json()
            popen = start("proxies.worker", job, stdout=subprocess.DEVNULL, stderr=errors)
            self._workers[index] = _Process(popen, errors)

    def _bury(self) -> None:
        """Note which workers have ended, and why; MixoptError where new ones would end as they."""
        for index, (popen, errors) in list(self._workers.items()):
            code = popen.poll()
            if code is None:
                continue
            del self._workers[index]
            status_file(self._study.folder, popen.pid).unlink(missing_ok=True)
            words = last_line(errors)
            errors.close()
            if code == 1:
                raise MixoptError(words)
            if code < 0:
                self._last_death = f"by signal {-code}"
            self._count_fruitless(f"exit code {code}, its last words: {words}")

    def _count_fruitless(self, end: str) -> None:
        attempts = sum(self._claims.attempts(run_id) for run_id in self._scope)
        self._fruitless = self._fruitless + 1 if attempts == self._attempts else 0
        self._attempts = attempts
        if self._fruitless >= _FRUITLESS + len(self._jobs):
            raise MixoptError(f"workers end before they train anything ({end})")

    def _end(self) -> None:
        """Ask every worker to save and end, and wait for it; kill what does not."""
        for popen, _ in self._workers.values():
            popen.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for popen, errors in self._workers.values():
            while popen.poll() is None:
                if self._pauses > 1 or time.monotonic() > deadline:
                    popen.kill()
                time.sleep(0.02)
            status_file(self._study.folder, popen.pid).unlink(missing_ok=True)
            errors.close()
        self._workers.clear()

    def _give_up(self) -> None:
        """Say in the table why runs whose workers died silently, again and again, have failed."""
        runs = self._table()
        with RunWriter(self._study.folder / "runs") as writer:
            for run_id in self._scope:
                run = runs[run_id]
                if run.status != "planned" or is_open(run, self._claims):
                    continue
                if claim := self._claims.take(run_id):
                    reason = f"its worker died {TRIES} times, the last time {self._last_death}"
                    writer.append(replace(run, error=reason, attempt=claim.attempt))
                    claim.fail()

    def _summary(self, meter: Meter) -> Summary:
        runs = self._table()
        states = [runs[run_id].status for run_id in self._scope]
        seconds = meter.seconds
        return Summary(
            finished=states.count("finished"),
            failed=states.count("failed"),
            diverged=states.count("diverged"),
            left=states.count("planned"),
            seconds=seconds,
            tokens_per_second=meter.trained_tokens(runs) / seconds,
        )


@contextmanager
def _signals(pause: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM pause the training; outside the main thread they are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        pause()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _silent(progress: Progress) -> None:
    pass
