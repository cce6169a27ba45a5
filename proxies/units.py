"""Units of text that are split and sampled: whole documents, or pieces of about 4 kB of them.

Text is measured in UTF-8 bytes; tokens in the bytes of the text that they stand for.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import singledispatch
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from proxies.formats.base import Content
from proxies.tokenizer import Vocabulary

Unit = Literal["documents", "pieces"]

PIECE = 4096
"""Bytes of a piece, or a little more: a piece ends with a line where lines are short."""
PIECE_TOKENS = 1024


def in_units(contents: Iterable[Content], unit: Unit) -> Iterator[Content]:
    """Documents as units."""
    for content in contents:
        yield from pieces(content) if unit == "pieces" else (content,)


@singledispatch
def pieces(content: Content) -> Iterator[Content]:
    """A document in pieces that join to it again.

    >>> [len(piece) for piece in pieces("twelve bytes" * 1000)]
    [4096, 4096, 3808]
    """
    raise TypeError(f"no document: {type(content).__name__}")


@pieces.register
def _text_pieces(content: str) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for line in content.splitlines(keepends=True):
        for start in range(0, len(line), PIECE):
            part = line[start : start + PIECE]
            lines.append(part)
            size += len(part.encode())
            if size >= PIECE:
                yield "".join(lines)
                lines, size = [], 0
    if lines:
        yield "".join(lines)


@pieces.register
def _token_pieces(content: np.ndarray) -> Iterator[NDArray]:
    for start in range(0, len(content), PIECE_TOKENS):
        yield content[start : start + PIECE_TOKENS]


def content_hash(content: Content) -> int:
    """64 bits that name a unit, wherever it lies."""
    data = content.encode() if isinstance(content, str) else content.astype("<u4").tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def content_bytes(content: Content, vocabulary: Vocabulary) -> int:
    """UTF-8 bytes of a unit."""
    if isinstance(content, str):
        return len(content.encode())
    return int(vocabulary.token_bytes[content].sum())
