"""Tokens a second of this machine on one kind of proxy, measured with all workers side by side.

Each worker process trains a real group and notes the time of every step; only the time in which
all of them were at it counts, because cores share caches and memory. `python -m proxies.speed` is
one of these processes.
"""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from mixopt.errors import DataError, MixoptError
from proxies.groups import group_size
from proxies.jobs import devices, last_line, require_torch, start
from proxies.study import Study
from proxies.tune import known_group

_WARM_UP_STEPS = 5


def measure_speed(
    folder: str | Path,
    proxy: Mapping[str, Any],
    runs: int,
    *,
    workers: int | None = None,
    seconds: float = 3.0,
) -> float:
    """Training tokens a second of all workers together, in groups as `runs` runs would get them.

    `proxy` is a training identity; the corpus in `folder` must be prepared. Start-up, evaluation
    and checkpoints are not in it. Takes `seconds`, after the start of the workers.

    Raises ConfigError or DataError for a proxy that could not be trained on this corpus.
    """
    require_torch()
    study = Study.open(Path(folder))
    config = study.config(proxy)
    asked = devices(workers)
    size = group_size(max(runs, 1), len(asked), known_group(study.folder, config, asked))
    busy = asked[: max(1, -(-runs // size))]
    job = {"folder": str(folder), "proxy": dict(proxy), "members": size, "parent": os.getpid()}
    with ExitStack() as stack:
        errors = stack.enter_context(TemporaryFile("w+"))
        notes = [stack.enter_context(TemporaryFile("w+")) for _ in busy]
        workers_ = [
            start("proxies.speed", json.dumps({**job, "device": device}), stdout=out, stderr=errors)
            for device, out in zip(busy, notes, strict=True)
        ]
        stack.callback(_end, workers_)
        while any(len(_times(out)) < _WARM_UP_STEPS for out in notes):
            _check(workers_, errors)
            time.sleep(0.1)
        began = time.time()
        time.sleep(seconds)
        _check(workers_, errors)
        return _rate([_times(out) for out in notes], began) * size * config.step_tokens


def _rate(times: Sequence[Sequence[float]], began: float) -> float:
    """Steps a second of all workers since `began`; at least one step of each counts."""
    total = 0.0
    for own in times:
        counted = [moment for moment in own if moment >= began]
        if len(counted) < 2:
            counted = list(own[-2:])
        total += (len(counted) - 1) / (counted[-1] - counted[0])
    return total


def _times(notes: IO[str]) -> list[float]:
    """When the steps of a worker ended; a last line that is not whole is left out."""
    text = os.pread(notes.fileno(), 1 << 24, 0).decode()
    return [float(line) for line in text.split("\n")[:-1]]


def _check(workers: Sequence[Popen[str]], errors: IO[str]) -> None:
    """Raise what ended a worker."""
    for worker in workers:
        code = worker.poll()
        if code is not None:
            kind = DataError if code == DataError.exit_code else MixoptError
            raise kind(last_line(errors))


def _end(workers: Sequence[Popen[str]]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.wait()


def main() -> int:
    """Train the group that stands on stdin until killed; a line with the time after each step."""
    import torch

    from mixopt.online.static import Static
    from proxies.trainer import Member, Trainer

    job = json.loads(sys.stdin.read())
    torch.set_num_threads(1)
    try:
        study = Study.open(Path(job["folder"]))
        mixture = np.full(len(study.names), 1.0 / len(study.names))
        members = [
            Member(f"member{index}", index, Static(((1.0, mixture),)))
            for index in range(job["members"])
        ]
        config = study.config(job["proxy"])
        device = torch.device(job["device"])
        trainer = Trainer(config, study.data, study.names, members, device)
    except MixoptError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    while os.getppid() == job["parent"]:
        trainer.advance().sum().item()  # waits for the device
        sys.stdout.write(f"{time.time()}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
