"""The same documents in every format that `prepare` reads, for benchmarks/prepare.py.

Formats of tokens are written with the tokenizer that the text formats are encoded with, so that all
of them end in the same tokens.
"""

import csv
import gzip
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import zstandard
from datasets import Dataset, disable_progress_bars
from numpy.typing import NDArray
from tokenizers import Tokenizer

Writer = Callable[[Path, Sequence[str]], None]
EOS = "<|endoftext|>"


def text(folder: Path, documents: Sequence[str]) -> None:
    """A file for each document."""
    for number, document in enumerate(documents):
        (folder / f"{number:06d}.txt").write_text(document, encoding="utf-8")


def jsonl(folder: Path, documents: Sequence[str]) -> None:
    """One file of JSON lines."""
    (folder / "data.jsonl").write_bytes(_lines(documents))


def jsonl_gz(folder: Path, documents: Sequence[str]) -> None:
    """JSON lines, packed by gzip."""
    (folder / "data.jsonl.gz").write_bytes(gzip.compress(_lines(documents), 6))


def jsonl_zst(folder: Path, documents: Sequence[str]) -> None:
    """JSON lines, packed by Zstandard."""
    (folder / "data.jsonl.zst").write_bytes(zstandard.compress(_lines(documents)))


def json_array(folder: Path, documents: Sequence[str]) -> None:
    """One JSON array of objects."""
    rows = [{"text": document} for document in documents]
    (folder / "data.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def csv_table(folder: Path, documents: Sequence[str]) -> None:
    """A CSV with a number and a text."""
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text"), *enumerate(documents)])


def parquet(folder: Path, documents: Sequence[str]) -> None:
    """A table in groups of 1,000 rows."""
    table = pyarrow.table({"id": range(len(documents)), "text": list(documents)})
    pyarrow.parquet.write_table(table, folder / "data.parquet", row_group_size=1000)


def hf_disk(folder: Path, documents: Sequence[str]) -> None:
    """What `save_to_disk` of the library `datasets` leaves."""
    disable_progress_bars()
    Dataset.from_dict({"text": list(documents)}).save_to_disk(str(folder / "saved"))


def tokens(tokenizer: Path) -> Writer:
    """A headerless array of uint16."""

    def write(folder: Path, documents: Sequence[str]) -> None:
        with (folder / "data.bin").open("wb") as file:
            for ids in _encoded(tokenizer, documents):
                file.write(ids.tobytes())

    return write


def megatron(tokenizer: Path) -> Writer:
    """A pair of .bin and .idx, a sequence a document."""

    def write(folder: Path, documents: Sequence[str]) -> None:
        lengths = []
        with (folder / "data.bin").open("wb") as file:
            for ids in _encoded(tokenizer, documents):
                lengths.append(len(ids))
                file.write(ids.tobytes())
        sizes = np.array(lengths, dtype="<i4")
        ends = np.cumsum(sizes, dtype="<i8")
        with (folder / "data.idx").open("wb") as file:
            file.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, len(sizes), len(sizes) + 1))
            file.write(sizes.tobytes() + (2 * (ends - sizes)).astype("<i8").tobytes())
            file.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())

    return write


def datatrove(tokenizer: Path) -> Writer:
    """A triple of .ds, .ds.index and .ds.metadata."""

    def write(folder: Path, documents: Sequence[str]) -> None:
        ends = [0]
        with (folder / "data.ds").open("wb") as file:
            for ids in _encoded(tokenizer, documents):
                ends.append(ends[-1] + len(ids))
                file.write(ids.tobytes())
        (folder / "data.ds.index").write_bytes(np.array(ends[1:], dtype="<u8").tobytes())
        (folder / "data.ds.metadata").write_text(f"{tokenizer.name}|2\n{ends[-1]}\n")

    return write


def writers(tokenizer: Path) -> dict[str, Writer]:
    """Every format by name."""
    return {
        "text": text,
        "jsonl": jsonl,
        "jsonl.gz": jsonl_gz,
        "jsonl.zst": jsonl_zst,
        "json": json_array,
        "csv": csv_table,
        "parquet": parquet,
        "hf_disk": hf_disk,
        "tokens": tokens(tokenizer),
        "megatron": megatron(tokenizer),
        "datatrove": datatrove(tokenizer),
    }


def read(corpus: Path, most_bytes: int) -> dict[str, list[str]]:
    """Documents of each domain of a corpus (NAME/text.jsonl), about `most_bytes` in all."""
    files = sorted(corpus.glob("*/text.jsonl"))
    found: dict[str, list[str]] = {}
    for file in files:
        left = most_bytes // len(files)
        found[file.parent.name] = documents = []
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                documents.append(json.loads(line)["text"])
                left -= len(documents[-1].encode())
                if left < 0:
                    break
    return found


def _lines(documents: Sequence[str]) -> bytes:
    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in documents)
    return "\n".join(lines).encode() + b"\n"


def _encoded(tokenizer: Path, documents: Sequence[str]) -> Iterator[NDArray[np.uint16]]:
    """The tokens of each document, its end among them."""
    library = Tokenizer.from_file(str(tokenizer))
    eos = library.token_to_id(EOS)
    for start in range(0, len(documents), 1000):
        for one in library.encode_batch_fast(documents[start : start + 1000]):
            yield np.array([*one.ids, eos], dtype=np.uint16)
