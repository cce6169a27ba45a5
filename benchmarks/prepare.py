"""prepare: MB of text a second by format, against the tokenizer alone on the same text and cores.

    python benchmarks/prepare.py CORPUS [--mb 100] [--formats NAME ...] [--workers 2] [--out FILE]
    python benchmarks/prepare.py CORPUS --large-gb 1 4 [--pool-tokens N] [--bytes] [--out FILE]

CORPUS is a folder as `examples/corpus_debian.py` or `corpus_small.py` writes it (NAME/text.jsonl).
Each format is prepared in a new process, and beside it, before and after, the tokenizer's own batch
call encodes the same documents with as many threads. `of tokenizer` is the speed of prepare over
that (by the clock); `in tokenizer` the CPU seconds of the tokenizer alone over those of prepare.
Memory is the peak of all processes together (proportional, Linux). --large-gb prepares JSON lines
of such sizes made from CORPUS: memory must not grow. What FILE holds is not measured again.
"""

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import inputs
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from mixopt.files import read_json, write_json
from proxies.prepare import PrepareSettings, Source, prepare
from proxies.tokenizer import train_bpe

TOKENS = ("tokens", "megatron", "datatrove")
COLUMNS = ("MB", "s", "MB/s", "CPU s", "tokenizer MB/s", "of tokenizer", "in tokenizer", "peak MB")
FILE_BYTES = 250_000_000
SETTLE_S = 0.05


@dataclass(frozen=True)
class Cost:
    """What some work took: seconds, CPU seconds of all its processes, and their peak in bytes."""

    seconds: float
    cpu: float
    peak: int


def main() -> None:
    """Measure what is not there yet; print and write."""
    options = _options()
    results = read_json(options.out) if options.out.exists() else {}
    with tempfile.TemporaryDirectory(prefix="prepare-", dir=options.work) as place:
        if options.large_gb:
            _large(options, Path(place), results)
        else:
            _formats(options, Path(place), results)


def _formats(options: argparse.Namespace, place: Path, results: dict[str, Any]) -> None:
    """The table of formats."""
    domains = inputs.read(options.corpus, round(options.mb * 1e6))
    documents = [text for texts in domains.values() for text in texts]
    size = sum(len(text.encode()) for text in documents)
    tokenizer = _tokenizer(documents, place)
    before = None
    for name, write in inputs.writers(tokenizer).items():
        key = f"{name} {options.mb:g} MB, {options.workers} workers"
        if key in results or (options.formats and name not in options.formats):
            continue
        folder = place / "input"
        for domain, texts in domains.items():
            (folder / domain).mkdir(parents=True)
            write(folder / domain, texts)
        before = before or measured(_encode, tokenizer, documents, options.workers)
        dtype = "uint16" if name in TOKENS else None
        arguments = (folder, place / "out", str(tokenizer), options.workers, dtype)
        cost = measured(_prepare, *arguments)
        after = measured(_encode, tokenizer, documents, options.workers)
        results[key] = row(name, size, cost, before, after)
        before = after
        write_json(options.out, results)
        shutil.rmtree(folder)
        shutil.rmtree(place / "out")
    show("format", [result for key, result in results.items() if " MB, " in key])


def row(name: str, size: int, cost: Cost, before: Cost, after: Cost) -> dict[str, Any]:
    """One line of the table, of `size` bytes of text; both runs of the tokenizer count alike."""
    alone, alone_cpu = (before.seconds + after.seconds) / 2, (before.cpu + after.cpu) / 2
    encoded = name not in TOKENS
    return {
        "name": name,
        "MB": size / 1e6,
        "s": cost.seconds,
        "MB/s": size / 1e6 / cost.seconds,
        "CPU s": cost.cpu,
        "tokenizer MB/s": size / 1e6 / alone,
        "of tokenizer": alone / cost.seconds if encoded else None,
        "in tokenizer": alone_cpu / cost.cpu if encoded else None,
        "peak MB": cost.peak / 1e6,
    }


def _large(options: argparse.Namespace, place: Path, results: dict[str, Any]) -> None:
    """The table of sizes: time and memory."""
    domains = inputs.read(options.corpus, 10**9)
    texts = [text for own in domains.values() for text in own]
    tokenizer = "bytes" if options.bytes else str(_tokenizer(texts, place))
    pool = options.pool_tokens
    for size in options.large_gb:
        told = "all of it" if pool is None else f"{pool:,} tokens a domain"
        key = (
            f"{size:g} GB, {told}, {'bytes' if options.bytes else 'BPE'}, {options.workers} workers"
        )
        if key in results:
            continue
        folder = place / "input"
        total = grow(domains, folder, round(size * 1e9))
        cost = measured(_prepare, folder, place / "out", tokenizer, options.workers, None, pool)
        results[key] = {
            "name": key,
            "MB": total / 1e6,
            "s": cost.seconds,
            "MB/s": total / 1e6 / cost.seconds,
            "CPU s": cost.cpu,
            "peak MB": cost.peak / 1e6,
        }
        write_json(options.out, results)
        shutil.rmtree(folder)
        shutil.rmtree(place / "out")
    show("size", [result for key, result in results.items() if " GB, " in key])


