"""Encode one domain: chosen units to token files by split, each document closed by an end token.

Batches of text go to worker processes and come back in order, so that the files do not depend on
the number of workers, and no more than a few batches a worker are in memory.
"""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.scan import Scan
from proxies.tokenizer import Vocabulary, encode

BATCH_BYTES = 1 << 19
"""Text that a worker is given at once."""
LOST = 0.01
"""Share of the bytes of a text that its tokens may not account for."""


@dataclass(frozen=True)
class Batch:
    """Some units of one split, in their order, and their bytes."""

    split: str
    texts: list[str]
    size: int


@dataclass(frozen=True)
class Encoder:
    """A tokenizer (None: bytes) and where it runs: in worker processes, or here without any."""

    path: Path | None
    vocabulary: Vocabulary
    executor: Executor | None
    ahead: int
    """Batches that may be under way."""

    def encode(
        self, batches: Iterable[Batch]
    ) -> Iterator[tuple[Batch, NDArray[np.uint32], NDArray[np.int64]]]:
        """Each batch with its tokens and the number of tokens of each text, in order."""
        waiting: deque[tuple[Batch, Any]] = deque()
        for batch in batches:
            if self.executor is None:
                yield batch, *encode(batch.texts, self.path)
                continue
            waiting.append((batch, self.executor.submit(encode, batch.texts, self.path)))
            if len(waiting) > self.ahead:
                batch, future = waiting.popleft()
                yield batch, *future.result()
        for batch, future in waiting:
            yield batch, *future.result()


def processes(workers: int) -> AbstractContextManager[Executor | None]:
    """Worker processes of one thread each; none where one is enough, which is this one."""
    if workers == 1:
        return nullcontext()
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_be_one_thread)


def encode_domain(
    scan: Scan, splits: Mapping[str, NDArray[np.bool_]], encoder: Encoder, folder: Path
) -> Iterator[int]:
    """Write `SPLIT.bin`, `.offsets.npy` and `.documents.npy` for each split; yields bytes done.

    Raises DataError where the tokens do not account for the bytes of the text.
    """
    folder.mkdir()
    lengths: dict[str, list[NDArray[np.int64]]] = {split: [] for split in splits}
    text_bytes = token_bytes = 0
    with ExitStack() as stack:
        files = {
            split: stack.enter_context((folder / f"{split}.bin").open("wb")) for split in splits
        }
        for batch, tokens, counts in encoder.encode(_batches(scan, splits)):
            ended = np.insert(tokens, np.cumsum(counts), encoder.vocabulary.eos)
            files[batch.split].write(ended.astype(encoder.vocabulary.dtype).tobytes())
            lengths[batch.split].append(counts + 1)
            token_bytes += int(encoder.vocabulary.token_bytes[tokens].sum())
            text_bytes += batch.size
            yield batch.size
    if abs(token_bytes - text_bytes) > LOST * text_bytes:
        raise DataError(
            f"{encoder.path} turns {text_bytes} bytes of {folder.name!r} into tokens of "
            f"{token_bytes} bytes: expected a tokenizer that keeps the text"
        )
    for split, chosen in splits.items():
        ends = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *lengths[split]]))
        np.save(folder / f"{split}.offsets.npy", ends)
        np.save(folder / f"{split}.documents.npy", scan.hashes[chosen])


def _batches(scan: Scan, splits: Mapping[str, NDArray[np.bool_]]) -> Iterator[Batch]:
    texts: dict[str, list[str]] = {split: [] for split in splits}
    sizes = dict.fromkeys(splits, 0)
    any_split = np.any(list(splits.values()), axis=0)
    for number, text in scan.texts(any_split):
        split = next(split for split, chosen in splits.items() if chosen[number])
        texts[split].append(text)
        sizes[split] += int(scan.sizes[number])
        if sizes[split] >= BATCH_BYTES:
            yield Batch(split, texts[split], sizes[split])
            texts[split], sizes[split] = [], 0
    for split in splits:
        if texts[split]:
            yield Batch(split, texts[split], sizes[split])


def _be_one_thread() -> None:
    """In a new process: no threads inside, and Ctrl-C is the parent's business."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
