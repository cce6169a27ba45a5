"""The examples of a mixture that moves, run as a reader would; text of the kind that they read."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"


def test_every_domain_has_text_here():
    text = importlib.import_module("online_text")  # pythonpath has examples
    training, held_out = text.split(text.domains())
    assert len(training) == 5
    for name, rows in training.items():
        assert len(rows) > 100, name
        assert held_out[name].shape == (text.HELD_OUT, text.SEQUENCE)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["online_torch.py", "online_hf.py"])
def test_it_runs_and_finds_nothing_left_to_do(script, tmp_path):
    command = [sys.executable, str(FOLDER / script), "ado", str(tmp_path)]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    table = first[first.index("domain") :]
    assert len(table.splitlines()) == 6
    lines = [json.loads(line) for line in (tmp_path / "mixture.jsonl").read_text().splitlines()]
    assert lines[0]["weights"] != lines[-1]["weights"]
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert again[again.index("domain") :].split("loss before")[0] in table


@pytest.mark.slow
def test_streams_go_on_after_a_stop(tmp_path):
    command = [sys.executable, str(FOLDER / "online_stream.py"), str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split(":")[0] for line in told.splitlines()[:2]] == ["step 30", "step 60"]
    rows = [line.split() for line in told.splitlines()[3:]]
    assert sum(int(row[2].replace(",", "")) for row in rows) == 60 * 32 * 128
    code = sum(float(row[1].rstrip("%")) for row in rows if row[0] in ("python", "headers"))
    assert code <= 40.1
