"""Units: pieces join to their document, and a unit's name is that of its content."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxies.tokenizer import foreign_vocabulary, vocabulary
from proxies.units import (
    PIECE,
    PIECE_TOKENS,
    content_bytes,
    content_hash,
    in_units,
    pieces,
)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("ab é\n\r\u2028𝄞"), max_size=200), times=st.integers(1, 200))
def test_pieces_join_to_the_text(text, times):
    cut = list(pieces(text * times))
    assert "".join(cut) == text * times
    assert all(PIECE <= len(piece.encode()) <= 5 * PIECE for piece in cut[:-1])


def test_pieces_join_to_the_tokens():
    tokens = np.arange(2 * PIECE_TOKENS + 5, dtype=np.uint32)
    cut = list(pieces(tokens))
    assert [len(piece) for piece in cut] == [PIECE_TOKENS, PIECE_TOKENS, 5]
    assert np.concatenate(cut).tolist() == tokens.tolist()


def test_units_are_documents_or_pieces():
    documents = ["x" * (PIECE + 1), "y"]
    assert list(in_units(documents, "documents")) == documents
    assert [len(unit) for unit in in_units(documents, "pieces")] == [PIECE, 1, 1]


def test_the_name_is_of_the_content_whatever_its_type():
    tokens = np.array([1, 2, 300])
    names = {content_hash(tokens.astype(dtype)) for dtype in (np.uint32, np.int64, ">u2")}
    assert len(names) == 1
    assert content_hash("ab") != content_hash("ba")
    assert 0 <= content_hash("ab") < 1 << 64


def test_bytes_are_those_of_the_text():
    words = vocabulary(None)
    assert content_bytes("naïve", words) == 6
    assert content_bytes(np.array([65, 66, words.eos], np.uint32), words) == 2
    assert content_bytes(np.array([1, 2, 9], np.uint32), foreign_vocabulary(10, 9)) == 8


def test_what_is_no_document():
    with pytest.raises(TypeError, match="no document: int"):
        pieces(3)  # pyright: ignore[reportArgumentType]
