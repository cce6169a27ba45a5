"""Reading text: nothing is lost, nothing is guessed, and every error says where."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies import reading
from proxies.reading import list_files, read_documents

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"))


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=5))
def test_json_lines_come_back_whole(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("lines")
    content = "\n\n".join(json.dumps({"id": 1, "text": text}) for text in texts).encode()
    (folder / "a.jsonl").write_bytes(content)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(content))
    expected = [text for text in texts if text and not text.isspace()]
    for file in list_files(folder).files:
        assert list(read_documents(file)) == expected


@settings(max_examples=50, deadline=None)
@given(text=TEXT.filter(str.strip), block=st.integers(8, 40))
def test_long_files_are_cut_without_loss(tmp_path_factory, text, block):
    file = tmp_path_factory.mktemp("long") / "a.txt"
    file.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", block)
        documents = list(read_documents(file))
    assert all(len(document.encode()) <= block for document in documents)
    left_out = text
    for document in documents:  # only white space may be left between them
        before, _, left_out = left_out.partition(document)
        assert not before.strip()
    assert not left_out.strip()


def test_lines_stay_whole_where_a_file_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 10)
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\nfour\n")
    assert list(read_documents(tmp_path / "a.txt")) == ["one\ntwo\n", "three\n", "four\n"]


def test_a_mark_of_byte_order_is_no_text_and_line_ends_are(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo".encode())
    assert list(read_documents(tmp_path / "a.txt")) == ["one\r\ntwo"]


def test_a_folder_is_listed_by_ending_in_order(tmp_path):
    for name in ("b/2.py", "a.md", "b/1.txt.gz", "b/0.png", ".git/c.txt", "b/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"" if name.endswith("__.py") else b"x")
    listing = list_files(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in listing.files] == [
        "a.md",
        "b/1.txt.gz",
        "b/2.py",
    ]
    assert (listing.skipped, listing.empty, listing.size) == ({".png": 1}, 1, 3)


def test_one_file_is_a_domain_too(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert list_files(tmp_path / "a.txt").files == (tmp_path / "a.txt",)


BAD_FILES = {
    "not UTF-8": ("a.txt", b"good \xe4", r"a\.txt is not UTF-8 at byte 5 \(0xe4\)"),
    "late byte": ("a.txt", b"line\n" * 3 + b"\xff", r"not UTF-8 at byte 15"),
    "binary": ("a.txt", b"\x89PNG\0", r"not UTF-8|NUL at byte 4"),
    "nul": ("a.py", b"x = 1\0", r"a\.py has a NUL at byte 5"),
    "gzip under another name": ("a.txt", gzip.compress(b"text"), r"name it a\.txt\.gz"),
    "no gzip": ("a.txt.gz", b"plain text", r"a\.txt\.gz is not a whole gzip file"),
    "cut gzip": ("a.jsonl.gz", gzip.compress(b'{"text": "x"}')[:-6], r"not a whole gzip file"),
    "no JSON": ("a.jsonl", b'{"text": "x"}\n{"text": "y', r"a\.jsonl:2 is not JSON"),
    "no column": ("a.jsonl", b'{"id": 1, "body": "x"}', r"a\.jsonl:1 .*'text' \(it has id, body\)"),
    "no object": ("a.jsonl", b'["x"]', r"a\.jsonl:1 has no column 'text' \(it has no object\)"),
    "no string": ("a.jsonl", b'\n{"text": 3}', r"a\.jsonl:2: expected a string .* got int"),
    "bytes in a line": ("a.jsonl", b'{"text": "\xff"}', r"a\.jsonl:1 is not UTF-8"),
    "half a pair": ("a.jsonl", b'{"text": "\\ud800"}', r"a\.jsonl:1 holds half a surrogate pair"),
    "deep": ("a.jsonl", b"[" * 100_000, r"a\.jsonl:1 is not JSON"),
}


@pytest.mark.parametrize(("name", "content", "sentence"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_not_what_it_says(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        list(read_documents(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_missing_folder_an_empty_file_and_a_folder_without_text(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        list_files(tmp_path / "none")
    (tmp_path / "a.pdf").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds no text, only \.pdf"):
        list_files(tmp_path)
    (tmp_path / "b.txt").touch()
    with pytest.raises(DataError, match=r"b\.txt is empty"):
        list_files(tmp_path)
