"""confirm: what is fixed before training, what looking again costs, and what `fit` makes of it."""

import json
import shutil

import numpy as np
import pytest

from mixopt import Experiment
from mixopt.errors import StaleError
from mixopt.runs import CONFIRM

DOMAINS = {"web": 8e8, "code": 2e8, "books": 1e8}
PROXY = """\
tokens = 1_000_000
scale = [5e6, 1e6]
seeds = [1, 2]
[confirm]
scale = [2e7, 4e6]
seeds = [11, 12, 13]
"""
COMPARE = ("auto", "mean")


def measured(run, noise=2e-3):
    """Losses that fall with a domain's share and with scale, plus block and noise of the run."""
    assert run.schedule is not None
    rng = np.random.default_rng(int(run.id, 16) % 2**32)
    block = 0.01 * np.random.default_rng(run.seed).standard_normal()
    size = 1.0 if run.origin != CONFIRM else 0.8
    shares = run.schedule[0][1]
    losses = {
        name: size * (2.0 + (0.15 + share) ** -0.5) + block + noise * rng.standard_normal()
        for name, share in shares.items()
    }
    kinds = ("loss",) if run.origin != CONFIRM else ("loss", "loss@test")
    return {f"{kind}/{name}": loss for name, loss in losses.items() for kind in kinds}


def train(exp, seeds=None):
    """Record what is planned, or of it the runs of some seeds."""
    for run in exp.runs():
        if run.status == "planned" and (seeds is None or run.seed in seeds):
            exp.record(run.id, measured(run))


@pytest.fixture(scope="module")
def proposed(tmp_path_factory, make_experiment):
    """The folder of a swarm of known losses with its law and proposal, nothing confirmed yet."""
    folder = tmp_path_factory.mktemp("proposed")
    exp = make_experiment(folder, DOMAINS, PROXY, target=1e9)
    exp.sample(14)
    train(exp)
    exp.fit(compare=COMPARE)
    exp.propose(2)
    return folder


@pytest.fixture
def study(proposed, tmp_path):
    """A copy of that study."""
    shutil.copytree(proposed, tmp_path, dirs_exist_ok=True)
    return Experiment(tmp_path)


def change(exp, old, new):
    """The study with another line in proxy.toml, read anew."""
    path = exp.folder / "proxy.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return Experiment(exp.folder)


def test_arms_are_written_before_training_and_stay(study):
    first = study.plan_confirm()
    written = (study.folder / "arms.json").read_text()
    again = study.plan_confirm()
    assert again.new == 0
    assert [run.id for run in again.runs] == [run.id for run in first.runs]
    assert (study.folder / "arms.json").read_text() == written
    assert {run.scale for run in first.runs} == {(2e7, 4e6, 1e6)}


def test_a_model_of_another_size_has_no_known_scale_unless_somebody_says(study):
    unsaid = change(study, "scale = [2e7, 4e6]", "sizes = {width = 96}")
    assert {run.scale for run in unsaid.plan_confirm().runs} == {None}


def test_more_tokens_of_the_same_model_are_a_scale(study):
    longer = change(study, "scale = [2e7, 4e6]", "tokens = 3_000_000")
    assert {run.scale for run in longer.plan_confirm().runs} == {(5e6, 1e6, 3e6)}


def test_power_chooses_the_seeds_once(study):
    exp = change(study, "seeds = [11, 12, 13]", "seeds = [11, 12]\nby_power = true")
    plan = exp.plan_confirm()
    assert plan.seeds[:2] == (11, 12)
    assert 3 <= len(plan.seeds) <= 10
    assert plan.seeds == tuple(range(11, 11 + len(plan.seeds)))
    assert max(one.count for one in plan.blocks.values()) == len(plan.seeds)
    assert json.loads((exp.folder / "arms.json").read_text())["seeds"] == list(plan.seeds)


def test_seeds_that_finish_later_are_another_look_and_the_same_ones_are_none(study):
    study.plan_confirm()
    train(study, seeds=(11, 12))
    first = study.judge_confirm().objectives["mean"]
    assert (first.result.looks, first.judged) == (1, ((11, 12),))
    assert study.judge_confirm().objectives["mean"].result.looks == 1
    train(study)
    later = study.judge_confirm().objectives["mean"]
    assert later.result.looks == 2
    assert later.judged == ((11, 12), (11, 12, 13))
    assert study.judge_confirm().objectives["mean"].result.looks == 2


def test_arms_that_are_fixed_may_be_judged_after_the_law_was_fitted_again(study):
    study.plan_confirm()
    train(study)
    before = study.judge_confirm()
    study.fit(compare=COMPARE)
    after = study.judge_confirm()
    assert after.to_json() == before.to_json()


def test_a_proposal_of_an_older_law_is_not_confirmed_anew(study):
    study.fit(law="mean")
    with pytest.raises(StaleError, match="mixopt propose"):
        study.plan_confirm()


def test_confirming_runs_carry_the_law_to_their_scale(study):
    study.plan_confirm()
    train(study)
    study.judge_confirm()
    report = study.fit(compare=COMPARE)
    assert report.law == "recalibrated"
    assert any("larger scale" in note for note in report.notes)
    assert "small_proxy" not in report.objectives["mean"].verdict.reasons  # it speaks of 20M
    moves = report.objectives["mean"].moves
    assert moves.mixtures >= 2
    assert moves.scales == ((5e6, 1e6, 1e6), (2e7, 4e6, 1e6))
    again = study.propose(1).objectives["mean"].ranking
    natural = next(entry for entry in again.entries if entry.name == "natural")
    runs = [run for run in study.runs() if "natural" in run.name and run.origin == CONFIRM]
    web = np.mean([run.metrics["loss/web"] for run in runs])
    assert natural.metrics["loss/web"][0] == pytest.approx(web, abs=0.05)


def test_a_named_law_stays_at_its_own_scale(study):
    study.plan_confirm()
    train(study)
    assert study.fit(law="edl", compare=()).law == "edl"


def test_few_mixtures_at_a_larger_scale_do_not_carry_it_and_it_is_said(study):
    arms = study.plan_confirm().arms["mean"]
    kept = {arm.name.replace(" ", "-") for arm in arms[:2]}
    for run in study.runs():
        if run.origin == CONFIRM and any(f"confirm-{name}-s" in run.name for name in kept):
            study.record(run.id, measured(run))
    report = study.fit(compare=COMPARE)
    assert report.law == "auto"
    assert any("2 mixtures were run there, 4" in note for note in report.notes)


def test_confirming_runs_of_the_swarms_own_scale_teach_no_law(study):
    same = change(study, "scale = [2e7, 4e6]\n", "")
    same.plan_confirm()
    before = same.fit(compare=COMPARE).runs
    train(same)
    report = same.fit(compare=COMPARE)
    assert (report.law, report.runs) == ("auto", before)
