"""Domains from folders and from lists: what is found, what is said, and each mistake's place."""

import csv
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.config import DomainSpec
from mixopt.corpus import corpus_from_csv, corpus_from_folder
from mixopt.errors import DataError


@pytest.fixture
def corpus(tmp_path):
    """Two folders, one of them nested, and a file."""
    for name in ("web/news/a.txt", "web/blogs/a.txt", "code/a.py", ".git/x", "sums.jsonl.gz"):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path / "corpus"


def write(path, text):
    """A CSV with this text."""
    path.write_text(text, encoding="utf-8")
    return path


def test_each_folder_and_each_file_of_text_is_a_domain(corpus):
    found = corpus_from_folder(corpus)
    assert {name: spec.path for name, spec in found.domains.items()} == {
        "code": str(corpus / "code"),
        "sums": str(corpus / "sums.jsonl.gz"),
        "web": str(corpus / "web"),
    }
    assert any("web" in note and "--levels 2" in note for note in found.notes)


def test_folders_in_folders_are_domains_where_that_is_asked(corpus):
    found = corpus_from_folder(corpus, levels=2)
    assert list(found.domains) == ["code", "sums", "web:blogs", "web:news"]
    assert found.domains["web:news"].path == str(corpus / "web" / "news")
    assert found.notes == ()


def test_a_file_beside_nested_folders_belongs_nowhere(corpus):
    (corpus / "web" / "stray.txt").write_text("x")
    assert "web" in corpus_from_folder(corpus).domains
    with pytest.raises(DataError, match=r"web has folders.*stray\.txt.*move them"):
        corpus_from_folder(corpus, levels=2)


def test_what_is_no_domain_is_named(corpus):
    for name in ("README.md", "manifest.json", "notes.pdf"):
        (corpus / name).write_text("x")
    found = corpus_from_folder(corpus)
    assert len(found.domains) == 3
    assert [note for note in found.notes if "README.md, manifest.json, notes.pdf" in note]


def test_a_file_name_may_hold_levels(corpus):
    (corpus / "wiki__de.parquet").write_text("x")
    assert "wiki:de" in corpus_from_folder(corpus).domains


@pytest.mark.parametrize("name", ["My Web", "Größe", "Web", "web!"])
def test_a_name_that_is_none_comes_with_a_better_one(corpus, name):
    (corpus / name).mkdir()
    with pytest.raises(DataError, match=r"no name of a domain.*for example '[a-z_]+'") as caught:
        corpus_from_folder(corpus)
    assert "\n" not in str(caught.value)


def test_two_paths_for_one_name_are_refused(corpus):
    (corpus / "code.txt").write_text("x")
    with pytest.raises(DataError, match=r"would both be the domain 'code'"):
        corpus_from_folder(corpus)


def test_a_corpus_without_domains_is_refused(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "notes.pdf").write_text("x")
    with pytest.raises(DataError, match="names no domain"):
        corpus_from_folder(tmp_path / "corpus")
    with pytest.raises(DataError, match="at least one level"):
        corpus_from_folder(tmp_path / "corpus", levels=0)


def test_a_loop_of_links_ends(corpus):
    (corpus / "loop").mkdir()
    (corpus / "loop" / "self").symlink_to(corpus / "loop")
    assert "loop:self:self" in corpus_from_folder(corpus, levels=3).domains


def test_a_list_in_the_corpus_is_believed_and_what_it_leaves_out_is_named(corpus):
    write(corpus / "domains.csv", "name,path\nnews,web/news\n")
    found = corpus_from_folder(corpus)
    assert found.domains["news"].path == str(corpus / "web" / "news")
    assert "domains.csv" in found.notes[0]
    assert found.notes[1].endswith("code, sums.jsonl.gz")


def test_a_list_has_every_key_of_a_domain(tmp_path):
    (tmp_path / "w").mkdir()
    text = (
        "name,tokens,path,group,max_epochs,train,max\nweb:news,3e9,w,big,2.5,false,0.5\nlaw,,,,,,\n"
    )
    found = corpus_from_csv(write(tmp_path / "domains.csv", "\ufeff" + text))
    assert found.domains["web:news"] == DomainSpec(
        path=str(tmp_path / "w"), tokens=3e9, group="big", max_epochs=2.5, train=False, max=0.5
    )
    assert found.domains["law"].model_fields_set == set()
    assert found.notes == ("no path, so nothing to prepare: law",)


