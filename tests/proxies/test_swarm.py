"""train: every planned run exactly once, in real processes that are paused, killed and doubled."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

import proxies
from mixopt.claims import Claims
from mixopt.errors import ConfigError, DataError, PausedError
from mixopt.runs import Run, RunWriter, read_runs
from proxies.jobs import TRIES

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
TOKENS = 10_000


def results(folder):
    return {run.name: (run.status, run.metrics) for run in read_runs(folder / "runs")}


def finished_lines(folder):
    lines = [line for path in (folder / "runs").iterdir() for line in path.read_text().splitlines()]
    return [values["name"] for line in lines if (values := json.loads(line)).get("metrics")]


def workers_at(folder):
    """The process numbers of workers that have reported progress."""
    return [int(path.stem.rpartition("-")[2]) for path in (folder / "claims").glob("worker-*.json")]


def checkpoints(folder):
    return list((folder / "checkpoints").rglob("*.safetensors"))


def test_paused_killed_and_resumed_gives_the_table_of_an_undisturbed_run(make_study):
    plain = make_study(SHARES, tokens=TOKENS, confirm=2, name="plain")
    seen = []
    summary = proxies.train(plain, workers=1, progress=seen.append)
    assert (summary.finished, summary.failed, summary.diverged, summary.left) == (5, 0, 0, 0)
    assert summary.tokens_per_second * summary.seconds == pytest.approx(5 * 10_048)
    done = [now.flops_done for now in seen]
    assert done == sorted(done)
    assert seen[-1].flops_done == pytest.approx(seen[-1].flops_total)
    assert seen[-1].tokens_done == seen[-1].tokens_total == 5 * 10_048
    assert seen[-1].seconds_left == pytest.approx(0.0, abs=1e-6)
    assert proxies.train(plain, workers=1).finished == 0  # no second time

    study = make_study(SHARES, tokens=TOKENS, confirm=2)

    def pause(now):
        if checkpoints(study):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(PausedError, match="5 of 5 runs left"):
        proxies.train(study, workers=1, progress=pause, checkpoint_seconds=0.0)
    assert len(checkpoints(study)) == 5
    killed = []

    def kill_once(now):
        for worker in workers_at(study) if not killed else ():
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)

    summary = proxies.train(study, workers=1, progress=kill_once, checkpoint_seconds=0.0)
    assert killed
    assert summary.finished == 5
    assert results(study) == results(plain)  # bitwise: the groups were the same
    assert sorted(finished_lines(study)) == [f"{k:04d}" for k in range(5)]
    assert not checkpoints(study)


def test_two_trainers_on_one_folder_train_every_run_once(make_study):
    study = make_study(SHARES, tokens=TOKENS)
    script = "import sys, proxies; print(proxies.train(sys.argv[1], workers=1, max_swarm=1).left)"
    trainers = [
        subprocess.Popen(
            [sys.executable, "-c", script, study], stdout=subprocess.PIPE, cwd=os.getcwd()
        )
        for _ in range(2)
    ]
    assert [int(trainer.communicate(timeout=120)[0]) for trainer in trainers] == [0, 0]
    assert sorted(finished_lines(study)) == [f"{k:04d}" for k in range(5)]
    runs = read_runs(study / "runs")
    assert {run.attempt for run in runs} == {1}


def test_a_run_whose_workers_die_again_and_again_is_given_up(make_study):
    study = make_study((0.5,), tokens=10**6)

    def kill(now):
        for worker in workers_at(study):
            os.kill(worker, signal.SIGKILL)

    summary = proxies.train(study, workers=1, progress=kill)
    assert (summary.failed, summary.finished) == (1, 0)
    (run,) = read_runs(study / "runs")
    assert run.error == f"its worker died {TRIES} times, the last time by signal 9"
    assert Claims(study / "claims").failures(run.id) > TRIES - 1


def test_only_some_runs_and_from_another_thread(make_study):
    study = make_study((0.2, 0.8), tokens=512)
    wanted = read_runs(study / "runs")[1]
    got = []
    thread = threading.Thread(
        target=lambda: got.append(proxies.train(study, only=[wanted.id], workers=1))
    )
    thread.start()
    thread.join()
    assert got[0].finished == 1
    assert finished_lines(study) == [wanted.name]


def test_what_cannot_be_trained_is_said_before_anything_starts(make_study):
    study = make_study((0.5,))
    (run,) = read_runs(study / "runs")
    with pytest.raises(DataError, match="no planned run has the id"):
        proxies.train(study, only=["nothing"])
    for change, error, message in [
        ({"data": "other"}, DataError, "was planned for the corpus other"),
        ({"proxy": {}}, DataError, "record its metrics instead"),
        ({"proxy": {**run.proxy, "preset": "huge"}}, ConfigError, "no preset is called"),
    ]:
        other = make_study((), name=next(iter(change)) + message[:6])
        with RunWriter(other / "runs") as writer:
            writer.append(Run(**{**vars(run), **change}))
        with pytest.raises(error, match=message):
            proxies.train(other)
        assert not (other / "claims").exists()
