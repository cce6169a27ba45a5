"""Parquet: one column of many, whatever the row groups and the types that Arrow may give it."""

import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from mixopt.errors import DataError, MissingExtraError
from proxies.formats import make_format
from proxies.formats.columns import Columns

WHOLE = ((0, 1 << 40),)


def saved(folder, columns, **options):
    parquet.write_table(pa.table(columns), folder / "a.parquet", **options)
    return folder / "a.parquet"


def read(make, file, columns=None, ranges=WHOLE):
    form = make("parquet", columns=columns or Columns())
    return [text for _, text in form.read(file, ranges)]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("packing", ["none", "snappy", "zstd", "gzip"])
def test_every_kind_of_text(tmp_path, make, kind, packing):
    texts = ["one", None, " ", "two é"]
    file = saved(tmp_path, {"text": pa.array(texts, kind)}, compression=packing)
    assert read(make, file) == ["one", "two é"]


def test_words_of_a_dictionary_are_text(tmp_path, make):
    values = pa.array(["a", "b", "a"]).dictionary_encode()
    assert read(make, saved(tmp_path, {"text": values})) == ["a", "b", "a"]


def test_ranges_begin_within_row_groups(tmp_path, make):
    texts = [str(i) for i in range(100)]
    file = saved(tmp_path, {"text": texts}, row_group_size=7)
    assert read(make, file, ranges=[(3, 5), (20, 41), (99, 200)]) == [
        *texts[3:5],
        *texts[20:41],
        "99",
    ]


def test_rows_are_chosen_by_a_nested_column(tmp_path, make):
    meta = pa.array([{"source": "news", "n": 1}, {"source": "blogs", "n": 2}])
    file = saved(tmp_path, {"text": ["a", "b"], "meta": meta})
    assert read(make, file, Columns("text", (("meta.source", "blogs"),))) == ["b"]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"id": [1], "body": ["x"]}, r"a\.parquet has no column 'text' \(it has id, body\)"),
        ({"text": [1]}, r"row 1 of .*: expected a string in 'text', got int"),
        ({"text": [b"x"]}, r"expected a string in 'text', got bytes"),
        ({"text": [["x"]]}, r"expected a string in 'text', got list"),
    ],
)
def test_what_is_no_column_of_text(tmp_path, make, columns, sentence):
    with pytest.raises(DataError, match=sentence):
        read(make, saved(tmp_path, columns))


def test_a_torn_file(tmp_path, make):
    file = saved(tmp_path, {"text": ["x"] * 1000})
    content = file.read_bytes()
    for length in (4, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"is not a whole parquet file .*fetch it again"):
            make("parquet").extent(file)


def test_without_its_library_it_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for module in ("proxies.formats.parquet", "proxies.formats.arrow"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(MissingExtraError, match=r"'parquet' needs pyarrow: .*'mixopt\[data\]'"):
        make_format("parquet", {"columns": Columns()})
