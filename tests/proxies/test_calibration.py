"""calibrate: which rates are trained, which is chosen, what the file says, and what stays apart."""

import tomllib
from dataclasses import replace

import pytest

from cli.main import main
from mixopt import Experiment
from mixopt.errors import DataError
from mixopt.runs import CALIBRATION, is_apart
from mixopt.stages.sample import next_round
from proxies import calibration
from proxies.calibration import calibrate, parabola

PROXY = """\
tokens = 2048  # short
sizes = {layers = 1, width = 16, heads = 2, experts = 4, hidden = 16, context = 32}

[training]  # mine
clip = 2.0  # tried

[evaluation]
windows = 4
"""
RULE = 0.028  # of `tiny`, a quarter as wide


@pytest.fixture
def study(make_study):
    """A prepared study without any run."""
    folder = make_study(())
    (folder / "proxy.toml").write_text(PROXY)
    return folder


def finish(folder, scores):
    """Runs of the natural mixture by rate with these scores; None: diverged."""
    exp = Experiment(folder)
    for rate, score in scores.items():
        run = calibration._run(exp, rate)
        told = {"error": "diverged: at once"} if score is None else {}
        metrics = {} if score is None else {"bpb/sea": score, "bpb/web": score, "loss/sea": 9.0}
        exp.append([replace(run, metrics=metrics, **told)])


def settings(folder):
    return tomllib.loads((folder / "proxy.toml").read_text())


def rates(folder):
    runs = [run for run in Experiment(folder).runs() if run.origin == CALIBRATION]
    return sorted(run.proxy["training"]["learning_rate"] for run in runs)


def test_three_rates_are_trained_and_the_best_is_written(study):
    found = calibrate(Experiment(study), workers=1)
    assert rates(study) == [RULE / 2, RULE, RULE * 2]
    assert [point.rate for point in found.points] == rates(study)
    assert all(0 < point.score < 9 for point in found.points)
    assert found.written
    assert found.measure == "bpb"
    assert settings(study)["training"] == {"clip": 2.0, "learning_rate": found.rate}
    text = (study / "proxy.toml").read_text()
    assert all(remark in text for remark in ("# short", "# mine", "# tried"))
    best = min(found.points, key=lambda point: point.score).rate
    assert found.inside == (best == RULE)
    assert best / 2**0.5 <= found.rate <= best * 2**0.5
    seeds = {run.seed for run in Experiment(study).runs()}
    assert seeds == {1}


@pytest.mark.parametrize(
    ("scores", "rate"),
    [((2.0, 1.0, 2.0), RULE), ((1.2, 1.0, 3.0), 0.0211), ((1.0, 1.0, 1.0), 0.014)],
)
def test_the_minimum_of_the_parabola_is_taken_where_it_lies_inside(study, scores, rate):
    finish(study, dict(zip((RULE / 2, RULE, RULE * 2), scores)))
    if scores == (1.0, 1.0, 1.0):  # the first of equals lies at the end: one more rate would tell
        finish(study, {RULE / 4: 2.0})
        rate = parabola(RULE / 2, 2.0, 1.0, 1.0)
    found = calibrate(Experiment(study))
    assert found.inside
    assert found.rate == pytest.approx(rate, rel=0.01)
    again = calibrate(Experiment(study))  # nothing is left to do
    assert not again.written
    assert replace(again, written=True) == found


def test_an_end_is_written_and_the_next_call_goes_on_from_there(study):
    finish(study, {RULE / 2: 1.0, RULE: 2.0, RULE * 2: 3.0})
    planned = calibration._wanted(calibration._known(Experiment(study)), RULE)
    assert planned == [RULE / 4]
    finish(study, {RULE / 4: 0.9})
    assert calibration._wanted(calibration._known(Experiment(study)), RULE) == [RULE / 8]
    finish(study, {RULE / 8: 1.1})
    found = calibrate(Experiment(study))
    assert found.inside
    assert found.rate == pytest.approx(parabola(RULE / 4, 1.1, 0.9, 1.0), rel=0.01)
    assert len(found.points) == 5


def test_a_rate_that_diverges_is_worse_than_any(study):
    finish(study, {RULE / 2: 2.0, RULE: 1.0, RULE * 2: None})
    found = calibrate(Experiment(study))
    assert (found.rate, found.inside) == (RULE, True)
    assert found.points[-1].score is None


def test_a_swarm_planned_at_the_present_rate_is_not_left_behind_unasked(study):
    finish(study, {RULE / 2: 1.2, RULE: 1.0, RULE * 2: 3.0})
    Experiment(study).sample(3)
    with pytest.raises(DataError, match="--anyway"):
        calibrate(Experiment(study))
    assert "learning_rate" not in settings(study)["training"]
    assert main(["calibrate", str(study), "--quiet"]) == 3
    assert main(["calibrate", str(study), "--quiet", "--anyway"]) == 0
    assert settings(study)["training"]["learning_rate"] == 0.0211
    calibrate(Experiment(study))  # nothing to change: nothing to refuse
    Experiment(study).sample(3)
    assert not calibrate(Experiment(study)).written


def test_the_runs_are_none_of_the_swarms_even_at_its_rate(study):
    finish(study, {RULE / 2: 2.0, RULE: 1.0, RULE * 2: 2.0})
    calibrate(Experiment(study))
    exp = Experiment(study)
    assert next_round(exp.runs()) == 0
    plan = exp.sample(3)
    trials = [run for run in exp.runs() if is_apart(run.origin)]
    assert len(trials) == 3
    same = [run for run in plan.runs if run.schedule == trials[1].schedule and run.seed == 1]
    assert same  # the anchor: the same mixture, seed and rate
    assert same[0].proxy["training"] == trials[1].proxy["training"]
    assert same[0].id not in {run.id for run in trials}
    with pytest.raises(DataError, match="no finished run"):
        exp.table()


def test_other_settings_are_another_calibration(study):
    finish(study, {RULE / 2: 2.0, RULE: 1.0, RULE * 2: 2.0})
    text = (study / "proxy.toml").read_text()
    (study / "proxy.toml").write_text(text.replace("clip = 2.0", "clip = 1.5"))
    assert calibration._known(Experiment(study)) == {}
    (study / "proxy.toml").write_text('style = "deepseek"\n' + text)
    assert calibration._known(Experiment(study)) == {}


def test_the_larger_proxy_is_given_the_rules_rate_times_what_was_found(study):
    finish(study, {RULE / 2: 1.2, RULE: 1.0, RULE * 2: 3.0})
    with (study / "proxy.toml").open("a") as file:
        file.write("\n[confirm]\nsizes = {width = 32}\n")
    found = calibrate(Experiment(study))
    assert found.confirm_rate == pytest.approx(found.rate / 2, rel=0.01)  # twice the width
    with (study / "proxy.toml").open("a") as file:
        file.write("training = {learning_rate = 0.01}\n")
    assert settings(study)["confirm"]["training"] == {"learning_rate": 0.01}
    assert calibrate(Experiment(study)).confirm_rate is None


def test_without_prepared_data_it_says_what_to_run(tmp_path):
    (tmp_path / "space.toml").write_text("[domain.sea]\ntokens = 10\n[domain.web]\ntokens = 10\n")
    (tmp_path / "proxy.toml").write_text(PROXY)
    with pytest.raises(DataError, match="mixopt prepare"):
        calibrate(Experiment(tmp_path))
