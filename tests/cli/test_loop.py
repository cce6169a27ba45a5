"""`mixopt loop` on real proxies: killed and started again, it plans as an undisturbed one."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixopt.runs import Run, read_runs

SETTINGS = ("--rounds", 2, "-n", 12, "--design", "edl_greedy", "--no-confirm")
KINDS = ("confirmed", "better_at_proxy", "ranking_only", "run_more", "no_signal")


@pytest.fixture
def twins(study, mixopt, tmp_path):
    """The same prepared experiment twice."""
    text = (study / "proxy.toml").read_text()
    (study / "proxy.toml").write_text(text.replace("tokens = 4096", "tokens = 2048"))
    assert mixopt("prepare", study).code == 0
    return study, Path(shutil.copytree(study, tmp_path / "twin"))


@pytest.mark.slow
def test_a_killed_loop_goes_on_to_the_same_runs_and_ends_with_a_verdict(twins, mixopt):
    calm, killed = twins
    told = json.loads(mixopt("loop", calm, *SETTINGS, "--json").out)
    assert [step["design"] for step in told["steps"]] == ["edl_greedy"] * 2 + ["verify"] * 2
    assert told["verdicts"]["mean"]["verdict"] in KINDS

    kill_after_the_first_results(killed)
    finished = sum(run.status == "finished" for run in read_runs(killed / "runs"))
    assert 0 < finished < told["steps"][-1]["finished"]

    done = mixopt("loop", killed, *SETTINGS)
    assert done.code == 0, done.err
    assert done.out.count("predicted optimum") == 4
    for part in ("step 1", "step 4", "mean: "):
        assert part in done.out
    assert planned(killed) == planned(calm)
    assert metrics(killed) == metrics(calm)


def test_other_settings_are_refused_and_say_what_was_asked_before(study, mixopt):
    (study / "loop.json").write_text(json.dumps({"settings": {"rounds": 3}, "steps": {}}))
    refused = mixopt("loop", study, *SETTINGS)
    assert refused.code == 3
    assert "is of a loop with rounds 3" in refused.err


def kill_after_the_first_results(folder):
    """SIGKILL the loop once some runs of its first step are finished."""
    command = [sys.executable, "-m", "cli.main", "loop", folder, *SETTINGS, "--quiet"]
    process = subprocess.Popen(
        [str(word) for word in command], cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not any(run.status == "finished" for run in read_runs(folder / "runs")):
        assert process.poll() is None, "the loop ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()


def planned(folder):
    """The ids of the runs of each step."""
    steps = json.loads((folder / "loop.json").read_text())["steps"]
    return {
        number: [Run.from_line(line, "loop.json").id for line in step["runs"]]
        for number, step in steps.items()
    }


def metrics(folder):
    """Of every run by its id."""
    return {run.id: run.metrics for run in read_runs(folder / "runs")}
