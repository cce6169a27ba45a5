"""JSON lines: a document a line, found from anywhere, and every error says which line."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.formats.columns import Columns

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
WHOLE = ((0, 1 << 40),)


def read(make, file, columns=None, ranges=WHOLE):
    form = make("jsonl", columns=columns or Columns())
    return [text for _, text in form.read(file, ranges)]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(TEXT, min_size=1, max_size=5), start=st.integers(0, 200))
def test_lines_come_back_whole(tmp_path_factory, make, texts, start):
    folder = tmp_path_factory.mktemp("lines")
    content = "\n\n".join(json.dumps({"id": 1, "text": text}) for text in texts).encode()
    (folder / "a.jsonl").write_bytes(content)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(content))
    expected = [text for text in texts if text and not text.isspace()]
    for file in folder.iterdir():
        assert read(make, file) == expected
        assert read(make, file, ranges=[(0, start), (start, 1 << 40)]) == expected


def test_rows_are_chosen_by_columns_and_nested_ones(tmp_path, make):
    rows = [
        {"body": "a", "meta": {"source": "news", "year": 1}},
        {"body": "b", "meta": {"source": "blogs", "year": 2}},
        {"body": "c", "meta": {"source": "news", "year": 2}, "meta.source": "told"},
        {"body": None, "meta": {"source": "news", "year": 2}},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    file = tmp_path / "a.jsonl"
    assert read(make, file, Columns("body", (("meta.source", "news"),))) == ["a"]
    assert read(make, file, Columns("body", (("meta.year", "2"),))) == ["b", "c"]
    assert read(make, file, Columns("meta.source", ())) == ["news", "blogs", "told", "news"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"text": "x"}\n{"text": "y', r"a\.jsonl:2 is not JSON"),
        (b'{"id": 1, "body": "x"}', r"a\.jsonl:1 has no column 'text' \(it has id, body\)"),
        (b'{"meta": {}}', r"no column 'text' \(it has meta\): say in space\.toml"),
        (b'["x"]', r"a\.jsonl:1 has no column 'text' \(it has no object\)"),
        (b'\n{"text": 3}', r"a\.jsonl:2: expected a string in 'text', got int"),
        (b'{"text": "\xff"}', r"a\.jsonl:1 is not UTF-8"),
        ('{"text": "x"}'.encode("utf-16"), r"a\.jsonl:1 is not UTF-8"),
        (b'{"text": "\\ud800"}', r"a\.jsonl:1 holds half a surrogate pair"),
        (b"[" * 100_000, r"a\.jsonl:1 is not JSON"),
    ],
)
def test_what_is_no_line_of_documents(tmp_path, make, content, sentence):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        read(make, tmp_path / "a.jsonl")
    assert "\n" not in str(caught.value)


def test_the_line_is_named_even_if_the_file_was_entered_behind_others(tmp_path, make):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n' * 9 + "{}\n")
    with pytest.raises(DataError, match=r"a\.jsonl:10 has no column 'text' \(it has none\)"):
        read(make, tmp_path / "a.jsonl", ranges=[(100, 1 << 40)])


def test_many_columns_are_told_in_part(tmp_path, make):
    (tmp_path / "a.jsonl").write_text(json.dumps({f"c{i}": i for i in range(50)}))
    with pytest.raises(DataError, match=r"c19 and 30 more\)"):
        read(make, tmp_path / "a.jsonl")