def grow(domains: dict[str, list[str]], folder: Path, size: int) -> int:
    """JSON lines of about `size` bytes: documents again and again, their lines in another order.

    Returns the bytes of text.
    """
    rng = random.Random(0)
    written = 0
    for name, texts in domains.items():
        (folder / name).mkdir(parents=True)
        left = size // len(domains)
        documents = _shuffled_lines(texts, rng)
        for number in range(-(-left // FILE_BYTES)):
            with (folder / name / f"{number:04d}.jsonl").open("w", encoding="utf-8") as file:
                room = min(left, FILE_BYTES)
                left -= room
                while room > 0:
                    document = next(documents)
                    file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
                    room -= len(document.encode())
                    written += len(document.encode())
    return written


def _shuffled_lines(texts: Sequence[str], rng: random.Random) -> Iterator[str]:
    for number in range(sys.maxsize):
        lines = texts[number % len(texts)].splitlines()
        rng.shuffle(lines)
        yield f"{number}\n" + "\n".join(lines)


def measured(work: Callable[..., None], *arguments: Any) -> Cost:
    """Do something in a new process, whose start is not counted; watch it and its children."""
    context = get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_timed, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    assert process.pid is not None
    peak = _Peak(process.pid)
    try:
        seconds, cpu = mine.recv()
    except EOFError:
        sys.exit(f"{work.__name__} came to no end")
    finally:
        process.join()
        peak.stop()
    return Cost(seconds, cpu, peak.bytes)


def _timed(report: Connection, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    """In the new process: report seconds and CPU seconds, those of ended children among them."""
    started, spent = time.monotonic(), _cpu()
    work(*arguments)
    report.send((time.monotonic() - started, _cpu() - spent))


class _Peak:
    """The most memory that a process and its children had together, looked at again and again."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self, pid: int) -> None:
        while not self._ended.wait(SETTLE_S):
            self.bytes = max(self.bytes, _tree_bytes(pid))


def _tree_bytes(pid: int) -> int:
    """Memory of a process and its children; pages that they share count once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return 0
    own = sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own + sum(_tree_bytes(int(child)) for child in children)


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def _prepare(
    folder: Path,
    out: Path,
    tokenizer: str,
    workers: int,
    dtype: str | None,
    pool_tokens: int | None = None,
) -> None:
    sources = [Source(path.name, path, dtype=dtype) for path in sorted(folder.iterdir())]
    settings = PrepareSettings(tokenizer=tokenizer, pool_tokens=pool_tokens)
    prepare(sources, out, settings=settings, workers=workers)


def _encode(tokenizer: Path, documents: Sequence[str], threads: int) -> None:
    """The tokenizer's own batch call, on as many threads as prepare has workers."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    library = Tokenizer.from_file(str(tokenizer))
    for start in range(0, len(documents), 1000):
        library.encode_batch_fast(documents[start : start + 1000], add_special_tokens=False)


def _tokenizer(documents: Sequence[str], place: Path) -> Path:
    """A BPE of 4096 trained on a sample of the documents."""
    path = place / "tokenizer.json"
    sample = [text[:4000] for text in random.Random(0).sample(documents, min(700, len(documents)))]
    path.write_text(train_bpe(sample, 4096), encoding="utf-8")
    return path


def show(first: str, rows: Sequence[dict[str, Any]]) -> None:
    """The table."""
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    table = Table(first, *columns)
    for result in rows:
        cells = (result.get(name) for name in columns)
        table.add_row(result["name"], *map(_cell, cells))
    Console(width=120).print(table)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--mb", type=float, default=100.0)
    parser.add_argument("--formats", nargs="+", help="default: all")
    parser.add_argument("--large-gb", type=float, nargs="+")
    parser.add_argument("--pool-tokens", type=int)
    parser.add_argument("--bytes", action="store_true", help="of --large-gb: no BPE, bytes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, help="where inputs are written; default: /tmp or so")
    parser.add_argument("--out", type=Path, default=Path("prepare.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
