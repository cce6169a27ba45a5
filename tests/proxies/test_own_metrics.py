"""Tasks and functions of the user's own in a study: from `proxy.toml` to table and objective."""

import json
import os
import sys

import numpy as np
import pytest

import proxies
from mixopt import Experiment
from mixopt.errors import ConfigError
from mixopt.runs import CONFIRM, read_runs
from proxies import checkpoint
from proxies.jobs import TRIES, Job
from proxies.worker import Worker

OBJECTIVE = '[objective.task]\nover = ["task/sails"]\n'


def with_task(folder, extra=""):
    """A study that scores a task, and maybe more."""
    items = [{"prompt": "the tide turns", "completion": " slowly under"}] * 3
    (folder / "sails.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    with (folder / "proxy.toml").open("a") as file:
        file.write(f'tasks = {{sails = "sails.jsonl"}}\n{extra}')
    return folder


def own_function(tmp_path, monkeypatch, body):
    (tmp_path / "own_function.py").write_text(f"def measure(scorer):\n    {body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_function", raising=False)
    return 'metrics = ["own_function:measure"]\n'


def work(folder):
    ids = tuple(run.id for run in read_runs(folder / "runs"))
    return Worker(Job(folder, (ids,), "cpu", os.getppid())).run()


def test_a_task_is_a_falling_metric_of_every_run_and_an_objective(make_study):
    folder = with_task(make_study(tokens=1024))
    with (folder / "space.toml").open("a") as file:
        file.write(OBJECTIVE)
    assert work(folder) == 0
    study = Experiment(folder)
    table = study.table()
    column = table.metrics.index("task/sails")
    assert table.directions[column] == 1.0
    assert not any(name.startswith("router/") for name in table.metrics)
    objective = study.objectives(table)["task"]
    assert objective.weights[column] == 1.0
    values = objective.value(table.losses, table.losses[0])
    np.testing.assert_allclose(values, np.log(table.losses[:, column] / table.losses[0, column]))
    assert len(set(values)) == 4


def test_a_metric_that_is_said_to_rise_and_measured_as_falling_is_an_error(make_study):
    folder = with_task(make_study())
    with (folder / "space.toml").open("a") as file:
        file.write('[metrics]\n"task/sails" = "up"\n')
    with pytest.raises(ConfigError, match="task/sails rises"):
        _ = Experiment(folder).directions


def test_routers_are_told_in_the_table_and_by_domain_in_a_file(make_study):
    folder = make_study(confirm=1, tokens=1024)
    assert work(folder) == 0
    for run in read_runs(folder / "runs"):
        found = {name for name in run.metrics if name.startswith("router/")}
        names = ("maxvio", "dead", "entropy", "mi", "mi_p", "effective", "own")
        assert found == {f"router/{name}" for name in names}
        health = np.load(folder / "evaluations" / f"{run.id}.router.npz", allow_pickle=False)
        assert health["counts"].shape == (2, 1, 4)
        assert health["counts"].sum() == 2 * 4 * 32 * 2  # domains, windows, tokens, active
        assert health["names"].tolist() == ["sea", "web"]
        assert run.metrics["router/mi"] == pytest.approx(health["information"].mean())
        assert (folder / "evaluations" / f"{run.id}.npz").exists() == (run.origin == CONFIRM)


def test_a_function_of_the_users_own_is_a_metric(make_study, tmp_path, monkeypatch):
    body = 'return {"task/own": float(scorer.nats([scorer.encode("sea")])[0].sum())}'
    extra = own_function(tmp_path, monkeypatch, body)
    folder = with_task(make_study(tokens=512), extra)
    assert work(folder) == 0
    assert all(run.metrics["task/own"] > 0 for run in read_runs(folder / "runs"))
    with pytest.raises(ConfigError, match="'task/own' has no direction"):
        Experiment(folder).table()


def test_a_function_that_fails_costs_no_training(make_study, tmp_path, monkeypatch):
    extra = own_function(tmp_path, monkeypatch, "raise RuntimeError('no such thing')")
    folder = with_task(make_study((0.5,), tokens=512), extra)
    assert work(folder) == 0
    (run,) = read_runs(folder / "runs")
    assert (run.status, run.attempt) == ("failed", TRIES)
    assert "no such thing" in run.error
    slots = {path.parent for path in (folder / "checkpoints").rglob("*.safetensors")}
    assert max(checkpoint.read(slot, run.id)[1]["step"] for slot in slots) == 8  # of 8
    own_function(tmp_path, monkeypatch, 'return {"task/own": 1.0}')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert proxies.train(folder, workers=1).finished == 1
    (run,) = read_runs(folder / "runs")
    assert run.metrics["task/own"] == 1.0


def test_a_function_that_is_not_there_is_said_before_anything_is_trained(make_study):
    folder = with_task(make_study(tokens=512), 'metrics = ["own_function_absent:measure"]\n')
    with pytest.raises(ConfigError, match="own_function_absent"):
        proxies.train(folder, workers=1)
    assert not (folder / "claims").exists()
