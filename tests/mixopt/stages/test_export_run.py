"""What a run was trained on, for trainers with stages: few phases, the same tokens by domain."""

import json
from dataclasses import replace

import pytest

from cli.main import main
from mixopt.errors import DataError
from mixopt.experiment import Experiment
from mixopt.files import write_json
from mixopt.stages.export_run import export_run, run_schedule

SPACE = "[domain.web]\ntokens = 9000\n[domain.law]\ntokens = 1000\n[target]\ntokens = 4000\n"
PROXY = "tokens = 4096\nseeds = [1, 2]\n"
PATH = [(0.25, 0.9), (0.25, 0.8), (0.2, 0.3), (0.3, 0.31)]


@pytest.fixture
def study(tmp_path):
    """A study with one finished controlled run and the path that it left."""
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "proxy.toml").write_text(PROXY)
    exp = Experiment(tmp_path)
    exp.sample_controlled("odm", 1)
    run = next(run for run in exp.runs() if run.controller)
    exp.append([replace(run, metrics={"loss/web": 3.0, "loss/law": 3.0})])
    phases = [
        {"fraction": part, "shares": {"web": web, "law": round(1 - web, 9)}} for part, web in PATH
    ]
    write_json(tmp_path / "curves" / f"{run.id}.schedule.json", {"run": run.id, "phases": phases})
    return tmp_path


def test_few_phases_keep_the_tokens_of_every_domain(study):
    exp, out = Experiment(study), study / "out.json"
    mean = sum(part * web for part, web in PATH)
    for phases in (1, 2, 4):
        done = export_run(exp, "json", out, "odm-s1", phases)
        assert done.shares["web"] == pytest.approx(mean, abs=1e-8)
        assert len({row.phase for row in done.rows}) == phases
    epochs = {row.domain: row.epochs for row in export_run(exp, "json", out, "odm-s1", 1).rows}
    assert epochs["law"] == pytest.approx((1 - mean) * 4000 / 1000)


def test_phases_break_where_the_path_jumps(study):
    out = study / "out.yaml"
    done = export_run(Experiment(study), "nanotron", out, "odm-s1", 2, settings={"steps": 1000})
    assert "data_stages" in out.read_text()
    second = next(row for row in done.rows if row.phase == 2 and row.domain == "web")
    assert second.wanted == pytest.approx((0.2 * 0.3 + 0.3 * 0.31) / 0.5, abs=1e-8)


def test_the_command_writes_it(study, capsys):
    out = study / "out.csv"
    command = ["export", str(study), "--run", "odm-s1", "--phases", "2", "--to", "csv", "-o"]
    assert main([*command, str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mixture"] == "odm-s1"
    assert len(out.read_text().splitlines()) > 3


def test_a_plain_run_is_one_phase_and_an_unfinished_one_has_none(study):
    exp = Experiment(study)
    natural = exp.run("natural-s1")
    assert run_schedule(exp, natural) == natural.schedule
    exp.sample_controlled("ado", 1)
    with pytest.raises(DataError, match="has left no schedule"):
        export_run(exp, "json", study / "out.json", "ado-s1", 2)
