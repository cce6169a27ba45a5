"""Tables of values: quotes, tabs, long fields, and rows that do not fit their header."""

import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.formats import csv_table
from proxies.formats.columns import Columns

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))
WHOLE = ((0, 1 << 40),)


def read(make, file, columns=None):
    return [text for _, text in make("csv", columns=columns or Columns()).read(file, WHOLE)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(TEXT, min_size=1, max_size=6), ending=st.sampled_from([".csv", ".tsv"]))
def test_rows_come_back(tmp_path_factory, make, texts, ending):
    file = tmp_path_factory.mktemp("table") / f"a{ending}"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter="\t" if ending == ".tsv" else ",")
        writer.writerows([["n", "text"], *([i, text] for i, text in enumerate(texts))])
    assert read(make, file) == [text for text in texts if text and not text.isspace()]


def test_a_field_longer_than_the_library_allows_by_itself(tmp_path, make):
    text = "word, " * 50_000
    (tmp_path / "a.csv").write_text(f'text\n"{text}"\n\n"{text}"\n')
    assert read(make, tmp_path / "a.csv") == [text, text]


def test_rows_are_chosen_and_a_mark_of_byte_order_is_no_name(tmp_path, make):
    (tmp_path / "a.csv").write_bytes("\ufefftext,source\nx,news\ny,blogs\n".encode())
    assert read(make, tmp_path / "a.csv", Columns("text", (("source", "blogs"),))) == ["y"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"id,body\n1,x\n", r"a\.csv has no column 'text' \(it has id, body\)"),
        (b"", r"a\.csv has no column 'text' \(it has none\)"),
        (b"id,text\n1,x\n2\n", r"a\.csv:3 has 1 fields, expected the 2 of the header"),
        (b"id,text\n1,x,y\n", r"a\.csv:2 has 3 fields"),
        (b'text\n"x\n', r"a\.csv:2 is not CSV: unexpected end of data"),
        (b'text\n"x"y\n', r"a\.csv:2 is not CSV"),
        (b"text\nx\xff\n", r"a\.csv:2 is not UTF-8"),
    ],
)
def test_what_is_no_table_of_documents(tmp_path, make, content, sentence):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read(make, tmp_path / "a.csv")


def test_a_quote_that_is_never_closed_does_not_fill_memory(tmp_path, make, monkeypatch):
    monkeypatch.setattr(csv_table, "LONGEST_LINE", 1000)
    (tmp_path / "a.csv").write_text('text\n"' + "line\n" * 1000)
    with pytest.raises(DataError, match="is not CSV: field larger than field limit"):
        read(make, tmp_path / "a.csv")
