"""Work that is done once: each result is a file named by the hash of all it depends on.

So an interrupted command finds what was finished, whatever stopped it, and what was changed since
has other names. Jobs run in processes of one thread each; a result never depends on how many there
are, or on who finishes first.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from hashlib import blake2b
from io import BytesIO
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.arrays import packed
from mixopt.errors import PausedError
from mixopt.files import digest, write_atomic
from proxies.sources import Meter, Progress

Arrays = Mapping[str, NDArray]

_VERSION = 1
"""Raised when results of the same jobs become others."""
WORTH = 4 << 20
"""Bytes that keep a process busy for longer than it takes to start."""
_AHEAD = 2
"""Jobs a process that are handed out at once."""


class Job(NamedTuple):
    """A function that gives arrays, and its arguments."""

    function: Callable[..., Arrays]
    arguments: tuple[Any, ...]
    depends: Any
    """All that the result depends on, as JSON."""
    size: int
    """Bytes, for the progress."""


class Workshop:
    """A folder of results, and the processes that make them; without any, this one does it."""

    def __init__(self, folder: Path, workers: int, report: Progress) -> None:
        self.folder = folder
        self._workers = workers
        self._report = report
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def run(self, stage: str, groups: Sequence[Sequence[Job]]) -> list[Iterator[Arrays]]:
        """The results of each group of jobs in their order, all made before the first is given.

        Raises what a job raises, and PausedError where a process has died.
        """
        paths = [[self._path(stage, job) for job in jobs] for jobs in groups]
        wanted = {path: job for own, jobs in zip(paths, groups) for path, job in zip(own, jobs)}
        missing = {path: job for path, job in wanted.items() if not path.exists()}
        (self.folder / stage).mkdir(parents=True, exist_ok=True)
        left = sum(job.size for job in missing.values())
        meter = Meter(self._report, stage, max(1, sum(job.size for job in wanted.values())))
        meter.advance(meter.total - left)
        if min(self._workers, left // WORTH) <= 1 and self._executor is None:
            for path, job in missing.items():
                _perform(job.function, job.arguments, path)
                meter.advance(job.size)
        else:
            self._share_out(missing, meter)
        return [map(_read, own) for own in paths]

    def keep(self, name: str, array: NDArray) -> Path:
        """Write an array under a name that has its hash in it; jobs may read it."""
        path = self.folder / f"{name}-{name_of(array)}.npy"
        buffer = BytesIO()
        np.save(buffer, array)
        write_atomic(path, buffer.getvalue())
        return path

    def _share_out(self, jobs: Mapping[Path, Job], meter: Meter) -> None:
        """Hand jobs to processes, a few at a time, until all are done."""
        waiting = iter(jobs.items())
        running: dict[Future[None], int] = {}
        try:
            while True:
                while len(running) < _AHEAD * self._workers:
                    path, job = next(waiting, (None, None))
                    if path is None or job is None:
                        break
                    future = self._pool().submit(_perform, job.function, job.arguments, path)
                    running[future] = job.size
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    meter.advance(running.pop(future))
        except BrokenProcessPool as error:
            raise PausedError(
                "a process of `prepare` has died, for want of memory perhaps: run the same command "
                "again, it goes on from here"
            ) from error

    def _pool(self) -> Executor:
        if self._executor is None:
            context = get_context("spawn")
            self._executor = ProcessPoolExecutor(self._workers, context, initializer=_be_one_thread)
        return self._executor

    def _path(self, stage: str, job: Job) -> Path:
        name = digest([_VERSION, job.function.__name__, job.depends])
        return self.folder / stage / f"{name}.npz"


def name_of(array: NDArray) -> str:
    """16 hex digits that name the content of an array."""
    return blake2b(array.tobytes(), digest_size=8).hexdigest()


def _perform(function: Callable[..., Arrays], arguments: tuple[Any, ...], path: Path) -> None:
    """Do a job and write its result, unless nobody waits for it any more."""
    asker = parent_process()
    if asker is not None and not asker.is_alive():
        return
    content = packed(function(*arguments))
    if path.parent.is_dir():  # else another process has finished the whole meanwhile
        write_atomic(path, content)


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _be_one_thread() -> None:
    """In a new process: one thread for the work, and Ctrl-C is the parent's business.

    One thread of the tokenizer's pool is a quarter faster than its way to do without a pool.
    """
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
