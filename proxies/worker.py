"""One worker: claims a group of runs, trains it, writes what came of it, until nothing is left.

`python -m proxies.worker` reads its job as JSON from stdin. SIGTERM and SIGINT make it save a
checkpoint and exit with 75; so does the end of the process that started it. A result goes to the
table the moment it is there, and only while the run's claim is held; its checkpoint goes after.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from mixopt.claims import Claim, Claims
from mixopt.errors import MixoptError, PausedError
from mixopt.files import write_json
from mixopt.runs import Run, RunWriter
from proxies.jobs import TRIES, Job, is_open, status_file
from proxies.plugins import load_metric
from proxies.restarts import Restarts
from proxies.session import Session, Task, TrainingFailed
from proxies.study import Study

_HEARTBEAT_SECONDS = 20.0


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
                Session(self, tasks).train()
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
