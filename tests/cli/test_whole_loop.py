"""Text in, mixture out, through the real command line: our own trainer, and a foreign one."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mixopt.runs import read_runs

DOMAINS = ("code", "prose", "sums")
MIXTURES = {"proposal-3", "uniform", "tempered", "natural", "best_run"}
KINDS = ("confirmed", "better_at_proxy", "ranking_only", "run_more", "no_signal")

FOREIGN_TRAINER = """
import csv, json, subprocess, sys
mixopt, study, folder = [sys.executable, "-m", "cli.main"], sys.argv[1], sys.argv[2]
planned = folder + "/planned.csv"
export = ["export", study, "--runs", "planned", "--to", "csv", "-o", planned]
subprocess.run([*mixopt, *export], check=True)
with open(planned) as file:
    runs = list(csv.DictReader(file))
for run in runs[: int(sys.argv[3])]:
    shares = {name: float(run[name]) for name in ("web", "code", "books")}
    losses = {f"loss/{name}": 2 + (0.2 + share) ** -0.4 for name, share in shares.items()}
    metrics = f"{folder}/{run['id']}.json"
    with open(metrics, "w") as file:
        json.dump(losses, file)
    subprocess.run([*mixopt, "record", study, run["id"], metrics, "--quiet"], check=True)
"""

FOREIGN_DOMAINS = {"web": 9e5, "code": 3e5, "books": 2e5}


def header_cells(text):
    """The cells of every table header: the line above a rule."""
    lines = text.splitlines()
    headers = [lines[i - 1] for i, line in enumerate(lines) if i and set(line.strip()) == {"─"}]
    return {cell for header in headers for cell in re.split(r"\s{2,}", header.strip()) if cell}


def test_from_text_to_an_exported_mixture(study, mixopt, tmp_path):
    shown = {}

    def ask(name, *options):
        """A command's JSON; asked before without it, its tables."""
        result = mixopt(name, study, *options)
        assert result.code == 0, result.err
        shown[name] = result.out
        return json.loads(mixopt(name, study, *options, "--json").out)

    assert set(ask("prepare")["domains"]) == set(DOMAINS)

    plan = ask("sample", "-n", 8)
    assert plan["new"] == 0
    assert plan["cost"]["runs"] == len(plan["runs"])
    assert plan["cost"]["seconds"] > 0

    idle = ask("train-proxies")
    assert idle["finished"] == 0
    runs = read_runs(study / "runs")
    assert {run.status for run in runs} == {"finished"}
    assert idle["plateau"]["runs"] == len(runs) == len(plan["runs"])
    assert {f"bpb/{name}" for name in DOMAINS} <= set(runs[0].metrics)
    assert not any(name.startswith("bpb@test") for run in runs for name in run.metrics)

    assert ask("fit")["runs"] == len(runs)
    proposed = ask("propose", "-k", 2)
    assert proposed["verdict"]["verdict"] in KINDS

    confirmed = ask("confirm")["objectives"]["mean"]
    assert confirmed["verdict"]["verdict"] in KINDS
    assert confirmed["text"] == "test"
    assert confirmed["blocks"] == 3
    before = len(read_runs(study / "runs"))
    mixopt("confirm", study)
    assert len(read_runs(study / "runs")) == before

    blend = tmp_path / "blend.txt"
    assert mixopt("export", study, "--to", "megatron", "-o", blend).code == 0
    words = blend.read_text().split()
    assert sum(float(weight) for weight in words[::2]) == pytest.approx(1, abs=1e-5)
    ask("status")
    check_readme(shown)


