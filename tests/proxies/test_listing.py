"""Which files a domain has: by ending or as told, and what is an error instead of a guess."""

import os
from pathlib import Path

import numpy as np
import pytest

from mixopt.errors import ConfigError, DataError
from proxies.formats import make_format
from proxies.formats.columns import Columns
from proxies.listing import check_apart, list_files
from proxies.sources import Source


def make(name):
    options = {"columns": Columns(), "dtype": "uint16", "vocabulary": 10, "eos": 9}
    return make_format(name, options)


def write(folder: Path, names: str, content: bytes = b"x") -> Path:
    for name in names.split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def listed(path: Path, **told):
    listing = list_files(Source("a", path, **told), make)
    return [(listing.place(file.path), file.format) for file in listing.files]


def test_a_folder_is_listed_by_ending_in_order(tmp_path):
    write(tmp_path, "b/2.py a.md b/1.txt.gz b/0.png .git/c.txt b/.hidden.txt a/z.txt")
    write(tmp_path, "b/__init__.py", b"")
    listing = list_files(Source("a", tmp_path), make)
    places = [listing.place(file.path) for file in listing.files]
    assert places == ["a/z.txt", "a.md", "b/1.txt.gz", "b/2.py"]
    assert {file.format for file in listing.files} == {"text"}
    assert (listing.skipped, listing.empty, listing.size) == ({".png": 1}, 1, 4)


def test_every_ending_has_its_format(tmp_path):
    write(tmp_path, "a.jsonl b.ndjson.zst c.JSONL.GZ d.parquet e.json f.csv.xz g.tsv")
    assert dict(listed(tmp_path)) == {
        "a.jsonl": "jsonl",
        "b.ndjson.zst": "jsonl",
        "c.JSONL.GZ": "jsonl",
        "d.parquet": "parquet",
        "e.json": "json",
        "f.csv.xz": "csv",
        "g.tsv": "csv",
    }


def test_one_file_is_a_domain_too_whatever_it_is_called(tmp_path):
    write(tmp_path, "a.txt raw")
    assert listed(tmp_path / "a.txt") == [("a.txt", "text")]
    assert listed(tmp_path / "raw", format="jsonl") == [("raw", "jsonl")]


def test_what_lies_beside_tokens_is_read_with_them(tmp_path):
    (tmp_path / "m").mkdir()
    write(tmp_path / "m", "a.idx a.bin b.idx b.bin", b"xxxx")
    assert listed(tmp_path / "m") == [("a.idx", "megatron"), ("b.idx", "megatron")]
    write(tmp_path / "d", "a.ds a.ds.index a.ds.metadata a.ds.loss", b"xx")
    listing = list_files(Source("a", tmp_path / "d"), make)
    assert [file.format for file in listing.files] == ["datatrove"]
    assert listing.skipped == {".loss": 1}
    write(tmp_path / "h", "x/data-0.arrow x/dataset_info.json dataset_dict.json x/cache-1.arrow")
    (tmp_path / "h" / "x" / "state.json").write_text(
        '{"_data_files": [{"filename": "data-0.arrow"}]}'
    )
    assert listed(tmp_path / "h") == [("x/data-0.arrow", "hf_disk")]


def test_the_size_and_the_stamp_are_of_all_that_is_read(tmp_path):
    write(tmp_path, "a.idx", b"x" * 10)
    write(tmp_path, "a.bin", b"x" * 50)
    (before,) = list_files(Source("a", tmp_path), make).files
    assert before.size == 50
    write(tmp_path, "a.bin", b"x" * 52)
    (after,) = list_files(Source("a", tmp_path), make).files
    assert after.stamp != before.stamp


def test_a_stray_binary_beside_text_is_no_tokens_unless_told(tmp_path):
    write(tmp_path, "a.txt b.bin")
    assert listed(tmp_path) == [("a.txt", "text")]
    assert listed(tmp_path, format="tokens") == [("b.bin", "tokens")]


@pytest.mark.parametrize(
    ("names", "choices"),
    [
        ("README.md part.json", '"json" or "text"'),
        ("a.py b.csv", '"csv" or "text"'),
        ("a.jsonl a.idx a.bin", '"jsonl" or "megatron"'),
        ("a.ds a.ds.index x.parquet", '"datatrove" or "parquet"'),
    ],
)
def test_what_could_be_read_in_two_ways_must_be_told(tmp_path, names, choices):
    write(tmp_path, names)
    with pytest.raises(ConfigError, match=f"several formats, .*say `format` of .*{choices}"):
        listed(tmp_path)


