"""Megatron's pairs: documents of several sequences, and an index that disagrees with its data."""

import struct

import numpy as np
import pytest

from mixopt.errors import DataError


@pytest.fixture
def pair(write_three):
    """Three documents, the second in two sequences."""
    return write_three("megatron")


def test_documents_are_their_sequences(pair, make, read_tokens):
    form = make("megatron")
    assert read_tokens(form, pair) == [[1, 2], [3, 4, 5], [6]]
    assert read_tokens(form, pair, [(1, 2)]) == [[3, 4, 5]]
    assert form.extent(pair) == 3
    assert form.beside(pair) == (pair.with_suffix(".bin"),)


@pytest.mark.parametrize(("code", "dtype"), [(1, "u1"), (3, "<i2"), (4, "<i4"), (5, "<i8")])
def test_every_dtype_of_whole_numbers(tmp_path, make, code, dtype, read_tokens):
    values = np.array([1, 2, 3], dtype)
    values.tofile(tmp_path / "a.bin")
    index = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, code, 1, 2)
    index += struct.pack("<iqqq", 3, 0, 0, 1)
    (tmp_path / "a.idx").write_bytes(index)
    assert read_tokens(make("megatron"), tmp_path / "a.idx") == [[1, 2, 3]]
    (tmp_path / "a.idx").write_bytes(index + b"\0")  # the modes of multimodal data
    assert make("megatron").extent(tmp_path / "a.idx") == 1


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (0, b"X", "is no index of Megatron"),
        (9, b"\x02", "has version 2 of the index, expected 1"),
        (17, b"\x07", "has the dtype code 7"),
        (18, b"\xff" * 8, "more than it can hold"),
        (18, b"\x05", r"bytes, expected \d+ for 5 sequences and 3 documents"),
        (34, b"\x09", "its sequences do not lie one behind the other"),
        (34 + 16, b"\x01", "its sequences do not lie one behind the other"),
        (34 + 16 + 32, b"\x01", "its documents are no parts of its sequences"),
    ],
)
def test_an_index_that_is_wrong(pair, make, place, value, sentence):
    content = bytearray(pair.read_bytes())
    content[place : place + len(value)] = value
    pair.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        make("megatron").extent(pair)


def test_an_index_of_other_data(pair, make):
    data = pair.with_suffix(".bin")
    content = data.read_bytes()
    for changed, sentence in (
        (content[:-2], "it counts 9 tokens, the data has 8"),
        (content + b"\1\0", "it counts 9 tokens, the data has 10"),
        (content[:-1], "no multiple of the 2 of uint16"),
    ):
        data.write_bytes(changed)
        with pytest.raises(DataError, match=sentence):
            make("megatron").extent(pair)
    data.unlink()
    with pytest.raises(DataError, match=r"a\.idx cannot be read: .*a\.bin"):
        make("megatron").extent(pair)


def test_ids_beyond_the_vocabulary(pair, make, read_tokens):
    with pytest.raises(DataError, match=r"a\.idx has the id 999 at token 2, expected 0 to 9"):
        read_tokens(make("megatron", vocabulary=10, eos=9), pair)


WRITE = """
import sys, numpy, torch
sys.path.insert(0, sys.argv[1])
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder
for vocabulary in (1000, 100_000):
    rng = numpy.random.default_rng(vocabulary)
    builder = IndexedDatasetBuilder(f"{vocabulary}.bin", dtype=DType.optimal_dtype(vocabulary))
    documents = [rng.integers(999, size=n).tolist() for n in (5, 1, 300, 2)]
    for number, one in enumerate(documents):
        if number % 2:
            builder.add_document(torch.tensor(one + [999]), [len(one) + 1])
        else:
            builder.add_item(torch.tensor(one[:2]))
            builder.add_item(torch.tensor(one[2:] + [999]))
            builder.end_document()
    builder.finalize(f"{vocabulary}.idx")
    print(documents)
"""


@pytest.mark.slow
def test_what_megatron_core_wrote(tmp_path, make, read_tokens, printed_by):
    lines = printed_by("megatron", WRITE)[-2:]
    for vocabulary, line in zip((1000, 100_000), lines, strict=True):
        form, file = make("megatron", vocabulary=vocabulary), tmp_path / f"{vocabulary}.idx"
        assert form.extent(file) == 4
        assert str(read_tokens(form, file)) == line
