"""`mfbo` through the command line: one size, whose runs are scored half-way as well."""

import json

from mixopt.runs import read_runs


def test_learning_curves_are_a_cheap_size(study, mixopt):
    proxy = study / "proxy.toml"
    text = proxy.read_text().replace("windows = 8", "windows = 8\nearly = [0.5]")
    proxy.write_text(text.partition("[confirm]")[0])
    assert mixopt("prepare", study, "--quiet").code == 0
    assert mixopt("sample", study, "-n", 8, "--quiet").code == 0
    assert mixopt("train-proxies", study, "--quiet", "--workers", 1).code == 0
    runs = read_runs(study / "runs")
    for run in runs:
        assert {"bpb@0.5/code", "bpb/code"} <= set(run.metrics)

    plan = json.loads(mixopt("sample", study, "-n", 4, "--design", "mfbo", "--json").out)
    assert plan["new"] == 4
    planned = [run for run in read_runs(study / "runs") if run.status == "planned"]
    assert {run.proxy["tokens"] for run in planned} <= {2048, 4096}
    again = json.loads(mixopt("sample", study, "-n", 4, "--design", "mfbo", "--json").out)
    assert not {run["id"] for run in plan["runs"]} & {run["id"] for run in again["runs"]}
    assert mixopt("train-proxies", study, "--quiet", "--workers", 1).code == 0
    assert mixopt("fit", study, "--quiet").code == 0
