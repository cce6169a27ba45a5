"""Sources: the study's own paths and counts, a CSV that is believed first, and its mistakes."""

from pathlib import Path

import pytest

from mixopt.config import DomainSpec
from mixopt.errors import DataError
from mixopt.exchange.base import Source
from mixopt.exchange.sources import missing_files, study_sources, with_sheet
from mixopt.space import Domain

KNOWN = {"web": Source("/tok/web", tokens=1e9, documents=1e6), "code": Source("/tok/code")}


def _sheet(folder: Path, text: str) -> Path:
    path = folder / "sources.csv"
    path.write_text(text)
    return path


def test_a_sheet_replaces_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    found = with_sheet(KNOWN, _sheet(tmp_path, "name,path,documents\nweb,s3://b/web,\ncode,,50\n"))
    assert found["web"] == Source("s3://b/web", tokens=1e9, documents=1e6)
    assert found["code"] == Source("/tok/code", documents=50)
    assert KNOWN["web"].path == "/tok/web"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,pth\nweb,/a\n", "no column 'pth'"),
        ("name,path\nwbe,/a\n", ":2: no domain is called 'wbe', did you mean 'web'"),
        ("name,tokens\nweb,0\n", ":2: expected tokens above 0"),
        ("name,tokens\nweb,many\n", "expected a number"),
        ("path\n/a\n", "no column is called 'name'"),
        ("name,path\nweb,/a\nweb,/b\n", "stands on line 2 already"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        with_sheet(KNOWN, _sheet(tmp_path, text))


def test_documents_of_the_pool_follow_from_the_mean_length(tmp_path: Path) -> None:
    entry = {
        "split_by": "documents",
        "splits": {"train": {"tokens": 300, "bytes": 1200, "documents": 10}},
    }
    specs = {"web": DomainSpec(path="text/web"), "code": DomainSpec(path="s3://b/code")}
    domains = [Domain("web", tokens=6000), Domain("code", tokens=6000, max_epochs=2.0)]
    manifest = {"domains": {"web": entry, "code": {**entry, "split_by": "windows"}}}
    found = study_sources(domains, specs, tmp_path, manifest, {"web": 2.0, "code": 2.0})
    assert found["web"].documents == pytest.approx(6000 / 60)  # 120 bytes are 60 target tokens
    assert found["web"].path == str(tmp_path / "text/web")
    assert found["code"] == Source("s3://b/code", tokens=6000, max_epochs=2.0)
    blind = study_sources(domains, specs, tmp_path, None, {})
    assert blind["web"].documents is None


def test_pieces_of_cut_documents_are_not_documents(tmp_path: Path) -> None:
    part = {"tokens": 100, "bytes": 400, "documents": 20}
    entry = {"split_by": "pieces", "documents": 6, "splits": {"train": part, "test": part}}
    found = study_sources(
        [Domain("web", tokens=1000)],
        {"web": DomainSpec()},
        tmp_path,
        {"domains": {"web": entry}},
        {},
    )
    assert found["web"].documents == pytest.approx(1000 * 6 / 200)


def test_files_are_looked_for_as_the_trainer_does(tmp_path: Path) -> None:
    (tmp_path / "web.idx").touch()
    (tmp_path / "a.npy").touch()
    places = {
        "web": Source(f"{tmp_path}/web.bin"),
        "code": Source(f"{tmp_path}/code"),
        "far": Source("s3://b/far"),
        "none": Source(),
    }
    assert missing_files(places, ".idx") == [f"{tmp_path}/code"]
    assert missing_files({"all": Source(f"{tmp_path}/*.npy")}, "") == []
