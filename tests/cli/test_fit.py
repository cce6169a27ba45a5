"""`fit` and `propose` on studies written by hand: scales, gaps in the design, picks to verify."""

import json
from shutil import copytree

import numpy as np
import pytest

from mixopt.experiment import Experiment
from mixopt.runs import Run
from mixopt.testing import planted_losses

NAMES = ("a", "b", "c")
SPACE = """\
[domain.a]
[domain.b]
[domain.c]

[objective.mean]
kind = "relative"
"""
QUICK = ("--compare", "ridge", "--quiet", "--json")


def study(folder, weights, losses, scale=(1e6, 1e6, 1e8), blocks=2):
    """Add finished runs (n, 3) with their losses (n, 3) to a study."""
    folder.mkdir(exist_ok=True)
    (folder / "space.toml").write_text(SPACE)
    runs = [
        Run(
            schedule=((1.0, dict(zip(NAMES, np.round(row, 6).tolist()))),),
            seed=i % blocks,
            seed_block=i % blocks,
            name=f"run-{i}",
            origin="design:test",
            proxy={"tokens": int(scale[2]), "width": int(scale[0])},
            scale=scale,
            metrics={f"loss/{name}": float(x) for name, x in zip(NAMES, row_losses)},
        )
        for i, (row, row_losses) in enumerate(zip(weights, losses))
    ]
    Experiment(folder).append(runs)
    return folder


def fit(mixopt, folder, *options):
    result = mixopt("fit", folder, *options, *QUICK)
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.fixture
def weights():
    return np.random.default_rng(0).dirichlet(np.ones(3), 30)


def test_runs_of_a_larger_size_teach_a_law_over_scale(mixopt, tmp_path, weights):
    folder = study(tmp_path / "s", weights, planted_losses(weights))
    study(folder, weights[:10], planted_losses(weights[:10]) - 0.3, scale=(8e6, 8e6, 1e8))
    alone = fit(mixopt, folder, "--law", "ridge")
    assert (alone["runs"], alone["left_out"]) == (30, 10)
    both = fit(mixopt, folder, "--law", "recalibrated")
    assert (both["runs"], both["left_out"]) == (40, 0)
    assert any("larger scale" in note for note in both["notes"])
    moves = both["objectives"]["mean"]["rank_moves"]
    assert moves["mixtures"] == 10
    assert moves["tau"] > 0.9
    proposed = mixopt("propose", folder, "-k", 1, "--json")
    assert proposed.code == 0, proposed.err
    pick = json.loads(proposed.out)["objectives"]["mean"]["entries"][0]
    assert pick["metrics"]["loss/a"]["mean"] < planted_losses(weights)[:, 0].min()


def test_a_law_over_scale_is_behind_when_a_larger_run_comes_in(mixopt, tmp_path, weights):
    folder = study(tmp_path / "s", weights, planted_losses(weights))
    big = {"scale": (8e6, 8e6, 1e8)}
    study(folder, weights[:10], planted_losses(weights[:10]) - 0.3, **big)
    fit(mixopt, folder, "--law", "recalibrated")
    study(folder, weights[10:11], planted_losses(weights[10:11]) - 0.3, **big)
    result = mixopt("propose", folder)
    assert result.code == 3
    assert "fitted on 40 runs" in result.err


def test_what_the_design_could_not_show_is_said(mixopt, tmp_path, weights):
    tied = np.column_stack([0.5 * weights[:, 0], 0.5 * weights[:, 0], 1 - weights[:, 0]])
    report = fit(mixopt, study(tmp_path / "tied", tied, planted_losses(tied)))
    assert "a, b: always moved together, so not told apart" in report["notes"]
    assert "collinear" in report["objectives"]["mean"]["verdict"]["reasons"]
    without = np.column_stack([np.zeros(30), weights[:, 0], 1 - weights[:, 0]])
    folder = study(tmp_path / "without", without, planted_losses(without))
    assert any(note.startswith("a: in no run") for note in fit(mixopt, folder)["notes"])


def test_a_pick_where_no_run_went_is_planned_not_claimed(mixopt, tmp_path, weights):
    rows = weights[weights[:, 0] < 0.35]
    rng = np.random.default_rng(1)
    rows = np.vstack([rows, rows[:6]])
    losses = planted_losses(rows)[:, [0, 0, 0]] + 1e-4 * rng.standard_normal((len(rows), 3))
    folder = study(tmp_path / "s", rows, losses)
    (folder / "proxy.toml").write_text('tokens = 4096\nseeds = [1, 2]\npreset = "tiny"\n')
    fit(mixopt, folder)
    copytree(folder, tmp_path / "held")
    held = json.loads(mixopt("propose", tmp_path / "held", "-k", 1, "--json").out)
    assert held["objectives"]["mean"]["held"]["a"] < 0.5
    assert len(held["objectives"]["mean"]["verify"]) >= 2
    ask = ("propose", folder, "-k", 1, "--outside", "--json")
    first = json.loads(mixopt(*ask).out)["objectives"]["mean"]
    assert first["verdict"]["verdict"] == "run_more"
    assert first["verdict"]["reasons"][0] == "outside_region"
    assert len(first["verify"]) >= 2
    planned = [run for run in Experiment(folder).runs() if run.origin == "verify"]
    assert {run.name for run in planned} == set(first["verify"])
    assert len({run.seed for run in planned}) == 1
    again = json.loads(mixopt(*ask).out)["objectives"]["mean"]
    assert again["verify"] == first["verify"]
    assert len(Experiment(folder).runs()) == len(losses) + len(planned)


def test_laws_to_compare_are_named(mixopt, tmp_path, weights):
    folder = study(tmp_path / "s", weights, planted_losses(weights))
    result = mixopt("fit", folder, "--compare", "ridge,mean", "--json", "--quiet")
    assert set(json.loads(result.out)["scores"]) == {"ridge", "mean"}
    wrong = mixopt("fit", folder, "--compare", "ridge,men")
    assert wrong.code == 3
    assert "did you mean 'mean'" in wrong.err
