"""JSON that is no lines: one object in memory at a time, whatever the white space between them."""

import json
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.formats import json_array

WHOLE = ((0, 1 << 40),)


def read(make, file):
    return [text for _, text in make("json").read(file, WHOLE)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), max_size=6),
    indent=st.sampled_from([None, 0, 2]),
    step=st.integers(1, 40),
)
def test_arrays_come_back_however_they_are_read(tmp_path_factory, make, texts, indent, step):
    file = tmp_path_factory.mktemp("json") / "a.json"
    file.write_text(json.dumps([{"text": one} for one in texts], indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "_STEP", step)
        assert read(make, file) == [one for one in texts if not one.isspace()]


def test_a_long_array_is_not_held_in_memory(tmp_path, make):
    with (tmp_path / "a.json").open("w") as file:
        file.write("[")
        file.write(",\n".join(json.dumps({"text": f"{i} " * 200}) for i in range(20_000)))
        file.write("]")
    assert (tmp_path / "a.json").stat().st_size > 20e6
    tracemalloc.start()
    assert sum(1 for _ in make("json").read(tmp_path / "a.json", WHOLE)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"text": "x"}', "not JSON at character 14: the array has no end"),
        ('[{"text": "x"} {"text": "y"}]', "at character 15: expected ',' or ']'"),
        ('[{"text": "x"}] 1', "at character 16: expected nothing behind the array"),
        ('[{"text": "x"},]', "not JSON at character 15: Expecting value"),
        ('{"data": [{"text": "x"}]}', r"object 1 of .*no column 'text' \(it has data\)"),
        ('{"text": "x"} {"text": 1}', "object 2 of .*: expected a string in 'text', got int"),
        ("[1, 2]", r"object 1 of .*no column 'text' \(it has no object\)"),
        ("x", "not JSON at character 0"),
        ("[" * 100_000, "not JSON at character"),
        ('[{"text": "\\ud800"}]', "half a surrogate pair"),
    ],
)
def test_what_is_no_array_of_documents(tmp_path, make, content, sentence):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=sentence):
        read(make, tmp_path / "a.json")


def test_one_value_must_fit_into_memory(tmp_path, make, monkeypatch):
    monkeypatch.setattr(json_array, "LONGEST_LINE", 1000)
    monkeypatch.setattr(json_array, "_STEP", 100)
    (tmp_path / "a.json").write_text('[{"text": "' + "x" * 5000)
    with pytest.raises(DataError, match="not JSON at character 1: Unterminated string"):
        read(make, tmp_path / "a.json")


def test_bytes_that_are_no_utf8(tmp_path, make):
    (tmp_path / "a.json").write_bytes(b'[{"text": "\xff"}]')
    with pytest.raises(DataError, match=r"a\.json is not UTF-8"):
        read(make, tmp_path / "a.json")
