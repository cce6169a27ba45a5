"""Worker: a group becomes lines of the table, whatever happens to it or the worker on the way."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from mixopt.claims import Claims
from mixopt.online.static import Static
from mixopt.runs import CONFIRM, Run, RunWriter, read_runs
from proxies import checkpoint
from proxies.config import resolve
from proxies.jobs import TRIES, Job, start
from proxies.trainer import Member, Trainer
from proxies.worker import Worker


def ids_of(folder):
    return tuple(run.id for run in read_runs(folder / "runs"))


def work(folder, groups=None, stop_at=None):
    """Let one worker do all it can, or until a step; its exit code."""
    seconds = 60.0 if stop_at is None else 0.0
    job = Job(folder, groups or (ids_of(folder),), "cpu", os.getppid(), checkpoint_seconds=seconds)
    worker = Worker(job)
    if stop_at is not None:
        save = worker.restarts.save

        def save_and_stop(trainer):
            save(trainer)
            if trainer.step >= stop_at:
                worker.stop()

        worker.restarts.save = save_and_stop
    return worker.run()


def results(folder):
    return {run.name: run.metrics for run in read_runs(folder / "runs")}


def finished_lines(folder):
    lines = [line for path in (folder / "runs").iterdir() for line in path.read_text().splitlines()]
    return [values["id"] for line in lines if (values := json.loads(line)).get("metrics")]


def test_a_group_becomes_results_curves_and_nothing_else(make_study):
    folder = make_study(confirm=1)
    assert work(folder) == 0
    for run in read_runs(folder / "runs"):
        assert (run.status, run.attempt, run.scale[2]) == ("finished", 1, 4096.0)
        assert run.cost["flops"] > 0
        assert run.cost["device"] == "cpu"
        curve = (folder / "curves" / f"{run.id}.jsonl").read_text().splitlines()
        points = [json.loads(line) for line in curve]
        assert 10 <= len(points) <= 48
        assert points[-1]["tokens"] == 4096
        assert points[-1]["loss"] < points[0]["loss"]
        assert Claims(folder / "claims").is_free(run.id)
    assert not list((folder / "checkpoints").rglob("*.safetensors"))
    assert not list((folder / "claims").glob("worker-*"))
    assert work(folder) == 0  # nothing is trained twice
    assert sorted(finished_lines(folder)) == sorted(ids_of(folder))


def test_confirming_runs_are_judged_on_test_text_too_and_keep_their_windows(make_study):
    folder = make_study(confirm=1)
    work(folder)
    for run in read_runs(folder / "runs"):
        path = folder / "evaluations" / f"{run.id}.npz"
        assert path.exists() == (run.origin == CONFIRM)
        assert ("bpb@test/sea" in run.metrics) == (run.origin == CONFIRM)
        if path.exists():
            sums = np.load(path, allow_pickle=False)
            rows = sums["names"][sums["domain"]] == "sea"
            bits = sums["nats"][rows].sum() / np.log(2) / sums["bytes"][rows].sum()
            assert run.metrics["bpb@test/sea"] == pytest.approx(bits, rel=1e-12)
            assert len(sums["document"]) == len(sums["nats"])


def test_results_are_those_of_the_training_loop(make_study, toy_data):
    folder = make_study()
    work(folder)
    runs = read_runs(folder / "runs")
    members = [
        Member(run.id, run.seed, Static(((1.0, np.array(list(run.schedule[0][1].values()))),)))
        for run in runs
    ]
    config = resolve(runs[0].proxy, toy_data.vocabulary)
    trainer = Trainer(config, toy_data, ("sea", "web"), members, torch.device("cpu"))
    while trainer.step < trainer.steps:
        trainer.advance()
    for run, score in zip(runs, trainer.evaluate("validation", 4), strict=True):
        assert run.metrics == score.metrics


def test_stopped_anywhere_it_goes_on_as_if_nothing_had_been(make_study):
    folder, plain = make_study(), make_study(name="plain")
    work(plain)
    for step in (1, 20, 63):
        assert work(folder, stop_at=step) == 75
        assert len(list((folder / "checkpoints").rglob("*.safetensors"))) == 4
        assert all(Claims(folder / "claims").is_free(run_id) for run_id in ids_of(folder))
    assert work(folder) == 0
    assert results(folder) == results(plain)
    for run_id in ids_of(folder):
        assert len((folder / "curves" / f"{run_id}.jsonl").read_text().splitlines()) == 48


def test_a_diverged_member_gives_no_metrics_and_its_neighbours_do_not_notice(make_study):
    folder, plain = make_study(), make_study(name="plain")
    work(plain)
    work(folder, stop_at=10)
    victim = ids_of(folder)[2]
    slot = next((folder / "checkpoints").rglob(f"{victim}.safetensors")).parent
    tensors, state = checkpoint.read(slot, victim)
    tensors["weight/embedding"].fill_(float("nan"))
    checkpoint.write(slot, victim, tensors, state)
    assert work(folder) == 0
    wanted = results(plain)
    for run in read_runs(folder / "runs"):
        if run.id == victim:
            assert run.status == "diverged"
            assert "of 64" in run.error
        else:
            assert run.metrics == wanted[run.name]


def test_a_run_that_fails_is_found_alone_and_takes_nobody_with_it(make_study):
    folder = make_study()
    good = read_runs(folder / "runs")
    bad = Run(((1.0, {"lake": 1.0}),), 1, good[0].proxy, good[0].data, name="bad")
    with RunWriter(folder / "runs") as writer:
        writer.append(bad)
    assert work(folder) == 0
    states = {run.name: run.status for run in read_runs(folder / "runs")}
    assert states == {**{run.name: "finished" for run in good}, "bad": "failed"}
    (run,) = [run for run in read_runs(folder / "runs") if run.name == "bad"]
    assert "'lake'" in run.error
    assert run.attempt == TRIES
    assert work(folder) == 0  # not tried for ever
    assert Claims(folder / "claims").attempts(run.id) == TRIES


def test_a_worker_that_lost_its_claim_writes_nothing(make_study):
    folder = make_study((0.5,))
    (run_id,) = ids_of(folder)
    worker = Worker(Job(folder, ((run_id,),), "cpu", os.getppid()))
    (task,) = worker._next()
    os.utime(task.claim.path, (0, 0))  # silent for long
    other = Claims(folder / "claims").take(run_id)
    worker._train([task])
    assert finished_lines(folder) == []
    assert other.held()


def test_a_worker_without_its_supervisor_does_not_begin(make_study):
    folder = make_study((0.5,))
    assert Worker(Job(folder, (ids_of(folder),), "cpu", parent=0)).run() == 75
    assert Claims(folder / "claims").attempts(ids_of(folder)[0]) == 0


def test_runs_that_another_worker_is_at_are_left_to_it(make_study):
    folder = make_study()
    claim = Claims(folder / "claims").take(ids_of(folder)[1])
    assert work(folder) == 0
    assert len(finished_lines(folder)) == 3
    claim.release()
    assert work(folder) == 0
    assert len(finished_lines(folder)) == 4


def test_a_full_disk_is_one_sentence_and_loses_no_finished_run(make_study):
    folder = make_study(tokens=512)
    groups = tuple((run_id,) for run_id in ids_of(folder))
    job = Job(folder, groups, "cpu", os.getpid())
    limited = (
        "import resource, sys; from proxies.worker import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY));"
        "sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", limited], input=job.to_json(), capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "could not be written" in result.stderr
    done = finished_lines(folder)
    assert 0 < len(done) < 4
    assert work(folder, groups) == 0  # with room again
    assert sorted(finished_lines(folder)) == sorted(groups[k][0] for k in range(4))
    assert [run.status for run in read_runs(folder / "runs")] == ["finished"] * 4


def test_a_process_hears_its_signals(make_study):
    folder = make_study((0.3, 0.7), tokens=10**6)
    groups = (ids_of(folder),)
    job = Job(folder, groups, "cpu", os.getpid(), checkpoint_seconds=0.1).to_json()
    process = start("proxies.worker", job, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((folder / "checkpoints").rglob("*.safetensors")):
        assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 75
    assert Claims(folder / "claims").is_free(groups[0][0])


def test_a_worker_shares_trunks_and_the_table_says_what_was_paid(make_study):
    folder, plain = scheduled(make_study, "study"), scheduled(make_study, "plain")
    for one in ids_of(plain):
        assert work(plain, groups=((one,),)) == 0
    for step in (5, 50, 60):
        assert work(folder, stop_at=step) == 75
    assert work(folder) == 0
    assert results(folder) == results(plain)
    paid, full = (
        sum(run.cost["flops"] for run in read_runs(one / "runs")) for one in (folder, plain)
    )
    assert paid == pytest.approx(full * (0.75 / 3 + 0.25))
    assert not list((folder / "checkpoints").rglob("*.safetensors"))
    curves = [folder / "curves" / f"{one}.jsonl" for one in ids_of(folder)]
    first, last = ({path.read_text().splitlines()[at] for path in curves} for at in (0, -1))
    assert (len(first), len(last)) == (1, 3)


def test_scores_on_the_way_are_kept_through_stops_and_change_nothing(make_study):
    folder, plain = (scheduled(make_study, name) for name in ("study", "plain"))
    work(plain)
    proxy = folder / "proxy.toml"
    proxy.write_text(proxy.read_text() + "early = [0.5, 0.9]\n")
    for step in (20, 50, 60):
        assert work(folder, stop_at=step) == 75
    assert len(list((folder / "curves").glob("*.early.json"))) == 3
    assert work(folder) == 0
    assert not list((folder / "curves").glob("*.early.json"))
    for name, metrics in results(folder).items():
        end = results(plain)[name]
        assert {key: value for key, value in metrics.items() if "@" not in key} == end
        early = {key for key in metrics if "@" in key}
        assert early == {
            f"{kind}@{share}/{domain}"
            for kind in ("bpb", "loss")
            for share in ("0.5", "0.9")
            for domain in ("sea", "web")
        }
        assert metrics["bpb@0.5/sea"] > end["bpb/sea"]  # it was still learning
    halves = {metrics["bpb@0.5/sea"] for metrics in results(folder).values()}
    assert len(halves) == 1  # of one trunk
    assert len({metrics["bpb@0.9/sea"] for metrics in results(folder).values()}) == 3


def scheduled(make_study, name):
    """A study of three runs with one trunk."""
    folder = make_study(shares=(0.5,), name=name)
    (run,) = read_runs(folder / "runs")
    for path in (folder / "runs").iterdir():
        path.unlink()
    with RunWriter(folder / "runs") as writer:
        for number, last in enumerate((0.1, 0.5, 0.9)):
            mixtures = [{"sea": share, "web": 1.0 - share} for share in (0.4, last)]
            schedule = tuple(zip((0.75, 0.25), mixtures))
            writer.append(replace(run, schedule=schedule, name=f"{number:04d}"))
    return folder


def flops(folder):
    return sum(run.cost["flops"] for run in read_runs(folder / "runs"))