def test_rows_of_a_table_are_told_apart_by_columns(tmp_path):
    text = "name,path,column,where\nnews,t.parquet,body,source=news;lang=en\n"
    (tmp_path / "t.parquet").write_text("x")
    spec = corpus_from_csv(write(tmp_path / "domains.csv", text)).domains["news"]
    assert (spec.column, spec.where) == ("body", {"source": "news", "lang": "en"})


def test_files_that_belong_to_another_are_no_domains(tmp_path):
    for name in ("a.bin", "a.idx", "b.ds", "b.ds.index", "b.ds.metadata", "c.bin", "d.npy"):
        (tmp_path / name).write_text("x")
    found = corpus_from_folder(tmp_path)
    assert {name: spec.path for name, spec in found.domains.items()} == {
        "a": str(tmp_path / "a.idx"),
        "b": str(tmp_path / "b.ds"),
        "c": str(tmp_path / "c.bin"),
        "d": str(tmp_path / "d.npy"),
    }
    assert not any("left out" in note for note in found.notes)


def test_a_path_that_is_not_there_yet_is_said(tmp_path):
    found = corpus_from_csv(write(tmp_path / "domains.csv", "name,path\nweb,elsewhere\n"))
    assert found.notes[0].endswith("not there (yet): web")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name,tokns\nweb,3\n", 1, "did you mean 'tokens'?"),
        ("tokens\n3\n", 1, "the column 'name'"),
        ("", 1, "the column 'name'"),
        ("name;tokens\nweb;3\n", 1, "expected commas"),
        ("name,tokens,tokens\nweb,3,4\n", 1, "twice"),
        ("name,tokens\nMy Web,3\n", 2, "for example 'my_web'"),
        ("name,tokens\n,3\n", 2, "no name of a domain"),
        ("name,tokens\n:web,3\n", 2, "for example 'web'"),
        ("name,tokens\nweb,3\n\nweb,4\n", 4, "stands in line 2 already"),
        ("name,tokens\nweb,30 billion\n", 2, "write 30e9"),
        ("name,tokens\nweb,-3\n", 2, "greater than 0, got '-3'"),
        ("name,tokens\nweb,inf\n", 2, "got 'inf'"),
        ("name,tokens\nweb,30,000\n", 2, 'as "1,5"'),
        ("name,train\nweb,maybe\n", 2, "'train'"),
        ("name,max_epochs\nweb,0\n", 2, "'max_epochs'"),
        ("name,where\nweb,news\n", 2, "expected column=value"),
        ('name,path\nweb,"a\nb"\nlaw,x,y\n', 4, "expected 2 values, got 3"),
    ],
)
def test_a_mistake_in_a_list_is_found_with_its_line(tmp_path, text, line, words):
    with pytest.raises(DataError) as caught:
        corpus_from_csv(write(tmp_path / "domains.csv", text))
    assert f"domains.csv:{line}: " in str(caught.value)
    assert words in str(caught.value)


def test_files_that_are_no_list(tmp_path):
    path = write(tmp_path / "domains.csv", "name,tokens\n")
    with pytest.raises(DataError, match="names no domain"):
        corpus_from_csv(path)
    path.write_bytes(b"name\n\xff\xfe\n")
    with pytest.raises(DataError, match="UTF-8"):
        corpus_from_csv(path)
    path.write_text('name\n"web\n')
    with pytest.raises(DataError, match="could not be read as a CSV"):
        corpus_from_csv(path)


names = st.lists(
    st.from_regex(r"[a-z0-9_][a-z0-9_.:-]{0,9}", fullmatch=True), min_size=1, unique=True
)
values = st.fixed_dictionaries(
    {
        "tokens": st.none() | st.integers(1, 10**13),
        "group": st.none() | st.text("abc ,\"'ü", min_size=1).map(str.strip).filter(bool),
        "max_epochs": st.none() | st.floats(0.1, 100.0),
        "train": st.none() | st.booleans(),
    }
)


@given(names, st.data())
def test_a_list_says_what_was_written_into_it(tmp_path_factory, domains, data):
    path = tmp_path_factory.getbasetemp() / f"domains-{os.getpid()}.csv"
    rows = {name: data.draw(values) for name in domains}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["name", "tokens", "group", "max_epochs", "train"])
        writer.writeheader()
        writer.writerows({"name": name, **row} for name, row in rows.items())
    found = corpus_from_csv(path)
    assert list(found.domains) == domains
    for name, row in rows.items():
        said = {key: value for key, value in row.items() if value is not None}
        assert found.domains[name] == DomainSpec(**said)
