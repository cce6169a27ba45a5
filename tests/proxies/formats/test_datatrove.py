"""datatrove's triples, and parts of them that disagree."""

import numpy as np
import pytest

from mixopt.errors import ConfigError, DataError


@pytest.fixture
def triple(write_three):
    """Three documents."""
    return write_three("datatrove")


def test_documents_end_where_the_index_says(triple, make, read_tokens):
    form = make("datatrove")
    assert read_tokens(form, triple) == [[1, 2], [3, 4, 5], [6]]
    assert read_tokens(form, triple, [(2, 9)]) == [[6]]
    assert form.extent(triple) == 3
    names = [path.name for path in form.beside(triple)]
    assert names == ["00000.ds.index", "00000.ds.metadata"]


def test_a_dtype_stands_in_for_metadata(triple, make, read_tokens):
    triple.with_name("00000.ds.metadata").unlink()
    assert read_tokens(make("datatrove", dtype="uint16"), triple) == [[1, 2], [3, 4, 5], [6]]
    with pytest.raises(ConfigError, match=r"metadata is missing: say the `dtype`"):
        make("datatrove", dtype=None).extent(triple)


@pytest.mark.parametrize(
    ("ending", "content", "sentence"),
    [
        (".metadata", b"gpt2|3\n9\nx", "does not say the size of a token"),
        (".metadata", b"gpt2\n", "does not say the size of a token"),
        (".metadata", b"gpt2|2\n8\nx", "has 14 bytes, expected 8 tokens of 2 bytes"),
        (".metadata", b"gpt2|4\n7\nx", "has 14 bytes, expected 7 tokens of 4 bytes"),
        (".index", b"\x01" * 9, "no multiple of the 8 of uint64"),
        (".index", np.array([2, 6], "<u8").tobytes(), "ends at token 6, 00000.ds has 7"),
        (".index", np.array([6, 2, 7], "<u8").tobytes(), "ends of documents do not ascend"),
        (".index", np.array([2**63, 7], "<u8").tobytes(), "ends of documents do not ascend"),
        ("", b"\x01\x00" * 6, "has 12 bytes, expected 7 tokens"),
    ],
)
def test_parts_that_disagree(triple, make, ending, content, sentence):
    triple.with_name(triple.name + ending).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        make("datatrove").extent(triple)


def test_an_index_that_is_gone(triple, make):
    triple.with_name("00000.ds.index").unlink()
    with pytest.raises(DataError, match=r"00000\.ds\.index is missing"):
        make("datatrove").extent(triple)


WRITE = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy
from datatrove.pipeline.tokens.tokenizer import TokenizedFile
for size in (2, 4):
    rng = numpy.random.default_rng(size)
    documents = [rng.integers(999, size=n).tolist() for n in (5, 1, 300, 2)]
    file = TokenizedFile(
        "out", f"{size}.ds", save_final_metadata=True, token_size=size,
        tokenizer_name_or_path="gpt2" if size == 2 else None,
    )
    for one in documents:
        file.write([*one, 999], None)
    file.close()
    print(documents)
"""


@pytest.mark.slow
def test_what_datatrove_wrote(tmp_path, make, read_tokens, printed_by):
    lines = printed_by("datatrove", WRITE)[-2:]
    for size, line in zip((2, 4), lines, strict=True):
        form, file = make("datatrove", dtype=None), tmp_path / "out" / f"{size}.ds"
        assert form.extent(file) == 4
        assert str(read_tokens(form, file)) == line
