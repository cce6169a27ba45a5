"""Tokenizers: text comes back, and every byte of it is accounted for by a token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mixopt.errors import DataError
from proxies.tokenizer import EOS, decode, encode, train_bpe, vocabulary

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    path.write_text(train_bpe(["the tide turns slowly, the gulls cry"] * 20, size=300))
    return path


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=5))
@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_text_comes_back_and_its_bytes_are_counted(bpe, kind, texts):
    path = bpe if kind == "bpe" else None
    tokens, lengths = encode(texts, path)
    words = vocabulary(path)
    for text, part in zip(texts, np.split(tokens, np.cumsum(lengths)[:-1])):
        assert decode(part, path) == text
        assert words.token_bytes[part].sum() == len(text.encode())
    assert words.eos not in tokens


def test_a_special_token_in_a_text_is_text(bpe):
    tokens, _ = encode([f"a{EOS}b"], bpe)
    assert vocabulary(bpe).eos not in tokens
    assert decode(tokens, bpe) == f"a{EOS}b"


def test_sizes_and_types(bpe):
    assert (vocabulary(None).size, vocabulary(None).eos) == (257, 256)
    assert vocabulary(bpe).dtype == np.uint16
    assert vocabulary(bpe).token_bytes[vocabulary(bpe).eos] == 0
    assert 257 <= vocabulary(bpe).size <= 300


def test_a_tokenizer_that_is_written_anew_is_read_anew(bpe, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(bpe.read_text())
    before = vocabulary(path).size
    path.write_text(train_bpe(["x"], size=257))
    assert vocabulary(path).size == 257 < before


def test_bytes_of_a_sentencepiece_like_tokenizer(tmp_path):
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    fallback = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["</s>"], show_progress=False)
    tokenizer.train_from_iterator(["grün ist die see"] * 9, trainer)
    tokenizer.add_tokens(fallback)
    tokenizer.save(str(tmp_path / "t.json"))
    words = vocabulary(tmp_path / "t.json")
    ids = Tokenizer.from_file(str(tmp_path / "t.json")).get_vocab()
    assert words.token_bytes[ids["▁grün"]] == 6
    assert words.eos == ids["</s>"]


def test_bad_tokenizers(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        vocabulary(tmp_path / "none.json")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(DataError, match=r"is not a tokenizer\.json"):
        vocabulary(tmp_path / "t.json")
    Tokenizer(models.BPE()).save(str(tmp_path / "t.json"))
    with pytest.raises(DataError, match="no token that ends a document"):
        vocabulary(tmp_path / "t.json")
    with pytest.raises(DataError, match="cannot hold 256 bytes"):
        train_bpe(["text"], size=256)
