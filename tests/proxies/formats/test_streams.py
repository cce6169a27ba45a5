"""Packed files are the files themselves, read forward; a torn one is noticed, whoever packed it."""

import bz2
import gzip
import lzma
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError, MissingExtraError, MixoptError
from proxies.formats import streams
from proxies.formats.streams import is_packed, line_number, opened

PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,  # as its own tool writes it
}
PACKABLE = ("text", "jsonl", "json", "csv")
WHOLE = ((0, 1 << 40),)


def pack(file: Path, ending: str) -> Path:
    """The packed file in place of the plain one."""
    packed = file.with_name(file.name + ending)
    packed.write_bytes(PACKERS[ending](file.read_bytes()))
    file.unlink()
    return packed


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("name", PACKABLE)
def test_packed_documents_come_back_in_any_ranges(tmp_path, name, ending, write, make, example):
    documents, form = example(name), make(name)
    files = [pack(file, ending) for file in write(name, tmp_path, documents)]
    assert all(is_packed(file) and form.in_order(file) for file in files)
    for ranges in (WHOLE, list(pairwise([0, 50, 51, 300, 1 << 40]))):
        read = [text for file in files for _, text in form.read(file, ranges)]
        assert read == documents


@pytest.mark.parametrize("ending", PACKERS)
def test_a_torn_file_is_one_sentence(tmp_path, ending, make):
    content = PACKERS[ending](b'{"text": "one two three"}\n' * 2000)
    for length in (len(content) - 1, len(content) - 5, len(content) // 2, 9):
        file = tmp_path / f"a.jsonl{ending}"
        file.write_bytes(content[:length])
        with pytest.raises(DataError, match=rf"is not a whole {ending[1:]} file.*fetch it again"):
            list(make("jsonl").read(file, WHOLE))


@pytest.mark.parametrize("ending", PACKERS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=300), place=st.integers(0, 200))
def test_whatever_the_bytes(tmp_path_factory, ending, make, content, place):
    file = tmp_path_factory.mktemp("fuzz") / f"a.jsonl{ending}"
    good = PACKERS[ending](b'{"text": "one two three"}\n' * 5)
    file.write_bytes(good[:place] + content + good[place + len(content) :])
    with suppress(MixoptError):
        assert {text for _, text in make("jsonl").read(file, WHOLE)} <= {"one two three"}


def test_frames_and_members_one_behind_the_other(tmp_path):
    for ending, packer in PACKERS.items():
        file = tmp_path / f"a{ending}"
        file.write_bytes(packer(b"one ") + packer(b"") + packer(b"two"))
        with opened(file) as stream:
            assert stream.read() == b"one two"


def test_a_wide_window_is_read(tmp_path):
    content = bytes(range(256)) * 10
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    (tmp_path / "a.zst").write_bytes(packer.compress(content) + packer.flush())
    with opened(tmp_path / "a.zst") as stream:
        assert stream.read() == content


def test_the_number_of_a_line_is_counted_in_the_text(tmp_path):
    for ending, packer in PACKERS.items():
        file = tmp_path / f"a{ending}"
        file.write_bytes(packer(b"a\nbb\nccc\n"))
        assert [line_number(file, place) for place in (0, 2, 5)] == [1, 2, 3]


@pytest.mark.parametrize("ending", [".gz", ".xz", ".zst"])
def test_a_packed_file_under_another_name(tmp_path, ending, make):
    file = tmp_path / "a.txt"
    file.write_bytes(PACKERS[ending](b"text"))
    with pytest.raises(DataError, match=rf"is a {ending[1:]} file: name it a\.txt\{ending}"):
        list(make("text").read(file, WHOLE))


def test_a_line_without_end_is_refused_before_memory_is_full(tmp_path, make, monkeypatch):
    monkeypatch.setattr(streams, "LONGEST_LINE", 1000)
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "' + b"x" * 2000)
    with pytest.raises(DataError, match="a line of more than 0 MiB at byte 0"):
        list(make("jsonl").read(tmp_path / "a.jsonl", WHOLE))


def test_zst_without_its_library_is_one_sentence(tmp_path, make, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "a.jsonl.zst").write_bytes(PACKERS[".zst"](b'{"text": "x"}'))
    with pytest.raises(MissingExtraError, match=r"need zstandard: pip install 'mixopt\[data\]'"):
        list(make("jsonl").read(tmp_path / "a.jsonl.zst", WHOLE))
