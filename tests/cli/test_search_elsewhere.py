"""A search whose runs are trained elsewhere: imported runs and recorded ones teach it together."""

import json
import random
import shutil

import pytest

from mixopt.experiment import Experiment

NAMES = ("web", "code", "books")


@pytest.fixture
def imported(tables, tmp_path, mixopt):
    """24 imported runs, and a proxy.toml that says no more than how long a run is."""
    return imported_study(tmp_path / "study", tables, mixopt)


def imported_study(study, tables, mixopt, *options):
    mixtures, metrics = tables
    command = ("import", study, "--mixtures", mixtures, "--metrics", metrics, *options)
    assert mixopt(*command).code == 0
    (study / "proxy.toml").write_text("tokens = 1_000_000\n")
    return study


def recorded(study, losses):
    """All planned runs get their results."""
    exp = Experiment(study)
    for run in exp.runs():
        if run.status == "planned":
            exp.record(run.id, dict(zip([f"loss/{name}" for name in NAMES], losses(run))))


def share(run, domain):
    return run.schedule[0][1].get(domain, 0.0)


def test_what_is_recorded_moves_the_next_batch_and_the_law(imported, mixopt, tmp_path):
    assert mixopt("sample", imported, "-n", 4, "--design", "edl_greedy").code == 0
    other = shutil.copytree(imported, tmp_path / "other")
    recorded(
        imported,
        lambda run: [2 + (0.2 + share(run, name)) ** -0.4 for name in ("web", "code", "books")],
    )
    recorded(other, lambda run: [4.0 - 0.1 * share(run, "web")] * 3)
    planned = []
    for study in (imported, other):
        told = json.loads(mixopt("sample", study, "-n", 4, "--design", "edl_greedy", "--json").out)
        assert not any("left out" in note for note in told["notes"])
        assert told["new"] == 4
        planned.append([run["mixture"] for run in told["runs"]])
    assert planned[0] != planned[1]
    fitted = mixopt("fit", imported, "--law", "edl")
    assert "fitted on 28 runs" in fitted.err
    assert "left out" not in fitted.err


def test_runs_of_another_scale_stay_apart_and_sample_says_so(tables, tmp_path, mixopt):
    study = imported_study(tmp_path / "study", tables, mixopt, "--scale", "9e6,9e6,1e9")
    (study / "proxy.toml").write_text("tokens = 1_000_000\nscale = [1e6, 5e5]\n")
    assert mixopt("sample", study, "-n", 4, "--design", "edl_greedy").code == 0
    recorded(study, lambda run: [3.0, 3.0, 3.0])
    again = mixopt("sample", study, "-n", 2, "--design", "edl_greedy")
    assert "4 finished runs of other proxies or sizes were left out" in again.err


def test_a_loop_pauses_before_every_step_and_before_the_verdict(imported, mixopt):
    def losses(run):
        noise = random.Random(run.id).gauss(0.0, 0.002)
        return [2 + (0.2 + share(run, name)) ** -0.4 + noise for name in NAMES]

    command = ("loop", imported, "--rounds", 1, "-n", 12, "--design", "edl_greedy")
    paused = 0
    while (result := mixopt(*command)).code == 75:
        paused += 1
        last = result.err
        recorded(imported, losses)
    assert result.code == 0, result.err
    assert paused == 4
    assert "runs of the confirmation are planned and have no result" in last
    assert "mean: " in result.out
