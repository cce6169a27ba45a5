"""Text to tokens and back: a byte-level BPE, any byte-faithful `tokenizer.json`, or plain bytes.

A tokenizer is named by the path of its JSON file, None for bytes (256 of them and an end of
document). Special tokens that are spelled out in a text are text: only `prepare` ends documents.
Foreign tokens came without their tokenizer: of them only V and the end of a document are known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mixopt.errors import DataError

EOS = "<|endoftext|>"
KNOWN_EOS = (
    EOS,
    "</s>",
    "<eos>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
)
BYTES_EOS = 256
NOMINAL_BYTES = 4
"""Bytes of a foreign token, to plan splits and pools with; no result is counted in them."""


@dataclass(frozen=True)
class Vocabulary:
    """V tokens: which one ends a document, and the UTF-8 bytes of each (V,), 0 for special ones."""

    size: int
    eos: int
    token_bytes: NDArray[np.int64]
    has_text: bool = True
    """Whether `token_bytes` are known; else every token but the end counts NOMINAL_BYTES."""

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest type that holds every token."""
        return np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)


@dataclass(frozen=True)
class Scheme:
    """Which tokens a study has, in the few words that a worker process is told."""

    path: Path | None = None
    """The tokenizer; None for bytes and for foreign tokens."""
    eos: int | None = None
    """The end of a document where it is not found by its name."""
    foreign: int | None = None
    """V of foreign tokens, which have an `eos`; None where there is a tokenizer."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens. Raises DataError for a file that is no tokenizer, or has no end token."""
        written = 0 if self.path is None else _written(self.path)
        return _vocabulary(self, written)


def train_bpe(texts: Iterable[str], size: int) -> str:
    """The JSON of a byte-level BPE with `size` tokens, all 256 bytes and an end among them.

    A text that has too few different words gives fewer tokens. Raises DataError below 257.
    """
    if size < 257:
        raise DataError(f"a vocabulary of {size} cannot hold 256 bytes and an end: ask for more")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str()


def vocabulary(path: Path | None, eos: int | None = None) -> Vocabulary:
    """The tokens of a tokenizer; `eos` where its end of a document has an unknown name.

    Raises DataError for a file that is no tokenizer, or has no end-of-document token.
    """
    if path is None:
        return Vocabulary(257, BYTES_EOS, np.append(np.ones(256, dtype=np.int64), 0))
    tokenizer = _load(path)
    tokens = tokenizer.get_vocab(with_added_tokens=True)
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    byte_level = "ByteLevel" in repr(tokenizer.decoder)
    token_bytes = np.zeros(max(tokens.values(), default=-1) + 1, dtype=np.int64)
    for token, i in tokens.items():
        token_bytes[i] = 0 if token in special else _count_bytes(token, byte_level)
    end = _find_eos(path, tokens) if eos is None else _checked_eos(path, eos, len(token_bytes))
    token_bytes[end] = 0
    return Vocabulary(len(token_bytes), end, token_bytes)


def foreign_vocabulary(size: int, eos: int) -> Vocabulary:
    """Tokens of which nothing is known but V and the end of a document."""
    token_bytes = np.full(size, NOMINAL_BYTES, dtype=np.int64)
    token_bytes[eos] = 0
    return Vocabulary(size, eos, token_bytes, has_text=False)


def encode(texts: Sequence[str], path: Path | None) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The tokens of all texts in one array, without ends, and how many each text has (texts,)."""
    if path is None:
        parts = [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]
    else:
        encoded = _load(path).encode_batch_fast(list(texts), add_special_tokens=False)
        parts = [one.ids for one in encoded]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    return np.concatenate([np.asarray(part, dtype=np.uint32) for part in parts]), lengths


def decode(tokens: NDArray[np.integer], path: Path | None) -> str:
    """The text of tokens; special ones are left out."""
    if path is None:
        return bytes(tokens[tokens != BYTES_EOS].astype(np.uint8)).decode(errors="replace")
    return _load(path).decode(tokens.tolist(), skip_special_tokens=True)


@lru_cache(maxsize=1)
def _vocabulary(scheme: Scheme, written: int) -> Vocabulary:
    """The tokens of a scheme; `written` is its file's time, so that a new file is read anew."""
    if scheme.foreign is None:
        return vocabulary(scheme.path, scheme.eos)
    assert scheme.eos is not None
    return foreign_vocabulary(scheme.foreign, scheme.eos)


def _find_eos(path: Path, tokens: Mapping[str, int]) -> int:
    for name in KNOWN_EOS:
        if name in tokens:
            return tokens[name]
    raise DataError(
        f"{path} has no token that ends a document: expected one of {', '.join(KNOWN_EOS)}, or "
        "`eos` in [data] of proxy.toml"
    )


def _checked_eos(path: Path, eos: int, size: int) -> int:
    if eos >= size:
        raise DataError(f"{path} has {size} tokens: expected an `eos` below that, got {eos}")
    return eos


def _load(path: Path) -> Tokenizer:
    return _parse(path, _written(path))


def _written(path: Path) -> int:
    if not path.is_file():
        raise DataError(f"{path} does not exist: expected a tokenizer.json")
    return path.stat().st_mtime_ns


@lru_cache(maxsize=2)  # the proxy's and the target's
def _parse(path: Path, written: int) -> Tokenizer:
    """The tokenizer of a file; `written` is its time, so that a new file is read anew."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more exact
        raise DataError(f"{path} is not a tokenizer.json: {error}") from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _count_bytes(token: str, byte_level: bool) -> int:
    if byte_level:
        return len(token)  # one printable character stands for each byte
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return 1
    return len(token.replace("▁", " ").encode())
