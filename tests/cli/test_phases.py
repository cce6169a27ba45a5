"""Schedules through the command line: trunks trained once, a law by stage, a rival that stays."""

import json

import pytest

from mixopt.runs import read_runs


@pytest.fixture
def staged(study, mixopt):
    """The study in two phases, prepared."""
    space = study / "space.toml"
    text = space.read_text()
    assert "[target]" in text
    space.write_text(text.replace("[target]\n", "[target]\nphases = [0.75, 0.25]\n", 1))
    assert mixopt("prepare", study, "--quiet").code == 0
    return study


def test_from_trunks_to_a_schedule(staged, mixopt, tmp_path):
    whole = json.loads(mixopt("sample", staged, "-n", 12, "--branches", 3, "--json").out)
    runs = read_runs(staged / "runs")
    trunks = {(run.seed, json.dumps(run.schedule[0])) for run in runs if "design" in run.origin}
    assert len(trunks) == 4
    alone = sum(run.proxy["tokens"] for run in runs)
    assert whole["cost"]["tokens"] < 0.75 * alone

    assert mixopt("train-proxies", staged, "--quiet", "--workers", 1).code == 0
    runs = read_runs(staged / "runs")
    assert {run.status for run in runs} == {"finished"}
    paid = sum(run.cost["flops"] for run in runs)
    assert paid == pytest.approx(whole["cost"]["flops"], rel=0.02)

    assert mixopt("fit", staged, "--quiet").code == 0
    shown = mixopt("propose", staged, "-k", 2)
    assert shown.code == 0, shown.err
    assert "by phase, shares in %" in shown.out
    assert "75 % of training" in shown.out
    report = json.loads(mixopt("propose", staged, "-k", 2, "--json").out)
    entries = {one["name"]: one for one in report["objectives"]["mean"]["entries"]}
    assert entries["still"]["role"] == "baseline"
    assert "schedule" not in entries["still"]
    parts = [part for part, _ in entries["proposal-1"]["schedule"]]
    assert parts == [0.75, 0.25]
    assert entries["proposal-1"]["objective"] <= entries["still"]["objective"] + 1e-6

    done = mixopt("export", staged, "--to", "json", "-o", tmp_path / "mix.json")
    assert done.code == 0, done.err
    told = json.loads((tmp_path / "mix.json").read_text())["phases"]
    assert [one["fraction"] for one in told] == parts


def test_a_schedule_of_one_phase_stays(staged, mixopt, tmp_path):
    mixopt("sample", staged, "-n", 8, "--quiet")
    assert mixopt("train-proxies", staged, "--quiet", "--workers", 1).code == 0
    assert mixopt("fit", staged, "--quiet", "--law", "ridge").code == 0
    report = json.loads(mixopt("propose", staged, "--phases", 1, "--json").out)
    entries = report["objectives"]["mean"]["entries"]
    assert "still" not in {one["name"] for one in entries}
    for one in entries:
        assert "schedule" not in one
    done = mixopt("export", staged, "--to", "megatron", "-o", tmp_path / "blend.txt")
    assert done.code == 0, done.err  # a mixture, not a schedule
    refused = mixopt("propose", staged, "--phases", 3)
    assert refused.code == 3
    assert "1 to 2 phases" in refused.err
    refused = mixopt("propose", staged, "--phases", 1, "--method", "uniform")
    assert refused.code == 3
    assert "asks the law" in refused.err


def test_branches_want_phases(study, mixopt):
    assert mixopt("prepare", study, "--quiet").code == 0
    refused = mixopt("sample", study, "-n", 6, "--branches", 2)
    assert refused.code == 3
    assert "phases = [0.8, 0.2]" in refused.err
