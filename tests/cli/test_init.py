"""`mixopt init` and whose tokens, through the command line: what is said, and what is refused."""

import csv
import json

import pytest

from mixopt.config import read_space


def test_what_was_assumed_is_on_the_screen_and_in_the_file(tmp_path, corpus, mixopt):
    result = mixopt("init", tmp_path / "a", "--from", corpus)
    told = [line for line in result.err.splitlines() if line.startswith("assumed: ")]
    assert len(told) >= 3
    assert "mixopt prepare" in result.err.splitlines()[-1]
    document = json.loads(mixopt("init", tmp_path / "b", "--from", corpus, "--json").out)
    assert [f"assumed: {note}" for note in document["notes"]] == told


def test_nested_folders_become_levels(tmp_path, corpus, mixopt):
    (corpus / "web" / "news").mkdir(parents=True)
    (corpus / "web" / "news" / "a.txt").write_text("x")
    mixopt("init", tmp_path / "one", "--from", corpus)
    assert "web" in read_space(tmp_path / "one" / "space.toml").domain
    mixopt("init", tmp_path / "two", "--from", corpus, "--levels", 2)
    assert "web:news" in read_space(tmp_path / "two" / "space.toml").domain


def test_a_corpus_or_a_list_but_not_both(tmp_path, corpus, mixopt):
    assert mixopt("init", tmp_path / "study").code == 2
    (tmp_path / "d.csv").write_text("name,tokens\nweb,3e9\nlaw,1e6\n")
    both = mixopt("init", tmp_path / "study", "--from", corpus, "--domains", tmp_path / "d.csv")
    assert both.code == 2
    assert not (tmp_path / "study").exists()
    assert mixopt("init", tmp_path / "study", "--domains", tmp_path / "d.csv").code == 0
    assert read_space(tmp_path / "study" / "space.toml").domain["web"].tokens == 3e9


def test_a_mistake_in_a_list_is_one_sentence(tmp_path, mixopt):
    (tmp_path / "d.csv").write_text("name,tokens\nweb,many\n")
    result = mixopt("init", tmp_path / "study", "--domains", tmp_path / "d.csv")
    assert result.code == 3
    assert result.err.count("\n") == 1
    assert "d.csv:2: 'tokens'" in result.err


@pytest.fixture
def planned(tmp_path, mixopt):
    """A study with planned runs and the bytes a token of the target's tokenizer."""
    text = "name,tokens,bytes_per_token\nweb,3e9,4\nlaw,1e9,5\n"
    (tmp_path / "d.csv").write_text(text)
    study = tmp_path / "study"
    mixopt("init", study, "--domains", tmp_path / "d.csv", "--target-tokens", "1e9")
    assert mixopt("sample", study, "-n", 4).code == 0
    return study


def test_planned_runs_are_exported_in_the_trainers_tokens(tmp_path, planned, mixopt):
    (tmp_path / "t.csv").write_text("name,bytes_per_token\nweb,4\nlaw,2.5\n")
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    mixopt("export", planned, "--runs", "planned", "--to", "csv", "-o", plain)
    options = ("--bytes-per-token", tmp_path / "t.csv")
    result = mixopt("export", planned, "--runs", "planned", "--to", "csv", "-o", other, *options)
    assert "trainer's tokens" in result.err
    with plain.open() as one, other.open() as two:
        for ours, theirs in zip(csv.DictReader(one), csv.DictReader(two), strict=True):
            assert ours["id"] == theirs["id"]
            wanted = 2 * float(ours["law"]) / (float(ours["web"]) + 2 * float(ours["law"]))
            assert float(theirs["law"]) == pytest.approx(wanted)


def test_bytes_a_token_that_nobody_says_are_asked_for(tmp_path, planned, mixopt):
    target = ("--runs", "planned", "--to", "csv", "-o", tmp_path / "x.csv")
    (tmp_path / "t.csv").write_text("name,bytes_per_token\nweb,4\n")
    result = mixopt("export", planned, *target, "--bytes-per-token", tmp_path / "t.csv")
    assert (result.code, "'law'" in result.err) == (3, True)
    (tmp_path / "t.csv").write_text("name\nweb\nlaw\n")
    result = mixopt("export", planned, *target, "--bytes-per-token", tmp_path / "t.csv")
    assert (result.code, "bytes_per_token for 'web'" in result.err) == (3, True)
    assert not (tmp_path / "x.csv").exists()
