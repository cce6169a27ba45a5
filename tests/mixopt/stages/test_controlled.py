"""Controlled runs: planned once, beside their rivals; replayed when finished; compared in pairs."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError, DataError
from mixopt.experiment import Experiment
from mixopt.stages.compare import compare, sentence
from mixopt.stages.controlled import CONTROLLED, REPLAY

SPACE = "[domain.web]\ntokens = 90\n[domain.law]\ntokens = 10\n"
PROXY = "tokens = 4096\nseeds = [1, 2, 3]\n"


@pytest.fixture
def study(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "proxy.toml").write_text(PROXY)
    return tmp_path


def origins(plan):
    return sorted(run.origin for run in plan.runs)


def finish(folder, gains, noise=0.0):
    """Record losses: a block effect, and what each origin gains."""
    exp, rng = Experiment(folder), np.random.default_rng(0)
    for run in exp.runs():
        if run.status != "planned":
            continue
        loss = 3.0 + 0.1 * run.seed - gains.get(run.origin, 0.0) + noise * rng.standard_normal()
        metrics = {"loss/web": loss, "loss/law": loss + 0.5}
        done = replace(run, metrics=metrics, cost={"flops": 2.0 if run.controller else 1.0})
        if run.controller:
            share = 0.6 if run.controller["name"] == "odm" else 0.7
            done = replace(done, mixture={"web": share, "law": 1.0 - share})
        exp.append([done])


def test_a_plan_has_the_controlled_run_and_its_rivals_in_every_block(study):
    plan = Experiment(study).sample_controlled("odm", 2)
    assert origins(plan) == sorted(["baseline:natural", "baseline:uniform", f"{CONTROLLED}odm"] * 2)
    assert plan.new == 6
    assert plan.to_json()["roles"] == {"baseline": 4, "controller": 2}
    again = Experiment(study).sample_controlled("odm", 2)
    assert (again.new, {run.id for run in again.runs}) == (0, {run.id for run in plan.runs})
    assert Experiment(study).sample_controlled("ado", 2).new == 2


def test_a_finished_run_is_replayed_at_its_mean_shares(study):
    Experiment(study).sample_controlled("odm", 2)
    finish(study, {})
    plan = Experiment(study).sample_controlled("odm", 2)
    replays = [run for run in plan.runs if run.origin == f"{REPLAY}odm"]
    assert [run.schedule[0][1] for run in replays] == [{"web": 0.6, "law": 0.4}] * 2
    assert plan.new == 2


def test_settings_come_from_the_file_and_are_part_of_what_a_run_is(study):
    plain = Experiment(study).sample_controlled("odm", 1).runs
    (study / "proxy.toml").write_text(PROXY + '[controller.odm]\nform = "published"\n')
    told = Experiment(study).sample_controlled("odm", 1).runs
    controlled = [run for run in (*plain, *told) if run.controller]
    assert controlled[1].controller == {"name": "odm", "form": "published"}
    assert controlled[0].id != controlled[1].id


def test_doremi_waits_for_its_reference(study):
    first = Experiment(study).sample_controlled("doremi", 2)
    assert not any(run.controller for run in first.runs)
    assert "train it, then give this command again" in first.notes[0]
    finish(study, {})
    second = Experiment(study).sample_controlled("doremi", 2)
    wanted = {run.seed: run.id for run in second.runs if run.origin == "baseline:natural"}
    found = {run.seed: run.controller["reference"] for run in second.runs if run.controller}
    assert found == wanted


@pytest.mark.parametrize(
    ("text", "name", "count", "words"),
    [
        ("", "omd", 1, "did you mean 'odm'"),
        ("", "static", 1, "planned without --controller"),
        ("", "odm", 4, "need as many seeds, proxy.toml has 3"),
        ("[controller.omd]\nform = 'paper'\n", "odm", 1, "is no controller, did you mean 'odm'"),
        ("[controller.odm]\nfrom = 'paper'\n", "odm", 1, "no setting 'from'"),
        ("[controller.odm]\nform = 'x'\n", "odm", 1, "form must be one of"),
    ],
)
def test_what_cannot_be_planned_is_said(study, text, name, count, words):
    (study / "proxy.toml").write_text(PROXY + text)
    with pytest.raises(ConfigError, match=words):
        Experiment(study).sample_controlled(name, count)


def test_groups_bind_the_rivals_too(study):
    (study / "space.toml").write_text(
        SPACE.replace("tokens = 10", "tokens = 10\ngroup = 'g'") + "[groups.g]\nmax = 0.2\n"
    )
    plan = Experiment(study).sample_controlled("odm", 1)
    shares = {run.name: run.schedule[0][1]["law"] for run in plan.runs if run.schedule}
    assert shares == {"natural-s1": 0.1, "uniform-s1": 0.2}


def test_laws_never_see_a_controlled_run(study):
    Experiment(study).sample_controlled("odm", 2)
    finish(study, {f"{CONTROLLED}odm": 2.9})
    table = Experiment(study).table()
    assert set(table.origins) == {"baseline:natural", "baseline:uniform"}


def compared(study, gains, noise=0.0, against="uniform"):
    exp = Experiment(study)
    for name in ("odm", "ado"):
        exp.sample_controlled(name, 3)
    finish(study, gains, noise)
    Experiment(study).sample_controlled("odm", 3)
    finish(study, gains, noise)
    return compare(Experiment(study), None, against)


def test_methods_are_compared_in_pairs(study):
    """The seeds' own effects are far larger than the gain, and do not matter."""
    report = compared(study, {f"{CONTROLLED}odm": 0.03}, noise=1e-4)
    lines = {line.name: line for line in report.lines}
    assert set(lines) == {"odm", "odm replayed", "ado", "natural", "uniform"}
    assert report.lines[0].name == "odm"
    assert lines["odm"].difference == pytest.approx(-0.03 / 3.4, rel=0.1)
    assert lines["odm"].upper < 0 < lines["ado"].upper
    assert lines["uniform"].difference is None
    assert lines["odm"].flops == 2.0
    assert sentence(report, report.lines).endswith(": odm")
    assert report.frame().shape[0] == 5


def test_the_error_is_that_of_paired_means(study):
    """A complete design: s sqrt(2 / S), with (A - 1)(S - 1) degrees of freedom."""
    report = compared(study, {}, noise=0.01)
    found = [line.se for line in report.lines if line.se is not None]
    assert found == pytest.approx([report.noise * np.sqrt(2 / 3)] * 4)


def test_every_method_has_a_name_of_its_own(study):
    """Settings, replays of other settings, and the controller that a baseline is called after."""
    for text in ("", '[controller.odm]\nform = "published"\n'):
        (study / "proxy.toml").write_text(PROXY + text)
        for name in ("odm", "uniform"):
            for _ in range(2):
                Experiment(study).sample_controlled(name, 1)
                finish(study, {})
    names = {line.name for line in compare(Experiment(study), None, "uniform").lines}
    assert {"odm", "odm (form=published)", "uniform online", "uniform", "natural"} <= names
    assert {"odm replayed", "odm (form=published) replayed"} <= names


def test_nothing_to_compare_is_said(study):
    with pytest.raises(DataError, match="no controlled run"):
        compare(Experiment(study), None, "uniform")
    compared(study, {})
    with pytest.raises(DataError, match="no finished run is of 'unifrom', did you mean 'uniform'"):
        compare(Experiment(study), None, "unifrom")
    with pytest.raises(ConfigError, match="no objective 'x'"):
        compare(Experiment(study), "x", "uniform")