def test_a_format_that_was_told_takes_its_own_files(tmp_path):
    write(tmp_path, "README.md part.json other.py")
    assert listed(tmp_path, format="json") == [("part.json", "json")]
    assert len(listed(tmp_path, format="text")) == 3
    with pytest.raises(ConfigError, match="no format is called 'jsn', did you mean 'json'"):
        listed(tmp_path, format="jsn")


def test_rows_of_what_has_no_columns(tmp_path):
    write(tmp_path, "a.txt")
    with pytest.raises(ConfigError, match="domain 'a' has `where`, and files without columns"):
        listed(tmp_path, where={"source": "x"})


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    write(tmp_path, "real/a.txt domain/b.txt")
    (tmp_path / "domain" / "linked").symlink_to(tmp_path / "real")
    assert listed(tmp_path / "domain") == [("b.txt", "text"), ("linked/a.txt", "text")]
    (tmp_path / "real" / "back").symlink_to(tmp_path / "domain")
    with pytest.raises(DataError, match="linked/back links back to a folder that it lies in"):
        listed(tmp_path / "domain")
    (tmp_path / "real" / "back").unlink()
    (tmp_path / "domain" / "self.txt").symlink_to(tmp_path / "domain" / "self.txt")
    with pytest.raises(DataError, match=r"self\.txt (cannot be read|links to nothing)"):
        listed(tmp_path / "domain")


def test_links_to_nothing_and_what_is_no_file(tmp_path):
    write(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")  # opening it would wait for ever
    assert listed(tmp_path) == [("a.txt", "text")]
    (tmp_path / "gone.txt").symlink_to(tmp_path / "none")
    with pytest.raises(DataError, match=r"gone\.txt links to nothing"):
        listed(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    write(tmp_path, "a.txt closed/b.txt")
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(DataError, match="closed cannot be read: Permission denied"):
            listed(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_names_that_are_no_text(tmp_path):
    write(tmp_path, "a.txt")
    os.rename(tmp_path / "a.txt", os.fsencode(tmp_path) + b"/\xff.txt")
    with pytest.raises(DataError, match="has a name that is not UTF-8: rename it") as caught:
        listed(tmp_path)
    str(caught.value).encode()


def test_a_missing_folder_an_empty_file_and_a_folder_without_text(tmp_path):
    with pytest.raises(DataError, match="none does not exist"):
        listed(tmp_path / "none")
    write(tmp_path, "a.pdf b.parquet.gz")
    with pytest.raises(DataError, match=r"holds no text, only \.parquet\.gz, \.pdf: expected"):
        listed(tmp_path)
    for name in ("b.txt", "c.jsonl", "d.parquet"):
        write(tmp_path, name, b"")
        with pytest.raises(DataError, match=f"{name} is empty: fetch it again"):
            listed(tmp_path)
        (tmp_path / name).unlink()


def test_two_domains_with_one_file(tmp_path):
    write(tmp_path, "a/x.jsonl b/y.jsonl")
    (tmp_path / "b" / "also.jsonl").symlink_to(tmp_path / "a" / "x.jsonl")

    def check(*sources):
        check_apart(sources, [list_files(source, make) for source in sources])

    with pytest.raises(DataError, match=r"'a' and 'b' both read .*/also\.jsonl: give each its own"):
        check(Source("a", tmp_path / "a"), Source("b", tmp_path / "b"))
    with pytest.raises(DataError, match="'all' and 'a' both read"):
        check(Source("all", tmp_path), Source("a", tmp_path / "a"))
    one, two = ({"source": name} for name in ("news", "blogs"))
    check(Source("a", tmp_path / "a", where=one), Source("b", tmp_path / "b", where=two))
    with pytest.raises(DataError, match="both read"):
        check(Source("a", tmp_path / "a", where=one), Source("b", tmp_path / "b", where=one))


def test_arrays_of_tokens_need_their_dtype_only_when_they_are_read(tmp_path):
    np.arange(9, dtype=np.uint16).tofile(tmp_path / "a.bin")
    assert listed(tmp_path) == [("a.bin", "tokens")]
