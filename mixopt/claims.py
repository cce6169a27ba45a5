"""Who trains what: a worker claims a run by creating a file that only one process can create.

The files of run ID are `ID.1`, `ID.2`, ...: the highest number is the present owner, and its
number is the attempt. A live owner touches its file; when it falls silent, or its process on this
machine is gone, the next number is free to create. Creation is exclusive, so two workers that
notice the same silence cannot both take the run over. The first line of a file names its owner,
the following ones say what came of the attempt: `saved` (a checkpoint), `released` or `failed`.

Machines that share a folder need clocks that agree within the seconds of silence.
"""

import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mixopt.files import unwritable


@dataclass(frozen=True)
class Claim:
    """The right to train one run, until released, failed or silent for too long."""

    path: Path
    run_id: str
    attempt: int

    def touch(self) -> None:
        """Say that the owner is alive."""
        with contextlib.suppress(FileNotFoundError):  # somebody emptied the folder: not held
            os.utime(self.path)

    def held(self) -> bool:
        """Whether the claim stands: not ended, and nobody has taken the run over."""
        taken_over = self.path.with_suffix(f".{self.attempt + 1}").exists()
        return not taken_over and not _has_ended(_lines(self.path))

    def saved(self) -> None:
        """Note that a checkpoint was written: if the owner dies now, it did not die in vain."""
        self._note("saved")

    def release(self) -> None:
        """Let any worker take the run over at once."""
        self._note("released")

    def fail(self) -> None:
        """Let any worker take the run over at once, and count this attempt as a failure."""
        self._note("failed")

    def _note(self, word: str) -> None:
        try:
            with self.path.open("a") as file:
                file.write(word + "\n")
        except OSError as error:
            raise unwritable(self.path, error) from error


class Claims:
    """The `claims/` folder of an experiment; `stale_seconds` of silence free a claim."""

    def __init__(self, folder: Path, stale_seconds: float = 120.0) -> None:
        self.folder = folder
        self.stale_seconds = stale_seconds

    def take(self, run_id: str) -> Claim | None:
        """Claim a run; None when another live worker has it.

        Raises DataError when the folder cannot be written.
        """
        attempt = self.attempts(run_id) + 1
        if attempt > 1 and self._is_live(self._path(run_id, attempt - 1)):
            return None
        path = self._path(run_id, attempt)
        file = self._create(path)
        if file is None:
            return None
        try:
            with file:
                file.write(json.dumps({"machine": _machine(), "pid": os.getpid()}) + "\n")
        except OSError as error:
            path.unlink()  # a claim without an owner would block the run
            raise unwritable(path, error) from error
        return Claim(path, run_id, attempt)

    def is_free(self, run_id: str) -> bool:
        """Whether `take` would succeed now."""
        attempt = self.attempts(run_id)
        return not attempt or not self._is_live(self._path(run_id, attempt))

    def attempts(self, run_id: str) -> int:
        """How often the run was begun."""
        attempt = 0
        while self._path(run_id, attempt + 1).exists():
            attempt += 1
        return attempt

    def failures(self, run_id: str) -> int:
        """How many attempts, up to the last one, failed or died in a row without a checkpoint."""
        count = 0
        for attempt in range(self.attempts(run_id), 0, -1):
            path = self._path(run_id, attempt)
            if self._is_live(path):
                continue
            notes = _lines(path)[1:]
            if "failed" not in notes and ("saved" in notes or "released" in notes):
                break
            count += 1
        return count

    def _create(self, path: Path) -> TextIO | None:
        """A file that was not there before; None when another worker was faster."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return path.open("x")
        except FileExistsError as error:
            if not self.folder.is_dir():
                raise unwritable(path, error) from error
            return None
        except OSError as error:
            raise unwritable(path, error) from error

    def _path(self, run_id: str, attempt: int) -> Path:
        return self.folder / f"{run_id}.{attempt}"

    def _is_live(self, path: Path) -> bool:
        lines = _lines(path)
        if _has_ended(lines):
            return False
        try:
            silent = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return False
        return silent <= self.stale_seconds and _may_exist(lines[0] if lines else "")


def _lines(path: Path) -> list[str]:
    """The lines of a claim; none where it is gone."""
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return ["", "released"]


def _has_ended(lines: list[str]) -> bool:
    return lines[-1:] in (["released"], ["failed"])


def _may_exist(owner: str) -> bool:
    """Whether the owner's process may still run: surely not if it was here and is gone."""
    try:
        values = json.loads(owner)
    except ValueError:
        return True  # it was read while it was written
    return values["machine"] != _machine() or _process_exists(values["pid"])


def _machine() -> str:
    """Where a process number means something: the host since it started, and the container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux only
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
