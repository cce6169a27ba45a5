"""One worker: claims a group of runs, trains it, writes what came of it, until nothing is left.

`python -m proxies.worker` reads its job as JSON from stdin. SIGTERM and SIGINT make it save a
checkpoint and exit with 75; so does the end of the process that started it. A result goes to the
table the moment it is there, and only while the run's claim is held; its checkpoint goes after.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mixopt.claims import Claim, Claims
from mixopt.errors import MixoptError, PausedError
from mixopt.files import write_atomic, write_json
from mixopt.runs import CONFIRM, Run, RunWriter
from proxies.controlled import reference_of, write_trail
from proxies.curves import write_curve
from proxies.early import EarlyScores
from proxies.evaluate import Evaluation
from proxies.growing import Growing
from proxies.jobs import TRIES, Job, is_open, status_file
from proxies.own_metrics import own_metrics
from proxies.plugins import load_metric
from proxies.restarts import Restarts
from proxies.router_health import RouterHealth
from proxies.scorer import Told
from proxies.study import Study
from proxies.trainer import Member, Trainer

_HEARTBEAT_SECONDS = 20.0
_REPORT_SECONDS = 1.0


class Task(NamedTuple):
    """A run and the right to train it."""

    run: Run
    claim: Claim


class TrainingFailed(Exception):
    """A run could not be trained, whatever the reason: its fault, and no other run's."""


class Worker:
    """Works on a job; `stop` is what its signals call."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.study = Study.open(job.folder)
        self.claims = Claims(job.folder / "claims")
        self.metrics = [load_metric(name) for name in self.study.metrics]
        self.restarts = Restarts(job.folder / "checkpoints")
        self.writer = RunWriter(job.folder / "runs")
        self.device = torch.device(job.device)
        self._status = status_file(job.folder, os.getpid())
        self._stopped = False

    def stop(self) -> None:
        """Come to an end at the next step."""
        self._stopped = True

    def run(self) -> int:
        """Train until no run is free. Returns 0, or 75 when stopped before."""
        with self.writer:
            try:
                while not self.must_stop():
                    tasks = self._next()
                    if not tasks:
                        return 0
                    self._train(tasks)
                return PausedError.exit_code
            finally:
                self._status.unlink(missing_ok=True)

    def must_stop(self) -> bool:
        """Whether to save and end: asked to, or nobody is there any more who asked for the work."""
        return self._stopped or os.getppid() != self.job.parent

    def _next(self) -> list[Task]:
        """Claim the next group of which a member is free; nothing when none is."""
        for ids in self._offers():
            tasks = self._claim(self.restarts.alike(ids)[0])
            if tasks:
                return tasks
        return []

    def _offers(self) -> list[list[str]]:
        """Whole groups first, then the rest of groups that others are at, then suspects alone."""
        runs = self.study.runs()
        whole, parts, suspects = [], [], []
        for group in self.job.groups:
            wanted = [run_id for run_id in group if is_open(runs[run_id], self.claims)]
            free = [run_id for run_id in wanted if self.claims.is_free(run_id)]
            alone = [run_id for run_id in free if self._is_suspect(runs[run_id])]
            together = [run_id for run_id in free if run_id not in alone]
            suspects += [[run_id] for run_id in alone]
            (whole if len(free) == len(wanted) else parts).append(together)
        return [ids for ids in whole + parts + suspects if ids]

    def _is_suspect(self, run: Run) -> bool:
        """Whether it may have brought its group down: that shows when it trains alone."""
        return run.status == "failed" or self.claims.failures(run.id) == TRIES - 1

    def _claim(self, ids: Sequence[str]) -> list[Task]:
        """Claim these runs, or none of them when another worker was first at the first."""
        first = self.claims.take(ids[0])
        if first is None:
            return []
        others = (self.claims.take(run_id) for run_id in ids[1:])
        taken = [first, *(claim for claim in others if claim is not None)]
        runs = self.study.runs()  # read after claiming: one may have been finished meanwhile
        tasks = []
        for claim in taken:
            run = runs[claim.run_id]
            if run.status in ("planned", "failed"):
                tasks.append(Task(run, claim))
            else:
                claim.release()
        return tasks

    def _train(self, tasks: Sequence[Task]) -> None:
        """Train one group to its end, or until stopped; a failure of it goes to the table."""
        try:
            with _heartbeat([task.claim for task in tasks]):
                _Session(self, tasks).train()
        except TrainingFailed as error:
            for task in tasks:
                if task.claim.held():
                    self.fail(task, str(error))

    def settle(self, task: Task, run: Run) -> None:
        """Write what came of a run, unless another worker has taken it over."""
        if not task.claim.held():
            return
        self.writer.append(replace(run, attempt=task.claim.attempt))
        self.restarts.clear(run.id)
        task.claim.release()

    def fail(self, task: Task, reason: str) -> None:
        """Write that a run could not be trained; its checkpoint stays for the next attempt."""
        self.writer.append(replace(task.run, error=reason, attempt=task.claim.attempt))
        task.claim.fail()

    def report(self, steps: Mapping[str, int], first_step: int, began: float) -> None:
        """Say how far the runs in work are, and from which step and time (epoch) on."""
        status = {"steps": dict(steps), "first_step": first_step, "began": began}
        write_json(self._status, status)


class _Session:
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
            _write_windows(folder / f"{task.run.id}.npz", known[-1], names)
        if known[0].router is not None:
            _write_router(folder / f"{task.run.id}.router.npz", known[0].router, names)
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


@contextmanager
def _heartbeat(claims: Sequence[Claim]) -> Iterator[None]:
    """Touch claims from a thread: a long step or evaluation must not look like death."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_HEARTBEAT_SECONDS):
            for claim in claims:
                claim.touch()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _write_windows(path: Path, score: Evaluation, names: Sequence[str]) -> None:
    """The sums of each test window, for paired intervals over documents."""
    buffer = BytesIO()
    np.savez(
        buffer,
        nats=score.nats,
        bytes=score.bytes,
        domain=score.domain,
        document=score.document,
        names=np.array(names),
    )
    write_atomic(path, buffer.getvalue())


def _write_router(path: Path, router: RouterHealth, names: Sequence[str]) -> None:
    """What each domain's tokens did to the experts: arrays by domain, layer and expert."""
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        counts=router.counts,
        information=router.information,
        effective=router.effective,
        own=router.own,
        names=np.array(names),
    )
    write_atomic(path, buffer.getvalue())


def main() -> int:
    """Work on the job that stands on stdin; the exit code is the worker's."""
    job = Job.from_json(sys.stdin.read())
    torch.set_num_threads(1)
    try:
        worker = Worker(job)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        return worker.run()
    except MixoptError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
