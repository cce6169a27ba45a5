"""Controlled runs of a study: trained from their plan, and what is left of them afterwards."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError, DataError
from mixopt.experiment import Experiment
from mixopt.runs import Run, RunWriter, read_runs
from proxies.controlled import budget_of, reference_of
from proxies.cost import planned_cost
from proxies.evidence_cost import planned_flops
from proxies.jobs import Job
from proxies.study import Study
from proxies.worker import Worker


def plan(folder, *controllers):
    """Add controlled runs like those of the study."""
    like = read_runs(folder / "runs")[0]
    runs = [
        Run(
            schedule=None,
            controller=controller,
            seed=1,
            proxy=like.proxy,
            data=like.data,
            name=f"c{number}",
            origin=f"controller:{controller['name']}",
        )
        for number, controller in enumerate(controllers)
    ]
    with RunWriter(folder / "runs") as writer:
        writer.append(runs)
    return [run.id for run in runs]


def work(folder, *ids):
    return Worker(Job(folder, (ids,), "cpu", os.getppid())).run()


def run_of(folder, run_id):
    return next(run for run in read_runs(folder / "runs") if run.id == run_id)


def test_a_controlled_run_leaves_its_mean_its_schedule_and_its_reasons(make_study):
    folder = make_study(shares=(0.5,))
    odm, aioli = plan(folder, {"name": "odm"}, {"name": "aioli", "refresh": 20, "steps": 1})
    assert work(folder, odm, aioli) == 0
    for run_id in (odm, aioli):
        run = run_of(folder, run_id)
        assert (run.status, run.schedule) == ("finished", None)
        assert sum(run.mixture.values()) == pytest.approx(1.0)
        schedule = json.loads((folder / "curves" / f"{run_id}.schedule.json").read_text())
        parts = [phase["fraction"] for phase in schedule["phases"]]
        mean = sum(phase["fraction"] * phase["shares"]["sea"] for phase in schedule["phases"])
        assert sum(parts) == pytest.approx(1.0)
        assert mean == pytest.approx(run.mixture["sea"], abs=1e-6)
        log = (folder / "curves" / f"{run_id}.weights.jsonl").read_text().splitlines()
        assert json.loads(log[0])["why"]
    dear, cheap = run_of(folder, aioli).cost, run_of(folder, odm).cost
    assert dear["flops"] == pytest.approx(cheap["flops"] + dear["evidence_flops"])
    assert "evidence_flops" not in cheap


EVIDENCE = (
    {"name": "odm"},
    {"name": "aioli", "learning": "run", "refresh": 8, "steps": 2, "rounds": 1},
    {"name": "skillit", "every": 12, "steps": 1, "relearn": 2},
    {"name": "doge", "every": 16, "toward": "targets"},
    {"name": "tikmix", "every": 20, "form": "regression", "runs": 4, "steps": 1},
)


def test_what_evidence_will_cost_is_known_beforehand(make_study):
    """The sum that `sample` announces is that which training counts, to the last look."""
    folder = make_study(shares=(0.5,))
    ids = plan(folder, *EVIDENCE)
    study = Study.open(folder)
    announced = [planned_flops(study, study.runs()[run_id]) for run_id in ids]
    assert work(folder, *ids) == 0
    counted = [run_of(folder, run_id).cost.get("evidence_flops", 0.0) for run_id in ids]
    assert announced == pytest.approx(counted)
    assert (announced[0], min(announced[1:]) > 0) == (0.0, True)
    assert planned_cost(Experiment(folder)).evidence_flops == 0.0  # nothing is left to train


def test_a_default_run_trains_what_a_static_one_does(make_study):
    folder = make_study(shares=(0.5,))
    (held,) = plan(folder, {"name": "default"})
    (static,) = [run.id for run in read_runs(folder / "runs") if run.schedule is not None]
    work(folder, held, static)
    assert run_of(folder, held).metrics == run_of(folder, static).metrics
    assert run_of(folder, held).mixture == {"sea": 0.5, "web": 0.5}


def test_the_budget_is_that_of_the_target(make_study):
    folder = make_study(shares=(0.5,))
    (folder / "space.toml").write_text(
        "[target]\ntokens = 1000\n[domain.sea]\ntokens = 50\nmax_epochs = 2\nmin = 0.05\n"
        "[domain.web]\ntokens = 950\nmax = 0.97\n"
    )
    (run_id,) = plan(folder, {"name": "odm"})
    study = Study.open(folder)
    budget = budget_of(study, study.runs()[run_id])
    np.testing.assert_allclose(budget.allowed / budget.run_tokens, [0.1, 3.8])
    np.testing.assert_allclose(budget.prior, [0.05, 0.95])
    assert (budget.lower.tolist(), budget.upper.tolist()) == ([0.05, 0.0], [1.0, 0.97])
    assert study.pools(study.runs()[run_id]) is not None


def test_groups_and_constraints_bind_a_controlled_run(make_study):
    folder = make_study(shares=(0.5,))
    (folder / "space.toml").write_text(
        "[domain.sea]\ngroup = 'wet'\n[domain.web]\n[groups.wet]\nmax = 0.3\n"
        "[[constraint]]\nname = 'ratio'\ncoefficients = {web = 1.0, sea = -4.0}\nmax = 0.0\n"
    )
    (held, moved) = plan(folder, {"name": "uniform"}, {"name": "odm"})
    assert work(folder, held, moved) == 0
    assert run_of(folder, held).mixture["sea"] == pytest.approx(0.3, abs=0.01)
    log = (folder / "curves" / f"{moved}.weights.jsonl").read_text().splitlines()
    for line in log:
        weights = json.loads(line).get("weights", {"sea": 0.25})
        assert 0.2 - 1e-8 <= weights["sea"] <= 0.3 + 1e-8


def test_limits_hold_in_the_tokens_of_the_target(make_study):
    """A domain with more tokens in the proxies' tokenizer may have more of their shares."""
    folder = make_study(shares=(0.5,))
    (folder / "space.toml").write_text(
        "[domain.sea]\ngroup = 'wet'\n[domain.web]\n[groups.wet]\nmin = 0.1\nmax = 0.3\n"
    )
    (run_id,) = plan(folder, {"name": "odm"})
    study = Study.open(folder)
    study = replace(study, factors={**study.factors, "sea": 2.0})
    budget = budget_of(study, study.runs()[run_id])
    for share in (0.1, 0.3):
        own = np.array([2.0 * share if name == "sea" else 1.0 - share for name in study.names])
        assert (budget.limit @ (own / own.sum()) - budget.limit_to).max() == pytest.approx(0.0)


def test_a_reference_is_a_finished_run(make_study):
    folder = make_study(shares=(0.5,))
    (static,) = [run.id for run in read_runs(folder / "runs")]
    early, lost = plan(
        folder, {"name": "doremi", "reference": static}, {"name": "doremi", "reference": "0" * 16}
    )
    study = Study.open(folder)
    with pytest.raises(DataError, match="is planned: train it first"):
        reference_of(study, study.runs()[early])
    with pytest.raises(DataError, match="is not in the table"):
        reference_of(study, study.runs()[lost])
    work(folder, static)
    assert set(reference_of(study, study.runs()[early])) == {"sea", "web"}
    assert reference_of(study, study.runs()[static]) is None
    work(folder, early)
    assert run_of(folder, early).status == "finished"


def test_a_run_without_a_name_for_its_controller_is_refused(make_study):
    folder = make_study(shares=(0.5,))
    (run_id,) = plan(folder, {"name": "odm"})
    study = Study.open(folder)
    nameless = Run(None, 1, study.runs()[run_id].proxy, controller={"form": "paper"})
    with pytest.raises(ConfigError, match="names no controller"):
        study.controller(nameless)
