"""Writers for every format: byte by byte as published, or by the library that owns the format."""

import csv
import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from proxies.formats import FORMATS, make_format
from proxies.formats.base import Content, Format
from proxies.formats.columns import Columns

VOCABULARY, EOS = 1000, 999
CONSUMERS = Path(__file__).parents[3] / ".consumers"


def text(folder: Path, documents: Sequence[str]) -> list[Path]:
    """A file for each document."""
    return [_written(folder / f"{i:03d}.txt", one.encode()) for i, one in enumerate(documents)]


def jsonl(folder: Path, documents: Sequence[str]) -> list[Path]:
    """Lines with other keys, some of them blank."""
    lines = [json.dumps({"id": i, "text": one}) for i, one in enumerate(documents)]
    return [_written(folder / "a.jsonl", "\n\n".join(lines).encode())]


def json_array(folder: Path, documents: Sequence[str]) -> list[Path]:
    """An array in one file, objects one after another in the next."""
    rows = [json.dumps({"text": one, "more": [1, {}]}, ensure_ascii=False) for one in documents]
    half = len(rows) // 2
    first = _written(folder / "a.json", ("[" + ",\n".join(rows[:half]) + "]\n").encode())
    return [first, _written(folder / "b.json", " \n".join(rows[half:]).encode())]


def csv_table(folder: Path, documents: Sequence[str]) -> list[Path]:
    """Commas in one file, tabs in the next."""
    half = len(documents) // 2
    paths = []
    for name, part, mark in (("a.csv", documents[:half], ","), ("b.tsv", documents[half:], "\t")):
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=mark)
        writer.writerows([["id", "text"], *([i, one] for i, one in enumerate(part))])
        paths.append(_written(folder / name, out.getvalue().encode()))
    return paths


def parquet_file(folder: Path, documents: Sequence[str]) -> list[Path]:
    """Small row groups and a second column."""
    table = pa.table({"n": list(range(len(documents))), "text": pa.array(documents, pa.string())})
    parquet.write_table(table, folder / "a.parquet", row_group_size=3)
    return [folder / "a.parquet"]


def hf_disk(folder: Path, documents: Sequence[str]) -> list[Path]:
    """As `datasets` saves it; test_hf_disk.py reads what the library itself writes."""
    half = len(documents) // 2
    names = []
    for number, part in enumerate((documents[:half], documents[half:])):
        table = pa.table({"text": pa.array(part, pa.string()), "n": list(range(len(part)))})
        names.append(f"data-0000{number}-of-00002.arrow")
        with pa.OSFile(str(folder / names[-1]), "wb") as file:
            with pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=3)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    _written(folder / "state.json", json.dumps(state).encode())
    return [folder / name for name in names]


def tokens(folder: Path, documents: Sequence[np.ndarray]) -> list[Path]:
    """Two bytes a token, little end first, an end behind each document."""
    content = b"".join(np.append(one, EOS).astype("<u2").tobytes() for one in documents)
    return [_written(folder / "a.bin", content)]


def megatron(folder: Path, documents: Sequence[np.ndarray]) -> list[Path]:
    """Every second document in two sequences, the others in one."""
    sequences, begins = [], [0]
    for number, one in enumerate(documents):
        closed = np.append(one, EOS)
        sequences += [closed[:1], closed[1:]] if number % 2 else [closed]
        begins.append(len(sequences))
    lengths = [len(one) for one in sequences]
    pointers = [2 * sum(lengths[:i]) for i in range(len(lengths))]
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, len(sequences), len(begins))
    arrays = ((lengths, "<i4"), (pointers, "<i8"), (begins, "<i8"))
    index = header + b"".join(np.array(values, dtype).tobytes() for values, dtype in arrays)
    _written(folder / "a.bin", b"".join(one.astype("<u2").tobytes() for one in sequences))
    return [_written(folder / "a.idx", index)]


def datatrove(folder: Path, documents: Sequence[np.ndarray]) -> list[Path]:
    """Without the end of a document in every second one."""
    closed = [np.append(one, EOS) if i % 2 else one for i, one in enumerate(documents)]
    ends = np.cumsum([len(one) for one in closed])
    _written(folder / "00000.ds.index", ends.astype("<u8").tobytes())
    _written(folder / "00000.ds.metadata", f"gpt2|2\n{ends[-1]}\n0.1 kT".encode())
    content = b"".join(one.astype("<u2").tobytes() for one in closed)
    return [_written(folder / "00000.ds", content)]


WRITERS: dict[str, Callable[[Path, Sequence], list[Path]]] = {
    "text": text,
    "jsonl": jsonl,
    "json": json_array,
    "csv": csv_table,
    "parquet": parquet_file,
    "hf_disk": hf_disk,
    "tokens": tokens,
    "megatron": megatron,
    "datatrove": datatrove,
}
OPTIONS = {
    "columns": Columns("text", ()),
    "dtype": "uint16",
    "vocabulary": VOCABULARY,
    "eos": EOS,
}


@pytest.fixture
def write():
    """`write(format, folder, documents)` gives the files to read."""

    def write_format(name: str, folder: Path, documents: Sequence[Content]) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        return WRITERS[name](folder, documents)

    return write_format


@pytest.fixture
def write_three(write, tmp_path):
    """`write_three(format)`: the file of the documents 1 2, 3 4 5 and 6."""

    def written(name: str) -> Path:
        documents = [np.array(one) for one in ([1, 2], [3, 4, 5], [6])]
        (file,) = write(name, tmp_path, documents)
        return file

    return written


@pytest.fixture
def read_tokens():
    """`read_tokens(reader, file, ranges)`: the documents as lists of tokens."""

    def read(form: Format, file: Path, ranges=((0, 1 << 40),)) -> list[list[int]]:
        return [np.asarray(one).tolist() for _, one in form.read(file, ranges)]

    return read


@pytest.fixture
def printed_by(tmp_path):
    """`printed_by(library, script)`: the lines of a script beside a library of `make consumers`."""

    def lines(library: str, script: str) -> list[str]:
        folder = CONSUMERS / library
        if not folder.exists():
            pytest.skip(f"{library} is not there: `make consumers` fetches it")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, str(folder)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return lines


@pytest.fixture
def make():
    """`make(format, **changed)` gives a reader."""

    def make_with(name: str, **changed) -> Format:
        return make_format(name, {**OPTIONS, **changed})

    return make_with


@pytest.fixture
def example():
    """`example(format, count)`: documents that are no two alike."""

    def documents(name: str, count: int = 12) -> list[Content]:
        rng = np.random.default_rng(count)
        lengths = rng.integers(2, 30, size=count)
        if FORMATS[name].holds == "tokens":
            return [rng.integers(EOS, size=length).astype(np.uint32) for length in lengths]
        return [
            f'document {i}, "quoted"\r\nand é \u2028 \U0001d11e {rng.bytes(length).hex()}'
            for i, length in enumerate(lengths)
        ]

    return documents


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
