"""Whole files are replaced or left alone, and hashes name content."""

import json

import pytest

from mixopt.errors import DataError
from mixopt.files import digest, file_digest, read_json, to_json, write_atomic, write_json


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": [1, 2.5, None, "ü"]})
    write_json(path, {"b": 1})
    assert read_json(path) == {"b": 1}
    assert [item.name for item in path.parent.iterdir()] == ["file.json"]


def test_a_value_that_json_cannot_hold_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be written"):
        write_atomic(tmp_path / "file" / "x", "text")


def test_broken_json_is_one_sentence(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("{")
    with pytest.raises(DataError, match="not a JSON document"):
        read_json(path)


def test_digests_name_content_not_order(tmp_path):
    assert digest({"a": 1, "b": [2]}) == digest(json.loads(to_json({"b": [2], "a": 1})))
    assert digest({"a": 1}) != digest({"a": 2})
    (tmp_path / "x").write_bytes(b"1")
    (tmp_path / "y").write_bytes(b"1")
    assert file_digest(tmp_path / "x") == file_digest(tmp_path / "y")