def check_readme(shown):
    """README's transcript shows the tables that the commands print now."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    transcript = "\n".join(re.findall(r"```console\n(.*?)```", readme, re.DOTALL))
    assert set(re.findall(r"\$ mixopt ([a-z-]+)", transcript)) >= set(shown) - {"status"}
    of_the_study = ("rank of ", "gain over ")  # an objective or a baseline is part of these
    told = {cell for cell in header_cells(transcript) if not cell.startswith(of_the_study)}
    printed = header_cells("\n".join(shown.values()))
    assert told - MIXTURES - {"epochs"} <= printed  # of a target, which this study has not


def test_a_foreign_trainer_needs_only_export_and_record(tmp_path, mixopt, make_experiment):
    study = tmp_path / "study"
    proxy = "tokens = 1000000\nscale = [5e6, 1e6]\nseeds = [1, 2]\n[confirm]\nseeds = [5, 6]\n"
    make_experiment(study, FOREIGN_DOMAINS, proxy, target=1e6)
    plan = json.loads(mixopt("sample", study, "-n", 12, "--json").out)
    assert plan["cost"]["flops"] == pytest.approx(6 * 1e6 * 1e6 * len(plan["runs"]))
    script = tmp_path / "trainer.py"
    script.write_text(FOREIGN_TRAINER)
    command = [sys.executable, str(script), str(study), str(tmp_path)]
    subprocess.run([*command, "3"], check=True, cwd=Path(__file__).parents[2])
    status = json.loads(mixopt("status", study, "--json").out)
    assert sum(states["finished"] for states in status["counts"].values()) == 3
    subprocess.run([*command, "100"], check=True, cwd=Path(__file__).parents[2])
    assert {run.status for run in read_runs(study / "runs")} == {"finished"}
    assert mixopt("fit", study).code == 0
    proposal = json.loads(mixopt("propose", study, "--json").out)
    assert proposal["objectives"]["mean"]["entries"]
    assert mixopt("confirm", study, "--plan").code == 0
    early = mixopt("confirm", study)
    assert (early.code, "train what is planned" in early.err) == (3, True)
    subprocess.run([*command, "100"], check=True, cwd=Path(__file__).parents[2])
    confirmed = json.loads(mixopt("confirm", study, "--json").out)["objectives"]["mean"]
    assert confirmed["text"] == "validation"
    assert confirmed["verdict"]["verdict"] in KINDS


def test_two_csv_files_become_a_proposal(tables, tmp_path, mixopt):
    mixtures, metrics = tables
    study = tmp_path / "study"
    first = mixopt("import", study, "--mixtures", mixtures, "--metrics", metrics, "--json")
    assert json.loads(first.out)["new"] == 24
    again = mixopt("import", study, "--mixtures", mixtures, "--metrics", metrics, "--json")
    assert json.loads(again.out)["new"] == 0
    assert mixopt("fit", study).code == 0
    proposal = json.loads(mixopt("propose", study, "-k", 3, "--json").out)
    best = proposal["objectives"]["mean"]["entries"][0]["shares"]
    assert sum(best.values()) == pytest.approx(1)
    with open(tmp_path / "ask.csv", "w", newline="") as file:
        csv.writer(file).writerows([["id", *best], ["mine", *best.values()]])
    predicted = json.loads(
        mixopt("predict", study, "--mixtures", tmp_path / "ask.csv", "--json").out
    )
    metric = predicted["mixtures"]["mine"]["loss/web"]
    assert metric["sd"] > 0
    assert 2.5 < metric["mean"] < 4


def test_a_csv_of_accuracies_needs_only_their_direction(tables, tmp_path, mixopt):
    mixtures, metrics = tables
    _, *lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join(["id,arc,hella,piqa", *lines]) + "\n")
    study = tmp_path / "study"
    done = json.loads(
        mixopt("import", study, "--mixtures", mixtures, "--metrics", metrics, "--json").out
    )
    assert done["metrics"] == ["task/arc", "task/hella", "task/piqa"]
    assert any("[metrics]" in note for note in done["notes"])
    assert "no direction" in mixopt("fit", study).err
    told = "".join(f'"{name}" = "up"\n' for name in done["metrics"])
    text = (study / "space.toml").read_text()
    (study / "space.toml").write_text(f"{text}\n[metrics]\n{told}")
    assert mixopt("fit", study).code == 0
    best = json.loads(mixopt("propose", study, "-k", 1, "--json").out)["objectives"]["mean"]
    assert best["entries"][0]["metrics"]["task/arc"]["mean"] > 0  # in its own direction
