"""Job: what a supervisor asks of a worker process, how it is started, and when a run is open.

A worker is one thread wide: on a CPU, threads within a step lose to processes.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self

import proxies
from mixopt.claims import Claims
from mixopt.errors import ConfigError, MissingExtraError
from mixopt.runs import Run

TRIES = 3
"""Attempts in a row that may fail, or die without a checkpoint, before a run is given up."""
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    # glibc keeps the memory of a step for the next one: paging it in anew took 3 to 8 % of a step
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
"""Variables that a worker is started with."""


@dataclass(frozen=True)
class Job:
    """What a worker is asked to do."""

    folder: Path
    groups: tuple[tuple[str, ...], ...]
    """Run ids that train side by side, in the order in which to try them."""
    device: str
    parent: int
    """The process that must live on."""
    checkpoint_seconds: float = 60.0

    def to_json(self) -> str:
        """The job as one JSON document."""
        return json.dumps({**asdict(self), "folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The reverse of `to_json`."""
        values = json.loads(text)
        groups = tuple(tuple(ids) for ids in values.pop("groups"))
        return cls(folder=Path(values.pop("folder")), groups=groups, **values)


def has_torch() -> bool:
    """Whether workers can be started; found out without torch, which takes seconds to load."""
    return find_spec("torch") is not None


def require_torch() -> None:
    """Raises MissingExtraError where no worker could be started."""
    if not has_torch():
        raise MissingExtraError("training proxies needs torch: pip install 'mixopt[proxies]'")


def is_open(run: Run, claims: Claims) -> bool:
    """Whether the run still has to be trained, and may be: planned or failed, not too often."""
    return run.status in ("planned", "failed") and claims.failures(run.id) < TRIES


def status_file(folder: Path, pid: int) -> Path:
    """Where the worker of that process on this machine says how far its runs are."""
    return folder / "claims" / f"worker-{socket.gethostname()}-{pid}.json"


def devices(workers: int | None, only: Sequence[str] | None = None) -> list[str]:
    """The device of each worker: one a GPU, or one a core, or as many as asked for.

    `only`: numbers of the visible GPUs to use, or "cpu". torch is asked only where there is a
    driver, because asking takes seconds. Raises ConfigError for a device that is not here.
    """
    if only is not None and list(only) == ["cpu"]:
        return ["cpu"] * (workers or cores())
    cards = 0
    if shutil.which("nvidia-smi") is not None:
        import torch

        cards = torch.cuda.device_count()
    names = [str(index) for index in range(cards)]
    for name in only or ():
        if name not in names:
            known = ", ".join([*names, "cpu"])
            raise ConfigError(f"no device {name!r} is visible here: --devices may name {known}")
    if cards:
        used = names if only is None else list(dict.fromkeys(only))
        return [f"cuda:{used[index % len(used)]}" for index in range(workers or len(used))]
    return ["cpu"] * (workers or cores())


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start(
    module: str, stdin: str, *, stdout: IO[str] | int, stderr: IO[str] | int
) -> subprocess.Popen[str]:
    """Start `python -m module` with text on its stdin, out of reach of this terminal's Ctrl-C."""
    root = str(Path(proxies.__file__).parent.parent)  # found from any working directory
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(stdin + "\n")
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died already: its exit code tells
    return process


def last_line(errors: IO[str]) -> str:
    """What a process said last."""
    errors.seek(0)
    lines: Sequence[str] = errors.read().strip().splitlines()
    return lines[-1] if lines else "nothing"
