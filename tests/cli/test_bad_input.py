"""What people get wrong, through the command line: one sentence each, and nothing half done."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mixopt.runs import read_runs

ROOT = Path(__file__).parents[2]


def one_sentence(result, code, *words):
    """Whether a command ended as it should."""
    assert result.code == code, result.err
    lines = [line for line in result.err.splitlines() if line.startswith("mixopt: ")]
    assert len(lines) == 1, result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in lines[0]


def edit(path, old, new):
    """Replace a piece of a file that must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_missing_domain_folder(study, corpus, mixopt):
    shutil.rmtree(corpus / "code")
    one_sentence(mixopt("prepare", study), 3, "code", "does not exist")
    assert not (study / "data").exists()


def test_an_empty_file_is_named(study, corpus, mixopt):
    for path in (corpus / "sums").iterdir():
        path.write_text("")
    one_sentence(mixopt("prepare", study), 3, "sums")
    assert not (study / "data").exists()


def test_a_file_that_is_not_what_its_ending_says(study, corpus, mixopt):
    (corpus / "code" / "x.jsonl.gz").write_text('{"text": "not compressed"}\n')
    one_sentence(mixopt("prepare", study), 3, "x.jsonl.gz", "gzip")
    assert not (study / "data").exists()


def test_a_line_that_is_no_json(study, corpus, mixopt):
    (corpus / "code" / "x.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    one_sentence(mixopt("prepare", study), 3, "x.jsonl:2")


def test_undecodable_bytes_are_found_with_their_place(study, corpus, mixopt):
    (corpus / "prose" / "x.txt").write_bytes(b"abc\xff\xfe")
    one_sentence(mixopt("prepare", study), 3, "x.txt", "3")


def test_a_binary_file_that_is_called_text(study, corpus, mixopt):
    (corpus / "prose" / "x.txt").write_bytes(b"\x00\x01\x02" * 50)
    one_sentence(mixopt("prepare", study), 3, "x.txt")


def test_a_mixture_that_does_not_sum_to_one(tables, tmp_path, mixopt):
    mixtures, metrics = tables
    lines = mixtures.read_text().splitlines()
    lines[3] = "run02,0.5,0.5,0.5"
    mixtures.write_text("\n".join(lines) + "\n")
    result = mixopt("import", tmp_path / "study", "--mixtures", mixtures, "--metrics", metrics)
    one_sentence(result, 3, "m.csv:4", "1.5")
    assert not (tmp_path / "study").exists()


def test_an_unknown_key_with_its_line_and_the_nearest(study, mixopt):
    edit(study / "proxy.toml", "tokens = 4096", "token = 4096\ntokens = 4096")
    one_sentence(mixopt("sample", study, "-n", 8), 3, "proxy.toml:1", "did you mean 'tokens'")


def test_an_unknown_size_names_the_nearest(study, mixopt):
    mixopt("prepare", study)
    edit(study / "proxy.toml", "width = 16", "wdth = 16")
    one_sentence(mixopt("sample", study, "-n", 8), 3, "wdth", "did you mean 'width'")


def test_caps_that_cannot_be_met(study, mixopt):
    edit(study / "space.toml", "# tokens = 1_000_000_000_000", "tokens = 1_000_000_000 #")
    mixopt("prepare", study)
    one_sentence(mixopt("sample", study, "-n", 8), 5, "max_epochs")
    assert read_runs(study / "runs") == []


def test_an_objective_that_names_a_metric_nobody_measured(tables, tmp_path, mixopt):
    mixtures, metrics = tables
    study = tmp_path / "study"
    mixopt("import", study, "--mixtures", mixtures, "--metrics", metrics)
    edit(study / "space.toml", '"loss/code"', '"loss/cod"')
    one_sentence(mixopt("fit", study), 3, "loss/cod", "did you mean 'loss/code'")
    assert not (study / "law.json").exists()


def test_a_torn_last_line_costs_that_line_only(tables, tmp_path, mixopt):
    mixtures, metrics = tables
    study = tmp_path / "study"
    mixopt("import", study, "--mixtures", mixtures, "--metrics", metrics)
    table = next((study / "runs").glob("*.jsonl"))
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.warns(UserWarning, match="torn"):
        result = mixopt("fit", study, "--json")
    assert result.code == 0
    with pytest.warns(UserWarning, match="torn"):
        assert len(read_runs(study / "runs")) == 23


def test_a_table_of_another_experiment(tables, study, tmp_path, mixopt):
    mixtures, metrics = tables
    other = tmp_path / "other"
    mixopt("import", other, "--mixtures", mixtures, "--metrics", metrics)
    shutil.copytree(other / "runs", study / "runs")
    one_sentence(mixopt("fit", study), 3, "web")


def test_data_of_another_experiment(study, tmp_path, mixopt):
    mixopt("prepare", study)
    edit(study / "space.toml", "[domain.sums]", "[domain.numbers]")
    edit(study / "space.toml", '"sums"', '"numbers"')
    one_sentence(mixopt("sample", study, "-n", 8), 3, "numbers", "mixopt prepare")


def test_a_law_behind_its_table(tables, tmp_path, mixopt):
    mixtures, metrics = tables
    lines = mixtures.read_text().splitlines()
    (tmp_path / "m1.csv").write_text("\n".join(lines[:-2]) + "\n")
    losses = metrics.read_text().splitlines()
    (tmp_path / "l1.csv").write_text("\n".join(losses[:-2]) + "\n")
    study = tmp_path / "study"
    mixopt("import", study, "--mixtures", tmp_path / "m1.csv", "--metrics", tmp_path / "l1.csv")
    assert mixopt("fit", study).code == 0
    mixopt("import", study, "--mixtures", mixtures, "--metrics", metrics)
    one_sentence(mixopt("propose", study), 3, "22", "24", "mixopt fit")
    assert not (study / "proposal.json").exists()


def test_nothing_is_there(tmp_path, mixopt):
    one_sentence(mixopt("fit", tmp_path / "nowhere"), 3, "does not exist", "mixopt init")


def test_a_law_that_does_not_exist(tables, tmp_path, mixopt):
    mixtures, metrics = tables
    study = tmp_path / "study"
    mixopt("import", study, "--mixtures", mixtures, "--metrics", metrics)
    one_sentence(mixopt("fit", study, "--law", "ridg"), 3, "did you mean 'ridge'")


def test_a_metric_that_is_not_a_number(study, mixopt, tmp_path):
    mixopt("prepare", study)
    mixopt("sample", study, "-n", 4)
    name = read_runs(study / "runs")[0].name
    (tmp_path / "metrics.json").write_text('{"bpb/code": NaN}')
    one_sentence(mixopt("record", study, name, tmp_path / "metrics.json"), 3, "bpb/code")
    assert all(run.status == "planned" for run in read_runs(study / "runs"))


def test_a_metric_that_no_law_could_read_is_not_recorded(study, mixopt, tmp_path):
    mixopt("prepare", study)
    mixopt("sample", study, "-n", 4)
    name = read_runs(study / "runs")[0].name
    for metrics, words in [
        ('{"accuracy": 0.5}', ("accuracy", "[metrics]")),
        ('{"bpb/cod": 2.0}', ("bpb/cod", "did you mean 'code'")),
    ]:
        (tmp_path / "metrics.json").write_text(metrics)
        one_sentence(mixopt("record", study, name, tmp_path / "metrics.json"), 3, *words)
    assert all(run.status == "planned" for run in read_runs(study / "runs"))


def test_an_error_is_one_document_too(tmp_path, mixopt):
    result = mixopt("status", tmp_path / "nowhere", "--json")
    one_sentence(result, 3, "does not exist")
    assert json.loads(result.out)["exit_code"] == 3


def test_a_baseline_that_does_not_sum_to_one_is_named(study, mixopt):
    mixopt("prepare", study)
    text = (study / "space.toml").read_text()
    (study / "space.toml").write_text(text + "\n[baselines.mine]\ncode = 0.9\nprose = 0.4\n")
    one_sentence(mixopt("sample", study, "-n", 8), 3, "baselines.mine", "1.3")


def test_wrong_usage_is_exit_code_2(mixopt):
    assert mixopt("sample").code == 2
    assert mixopt("no-such-command").code == 2


def test_init_overwrites_nothing(study, corpus, mixopt):
    before = (study / "space.toml").read_text()
    one_sentence(mixopt("init", study, "--from", corpus), 3, "exists already")
    assert (study / "space.toml").read_text() == before


@pytest.mark.skipif(os.name != "posix", reason="needs ulimit")
@pytest.mark.parametrize("command", [["prepare"], ["sample", "-n", "40"]])
def test_a_disk_that_fills(study, mixopt, command):
    """`ulimit -f` stands for the full disk: a write past 4 kB fails."""
    if command[0] != "prepare":
        assert mixopt("prepare", study).code == 0
    script = 'ulimit -f 4; trap "" XFSZ; exec "$@"'
    line = [sys.executable, "-m", "cli.main", command[0], str(study), *command[1:]]
    result = subprocess.run(
        ["bash", "-c", script, "mixopt", *line], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 3, result.stderr
    assert "could not be written" in result.stderr
    assert "Traceback" not in result.stderr
    if command[0] == "prepare":
        assert not (study / "data").exists()
    whole = mixopt(command[0], study, *command[1:])
    assert whole.code == 0
