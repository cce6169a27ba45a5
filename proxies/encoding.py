"""Chosen units to token files by split, each document closed by an end token."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.formats.base import Content
from proxies.parts import Part, Reader, read_part
from proxies.scan import Scan
from proxies.tokenizer import Scheme, Vocabulary, encode
from proxies.units import Unit, in_units
from proxies.work import Arrays, Job

SPLITS = ("train", "validation", "test")
BATCH_BYTES = 1 << 19
"""Text that is encoded at once, about."""
LOST = 0.01
"""Share of the bytes of a text that its tokens may not account for, besides one a document."""


class Encoded(NamedTuple):
    """Units in their order: their tokens with ends, and how many of them each has (u,)."""

    tokens: NDArray[np.unsignedinteger]
    lengths: NDArray[np.int64]


def encode_jobs(scan: Scan, splits: Mapping[str, NDArray[np.bool_]], scheme: Scheme) -> list[Job]:
    """The jobs that encode the splits (u,) of one domain."""
    codes = np.zeros(len(scan.hashes), dtype=np.uint8)
    for split, chosen in splits.items():
        codes[chosen] = SPLITS.index(split) + 1
    return scan.jobs(encode_part, codes, scheme)


def write_domain(
    scan: Scan, splits: Mapping[str, NDArray[np.bool_]], results: Iterable[Arrays], folder: Path
) -> None:
    """Write `SPLIT.bin`, `.offsets.npy` and `.documents.npy` from what the jobs gave, in order."""
    folder.mkdir()
    lengths: dict[str, list[NDArray[np.int64]]] = {split: [] for split in splits}
    with ExitStack() as stack:
        files = {
            split: stack.enter_context((folder / f"{split}.bin").open("wb")) for split in splits
        }
        for result in results:
            for split, file in files.items():
                file.write(result[f"{split}.tokens"].tobytes())
                lengths[split].append(result[f"{split}.lengths"])
    for split, chosen in splits.items():
        ends = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *lengths[split]]))
        np.save(folder / f"{split}.offsets.npy", ends)
        np.save(folder / f"{split}.documents.npy", scan.hashes[chosen])


def encode_part(
    part: Part, reader: Reader, unit: Unit, codes: NDArray[np.uint8], scheme: Scheme
) -> Arrays:
    """The tokens of the units of a part by split; a unit with code 0 is in none."""
    words = scheme.vocabulary
    found: dict[str, list[NDArray]] = {}
    for batch_codes, contents in _batches(chosen_units(part, reader, unit, codes), codes):
        tokens, lengths = encode_units(contents, scheme, words)
        for code in np.unique(batch_codes):
            split = SPLITS[code - 1]
            own = batch_codes == code
            found.setdefault(f"{split}.lengths", []).append(lengths[own])
            of_split = tokens[np.repeat(own, lengths)].astype(words.dtype)
            found.setdefault(f"{split}.tokens", []).append(of_split)
    empty = {"tokens": np.empty(0, words.dtype), "lengths": np.empty(0, np.int64)}
    return {
        f"{split}.{name}": np.concatenate([nothing, *found.get(f"{split}.{name}", [])])
        for split in SPLITS
        for name, nothing in empty.items()
    }


def chosen_units(
    part: Part, reader: Reader, unit: Unit, chosen: NDArray[np.integer | np.bool_]
) -> Iterator[Content]:
    """The units of a part that are not 0 in `chosen` (u,).

    Raises DataError where the part has other units than before.
    """
    contents = (content for _, _, content in read_part(part, reader))
    number = -1
    for number, content in enumerate(in_units(contents, unit)):
        if number < len(chosen) and chosen[number]:
            yield content
    if number + 1 != len(chosen):
        first = part.stretches[0].file.path
        raise DataError(f"{first} or a file behind it changed while it was read: start again")


def encode_units(contents: Sequence[Content], scheme: Scheme, words: Vocabulary) -> Encoded:
    """Text as tokens, tokens as they are, each unit with its end.

    Raises DataError where the tokens do not account for the bytes of the text.
    """
    texts = [content for content in contents if isinstance(content, str)]
    if texts:
        tokens, lengths = encode(texts, scheme.path)
        _check_kept(texts, int(words.token_bytes[tokens].sum()), scheme)
    else:
        tokens = np.concatenate([np.asarray(content, dtype=np.uint32) for content in contents])
        lengths = np.array([len(content) for content in contents], dtype=np.int64)
    return Encoded(np.insert(tokens, np.cumsum(lengths), words.eos), lengths + 1)


def _check_kept(texts: Sequence[str], token_bytes: int, scheme: Scheme) -> None:
    size = sum(len(text.encode()) for text in texts)
    if abs(token_bytes - size) > LOST * size + len(texts):
        raise DataError(
            f"{scheme.path} turns {size} bytes of text into tokens of {token_bytes} bytes: "
            "expected a tokenizer that keeps the text"
        )


def _batches(
    contents: Iterable[Content], codes: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.uint8], list[Content]]]:
    """Units with their codes, some at a time."""
    chosen = codes[codes > 0]
    batch: list[Content] = []
    begin = size = 0
    for content in contents:
        batch.append(content)
        size += len(content)
        if size >= BATCH_BYTES:
            yield chosen[begin : begin + len(batch)], batch
            begin, batch, size = begin + len(batch), [], 0
    if batch:
        yield chosen[begin:], batch
