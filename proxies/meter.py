"""Meter: how far the planned runs are, by FLOPs, from the table and the workers' status files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mixopt.errors import DataError
from mixopt.files import read_json
from mixopt.runs import CONFIRM, Run
from proxies.study import Study

_ENDED = ("finished", "diverged")
_TELLING = 0.03
"""What must be done of the rest before its speed tells how long the remainder takes."""


@dataclass(frozen=True)
class Progress:
    """How far the runs that were asked for are, finished ones included."""

    flops_done: float
    """Training and evaluation; a run in work counts in part."""
    flops_total: float
    tokens_done: float
    tokens_total: float
    runs: int
    finished: int
    """Runs that came to an end, diverged ones included."""
    seconds: float
    """Since this call began."""
    seconds_left: float | None
    """At the speed of this call; None before there is one."""


class _Size(NamedTuple):
    """The work of one run."""

    tokens: float
    training: float
    evaluation: float
    steps: int


class _Status(NamedTuple):
    """What a worker says of one run."""

    step: int
    first_step: int
    """Where it was when the worker took it up."""
    began: float
    """When that was, in seconds since the epoch."""


class Meter:
    """Remembers when it began, and how much of each run had been trained before."""

    def __init__(self, study: Study, runs: Mapping[str, Run]) -> None:
        self._study = study
        self._began = time.time()
        self._sizes = {run.id: self._size(run) for run in runs.values() if self._is_ours(run)}
        self._before = {run_id: 1.0 for run_id in self._sizes if runs[run_id].status in _ENDED}
        """Share of a run's training that was done before this call; 0 where it is not named."""
        self._working: dict[str, _Status] = {}
        self._moving = float("inf")
        """When the first worker began to train."""

    @property
    def seconds(self) -> float:
        """Since the meter began."""
        return time.time() - self._began

    def read(self, runs: Mapping[str, Run]) -> Progress:
        """Progress, from the table as it now is."""
        self._note_starts()
        parts = {run_id: self._part(runs[run_id]) for run_id in self._sizes}
        flops = {
            run_id: part * size.training + (size.evaluation if runs[run_id].status in _ENDED else 0)
            for (run_id, size), part in zip(self._sizes.items(), parts.values(), strict=True)
        }
        sizes = self._sizes.values()
        total = sum(size.training + size.evaluation for size in sizes)
        done = sum(flops.values())
        return Progress(
            flops_done=done,
            flops_total=total,
            tokens_done=sum(parts[run_id] * size.tokens for run_id, size in self._sizes.items()),
            tokens_total=sum(size.tokens for size in sizes),
            runs=len(sizes),
            finished=sum(runs[run_id].status in _ENDED for run_id in self._sizes),
            seconds=self.seconds,
            seconds_left=self._left(done - self._flops_before(), total - done),
        )

    def trained_tokens(self, runs: Mapping[str, Run]) -> float:
        """Training tokens of this call, of runs that came to an end."""
        return sum(
            (1.0 - self._before.get(run_id, 0.0)) * size.tokens
            for run_id, size in self._sizes.items()
            if runs[run_id].status in _ENDED
        )

    def _is_ours(self, run: Run) -> bool:
        trained_here = run.schedule is not None or run.controller is not None
        return bool(run.proxy) and trained_here and run.data == self._study.data.hash

    def _size(self, run: Run) -> _Size:
        config = self._study.config(run.proxy)
        splits = (2 if run.origin == CONFIRM else 1) + len(self._study.early)
        evaluation = splits * self._study.evaluation_flops(config)
        return _Size(config.scale[2], config.flops, evaluation, config.steps)

    def _part(self, run: Run) -> float:
        """The share of a run's training that is done."""
        if run.status in _ENDED:
            return 1.0
        status = self._working.get(run.id)
        return 0.0 if status is None else status.step / self._sizes[run.id].steps

    def _note_starts(self) -> None:
        """Read what the workers say, and remember what was done before they began."""
        self._working = _working(self._study)
        for run_id, status in self._working.items():
            if run_id in self._sizes and status.began >= self._began:
                self._moving = min(self._moving, status.began)
                self._before.setdefault(run_id, status.first_step / self._sizes[run_id].steps)

    def _flops_before(self) -> float:
        return sum(
            part * self._sizes[run_id].training
            + (self._sizes[run_id].evaluation if part == 1 else 0)
            for run_id, part in self._before.items()
        )

    def _left(self, gained: float, left: float) -> float | None:
        now = time.time()
        if now <= self._moving or gained < _TELLING * left:
            return None
        return left * (now - self._moving) / gained


def _working(study: Study) -> dict[str, _Status]:
    """What the workers of all trainers on this folder say of their runs."""
    found: dict[str, _Status] = {}
    for path in (study.folder / "claims").glob("worker-*.json"):
        try:
            values = read_json(path)
        except DataError:
            continue  # its worker has just ended
        for run_id, step in values["steps"].items():
            found[run_id] = _Status(step, values["first_step"], values["began"])
    return found
