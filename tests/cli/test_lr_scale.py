"""`sample --lr-scale` and what `fit` prints of it, through the real command line."""

import csv
import json

import pytest

from mixopt.runs import read_runs

SPACE = "[target]\ntokens = 1_000_000\n" + "".join(
    f"[domain.{name}]\ntokens = {tokens}\n"
    for name, tokens in (("web", 900_000), ("code", 800_000), ("books", 700_000))
)


@pytest.fixture
def study(tmp_path, mixopt):
    """A swarm of another trainer, planned and recorded."""
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "proxy.toml").write_text("tokens = 1000\nscale = [20e6, 4e6]\n")
    assert mixopt("sample", tmp_path, "-n", 24, "--design", "dirichlet").code == 0
    record(tmp_path, mixopt, 1.0)
    return tmp_path


def record(folder, mixopt, order):
    """Losses of a known law for what is planned; a negative `order` turns it upside down."""
    for run in read_runs(folder / "runs"):
        if run.status == "planned":
            shares = run.schedule[0][1]
            told = {f"loss/{name}": 3 - order * share**0.5 for name, share in shares.items()}
            (folder / "m.json").write_text(json.dumps(told))
            assert mixopt("record", folder, run.id, folder / "m.json", "--quiet").code == 0


@pytest.mark.parametrize(("order", "words"), [(0.4, "the order stays"), (-0.4, "the order moves")])
def test_the_leading_mixtures_at_a_tenth_of_the_rate(study, mixopt, order, words):
    plan = json.loads(mixopt("sample", study, "-n", 8, "--lr-scale", 0.1, "--json").out)
    assert (plan["new"], plan["roles"], plan["cost"]["runs"]) == (8, {"robustness": 8}, 8)
    export = mixopt("export", study, "--runs", "planned", "--to", "csv", "-o", study / "p.csv")
    assert export.code == 0
    with (study / "p.csv").open() as file:
        assert {line["lr_scale"] for line in csv.DictReader(file)} == {"0.1"}
    record(study, mixopt, order)
    fitted = mixopt("fit", study, "--law", "ridge", "--compare", "ridge")
    assert f"mean at 0.1 of the learning rate: {words} (8 mixtures, Kendall's tau" in fitted.out
    told = json.loads(mixopt("fit", study, "--law", "ridge", "--compare", "ridge", "--json").out)
    reasons = told["objectives"]["mean"]["verdict"]["reasons"]
    assert ("rate_moves" in reasons) == (order < 0)
    assert told["objectives"]["mean"]["rate_moves"]["mixtures"] == 8


def test_nothing_to_repeat_is_one_sentence(tmp_path, mixopt):
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "proxy.toml").write_text("tokens = 1000\nscale = [20e6, 4e6]\n")
    none = mixopt("sample", tmp_path, "-n", 8, "--lr-scale", 0.1)
    assert (none.code, none.err.count("\n")) == (3, 1)
    assert "without --lr-scale first" in none.err
