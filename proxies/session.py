"""Session: one group of runs on its way from checkpoints, or its beginning, to the table.

What is raised in training is put down to the group; a result goes to the table the moment it is
there, and only while the run's claim is held.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mixopt.arrays import packed
from mixopt.claims import Claim
from mixopt.errors import MixoptError
from mixopt.files import write_atomic
from mixopt.runs import CONFIRM, Run
from proxies.controlled import reference_of, write_trail
from proxies.curves import write_curve
from proxies.early import EarlyScores
from proxies.evaluate import Evaluation
from proxies.growing import Growing
from proxies.own_metrics import own_metrics
from proxies.router_health import RouterHealth
from proxies.scorer import Told
from proxies.trainer import Member, Trainer

if TYPE_CHECKING:
    from proxies.worker import Worker

_REPORT_SECONDS = 1.0


class Task(NamedTuple):
    """A run and the right to train it."""

    run: Run
    claim: Claim


class TrainingFailed(Exception):
    """A run could not be trained, whatever the reason: its fault, and no other run's."""


class Session:
    """One group on its way from its checkpoint, or its beginning, to the table."""

    def __init__(self, worker: Worker, tasks: Sequence[Task]) -> None:
        self.worker = worker
        self.tasks = tasks
        self.config = worker.study.config(tasks[0].run.proxy)
        self.began = time.time()
        with _blamed():
            self.group = self._group()
        self.early = EarlyScores(
            worker.job.folder / "curves", worker.study.early, self.config.steps
        )
        self.first_step = self._steps_done()

    def train(self) -> None:
        """Advance to the last step, then evaluate; when stopped, save and release."""
        saved, reported = time.monotonic(), float("-inf")
        while self.trainer.step < self.trainer.steps and self._in_work():
            if self.worker.must_stop():
                self._pause()
                return
            with _blamed():
                self.group.advance()
                self._score_early()
            now = time.monotonic()
            if now - reported >= _REPORT_SECONDS:
                self._report()
                reported = now
            if now - saved >= self.worker.job.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        if self._in_work():
            self._finish()

    @property
    def trainer(self) -> Trainer:
        """The present one: of trunks until runs part, then of the runs."""
        return self.group.trainer

    def _group(self) -> Growing:
        study = self.worker.study
        members = [
            Member(
                task.run.id,
                task.run.seed,
                study.controller(task.run),
                study.pools(task.run),
                reference_of(study, task.run),
            )
            for task in self.tasks
        ]
        device, restarts = self.worker.device, self.worker.restarts
        return Growing(self.config, study.data, study.names, members, device, restarts)

    def _steps_done(self) -> int:
        """Steps of a run that the group's work so far would have been: trunks are cheap ones."""
        return round(self.group.done * self.config.steps)

    def _in_work(self) -> bool:
        """Whether any run is still ours and not settled."""
        return any(task.claim.held() for task in self.tasks)

    def _report(self) -> None:
        """Progress to the supervisor, and diverged members to the table."""
        steps = {}
        done = self._steps_done()
        for index, alive in enumerate(self.group.alive):
            if alive:
                steps[self.tasks[index].run.id] = done
            else:
                self._diverge(index)
        self.worker.report(steps, self.first_step, self.began)

    def _score_early(self) -> None:
        step = self.trainer.step
        if self.early.due(step):
            scores = self.group.evaluate(self.worker.study.windows)
            for task, score in zip(self.tasks, scores, strict=True):
                if score is not None and task.claim.held():
                    self.early.note(task.run.id, step, score.metrics)

    def _save(self) -> None:
        self.group.save()
        for task in self.tasks:
            if task.claim.held():
                task.claim.saved()

    def _pause(self) -> None:
        if self.group.done_here > 0:
            self.group.save()
        for task in self.tasks:
            if task.claim.held():
                task.claim.release()

    def _finish(self) -> None:
        """Evaluate, and write every result that is a number."""
        if self.worker.metrics:  # not ours: if one fails, the next attempt begins here
            self._save()
        with _blamed():
            scores = self.trainer.evaluate("validation", self.worker.study.windows)
            tests: Sequence[Evaluation | None] = [None] * len(self.tasks)
            if any(task.run.origin == CONFIRM for task in self.tasks):
                tests = self.trainer.evaluate("test", self.worker.study.windows)
            told = self._own_metrics([score is not None for score in scores])
        losses = self.trainer.train_loss
        for index, task in enumerate(self.tasks):
            curve = self.worker.job.folder / "curves" / f"{task.run.id}.jsonl"
            write_curve(curve, losses[:, index], self.config.step_tokens)
            confirming = task.run.origin == CONFIRM
            found = [scores[index], tests[index]] if confirming else [scores[index]]
            own = Told(told[index].metrics, self.trainer.marks[index] + told[index].marks)
            self._settle(index, found, own)

    def _own_metrics(self, alive: Sequence[bool]) -> list[Told]:
        """Tasks and functions of the user's own, of members that gave numbers so far."""
        study, functions = self.worker.study, self.worker.metrics
        if not study.tasks and not functions:
            return [Told({}, ())] * len(alive)
        weights = self.trainer.averaged
        return own_metrics(weights, self.config, study.data, study.tasks, functions, alive)

    def _settle(self, index: int, found: Sequence[Evaluation | None], own: Told) -> None:
        task, trail = self.tasks[index], self.trainer.trail(index)
        known = [score for score in found if score is not None]
        if len(known) < len(found):
            self._diverge(index)
            return
        folder = self.worker.job.folder / "evaluations"
        names = self.worker.study.data.evaluation_names
        if task.run.origin == CONFIRM:
            windows = packed(_windows(known[-1], names))
            write_atomic(folder / f"{task.run.id}.npz", windows)
        if known[0].router is not None:
            router = packed(_router(known[0].router, names))
            write_atomic(folder / f"{task.run.id}.router.npz", router)
        metrics = {name: value for score in known for name, value in score.metrics.items()}
        metrics |= own.metrics | self.early.of(task.run.id)
        mixture = None if trail is None else write_trail(self.worker.study, task.run, trail)
        done = replace(
            task.run,
            metrics=metrics,
            error=None,
            cost=self._cost(index),
            mixture=mixture,
            scale=self.config.scale,
            marks=own.marks,
        )
        self.worker.settle(task, done)
        self.early.clear(task.run.id)

    def _diverge(self, index: int) -> None:
        task = self.tasks[index]
        steps = f"step {self.trainer.step} of {self.trainer.steps}"
        reason = f"diverged: its loss or gradient was not a finite number by {steps}"
        run = replace(task.run, error=reason, cost=self._cost(index), scale=self.config.scale)
        self.worker.settle(task, run)

    def _cost(self, index: int) -> dict[str, Any]:
        """FLOPs of the whole run, and device seconds of all of it at this attempt's speed.

        FLOPs are those of training - of a trunk the run's part - and of what the controller
        measured; the latter stand apart too.
        """
        evidence = self.group.evidence_flops(index)
        device = self.worker.device
        seconds = (time.time() - self.began) / len(self.tasks)
        part = max(self.group.done_here, 1.0 / self.trainer.steps)
        return {
            "flops": self.group.flops(index) + evidence,
            **({"evidence_flops": evidence} if evidence else {}),
            "device_seconds": round(seconds / part, 3),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        }


@contextmanager
def _blamed() -> Iterator[None]:
    """Whatever training raises is put down to the group, so that the other groups go on."""
    try:
        yield
    except MixoptError as error:
        raise TrainingFailed(str(error)) from error
    except Exception as error:
        message = (str(error) or "no message").splitlines()[0]
        raise TrainingFailed(f"{type(error).__name__}: {message}") from error


def _windows(score: Evaluation, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The sums of each test window, for paired intervals over documents."""
    return {
        "nats": score.nats,
        "bytes": score.bytes,
        "domain": score.domain,
        "document": score.document,
        "names": np.array(names),
    }


def _router(router: RouterHealth, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What each domain's tokens did to the experts: arrays by domain, layer and expert."""
    return {
        "counts": router.counts,
        "information": router.information,
        "effective": router.effective,
        "own": router.own,
        "names": np.array(names),
    }
