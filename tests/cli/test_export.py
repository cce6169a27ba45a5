"""`mixopt export` and `mixopt import` as a user types them: units, paths, phases, priors."""

import json
import random
import shutil

import pytest

from cli.main import main

PRIORS = """\
priors:
  token_counts: {web: 900000000, code: 300000000, books: 200000000}
constraints: {enabled: true, target_tokens: 1000000000, repetition_factor: 4.0}
"""
SOURCES = """\
name,path,validation,documents
web,/tok/web,/tok/webv,1000000
code,/tok/code,/tok/codev,40000
books,/tok/books,/tok/booksv,500
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a study that has a proposal, what it came from, and a cluster's sources."""
    folder, rng = tmp_path_factory.mktemp("made"), random.Random(1)
    mixtures, metrics = ["id,web,code,books"], ["id,loss/web,loss/code,loss/books"]
    for number in range(24):
        raw = [rng.expovariate(1.0) for _ in range(3)]
        shares = [value / sum(raw) for value in raw]
        losses = [2 + (0.2 + share) ** -0.4 + rng.gauss(0, 0.002) for share in shares]
        mixtures.append(",".join([f"r{number}", *(f"{value:.6f}" for value in shares)]))
        metrics.append(",".join([f"r{number}", *(f"{value:.6f}" for value in losses)]))
    texts = {"m.csv": "\n".join(mixtures), "l.csv": "\n".join(metrics)}
    for name, text in {**texts, "priors.yaml": PRIORS, "sources.csv": SOURCES}.items():
        (folder / name).write_text(text)
    study = str(folder / "study")
    assert main(["import", study, *tables_of(folder), "--priors", str(folder / "priors.yaml")]) == 0
    decide(study)
    return folder


@pytest.fixture
def proposed(made, tmp_path):
    """A study of one's own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "study"


def tables_of(folder):
    return ["--mixtures", str(folder / "m.csv"), "--metrics", str(folder / "l.csv")]


def decide(study):
    """A proposal by the cheapest law."""
    assert main(["fit", str(study), "--law", "linear", "--quiet"]) == 0
    assert main(["propose", str(study), "-k", "1", "--quiet"]) == 0


def test_the_table_says_what_the_trainer_reads(proposed, tmp_path, mixopt):
    out, sources = tmp_path / "mix", tmp_path / "sources.csv"
    shown = mixopt("export", proposed, "--to", "huggingface", "--sources", sources, "-o", out)
    assert shown.code == 0, shown.err
    assert "trainer reads %" in shown.out
    assert "tokens a document" in shown.err
    assert "this machine has no /tok/web" in shown.err
    again = mixopt(
        "export", proposed, "--to", "huggingface", "--sources", sources, "-o", out, "--json"
    )
    told = json.loads(again.out)
    assert sum(row["read"] for row in told["trainer"]) == pytest.approx(1)
    for row in told["trainer"]:
        assert row["read"] == pytest.approx(row["wanted"], abs=1e-6)
        assert 0 <= row["epochs"] <= 4.001
    assert len(json.loads(out.read_text())["probabilities"]) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--to", "huggingface"],
            "'web' has: give a CSV with name,tokens,documents (--sources)",
        ),
        (["--to", "megatron", "--check-paths", "--sources"], "this machine has no /tok/web.idx"),
        (["--to", "megatron", "--samples", "documents"], "no setting 'samples', there are none"),
        (["--to", "megatron", "--phase", 2], "has 1 phases, got phase 2"),
        (["--to", "megatron_split"], "'web' has none"),
        (["--to", "megatrom"], "did you mean"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(proposed, tmp_path, mixopt, options, words):
    if options[-1] == "--sources":
        options = [*options, tmp_path / "sources.csv"]
    done = mixopt("export", proposed, *options, "-o", tmp_path / "out")
    assert (done.code, words in done.err) == (3, True), done.err
    assert not (tmp_path / "out").exists()


def test_a_trainer_that_counts_tokens_asks_for_sources(tmp_path, mixopt):
    (tmp_path / "space.toml").write_text("[domain.web]\n[domain.code]\n")
    assert mixopt("propose", tmp_path, "--method", "uniform").code == 0
    refused = mixopt("export", tmp_path, "--to", "axolotl", "-o", tmp_path / "out")
    assert refused.code == 3
    assert "'web' has: give a CSV with name,tokens (--sources)" in refused.err


def test_a_schedule_goes_out_in_stages_or_phase_by_phase(proposed, tmp_path, mixopt):
    space = proposed / "space.toml"
    text = space.read_text()
    space.write_text(text.replace("[target]\n", "[target]\nphases = [0.9, 0.1]\n"))
    decide(proposed)
    out = tmp_path / "out"
    still = mixopt("export", proposed, "--to", "megatron", "-o", out)
    assert still.code == 0, still.err  # static runs tell no phases apart: one mixture
    told = json.loads((proposed / "proposal.json").read_text())
    for one in next(iter(told["objectives"].values()))["entries"]:
        one["row"][3:] = one["row"][:3][::-1]
    (proposed / "proposal.json").write_text(json.dumps(told))
    stages = mixopt("export", proposed, "--to", "nanotron", "--steps", 1000, "-o", out)
    assert stages.code == 0, stages.err
    assert "start_training_step: 901" in out.read_text()
    refused = mixopt("export", proposed, "--to", "megatron", "-o", tmp_path / "no")
    assert (refused.code, "--phase" in refused.err) == (3, True)
    assert mixopt("export", proposed, "--to", "megatron", "--phase", 2, "-o", out).code == 0
    assert sum(map(float, out.read_text().split()[::2])) == pytest.approx(1, abs=1e-8)


def test_priors_belong_to_a_study_that_is_made(proposed, tmp_path, mixopt):
    again = ["import", proposed, *tables_of(tmp_path), "--priors", tmp_path / "priors.yaml"]
    refused = mixopt(*again)
    assert (refused.code, "is there already" in refused.err) == (3, True)
    assert "tokens = 900000000" in (proposed / "space.toml").read_text()
