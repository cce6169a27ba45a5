"""Text to training data: one tokenizer, token files by domain and split, documents, a manifest.

The passes: name the input (file hashes), scan it (document hashes, so that copies go and the split
is by content), train the tokenizer on training text only, encode. All is built beside the folder
and swapped in when the manifest, written last, is there: what exists is complete.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from re import fullmatch
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import ConfigError, DataError
from mixopt.files import (
    digest,
    file_digest,
    file_name,
    read_json,
    unwritable,
    write_atomic,
    write_json,
)
from proxies.data import MANIFEST, SCHEMA, Data
from proxies.encoding import Encoder, encode_domain, processes
from proxies.manifest import describe, describe_domain
from proxies.plan import (
    Meter,
    Plan,
    PrepareSettings,
    Progress,
    Source,
    make_plans,
    sample_texts,
    take_pool,
)
from proxies.reading import Listing, list_files
from proxies.tokenizer import train_bpe, vocabulary

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

MOST_WORKERS = 16
"""Beyond about this many, one process cannot read fast enough for all."""


def prepare(
    sources: Sequence[Source],
    out: Path,
    *,
    settings: PrepareSettings,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Prepare the domains into the folder `out` and return its manifest.

    With equal text and settings nothing is done (stage `unchanged`); with others the folder is
    rebuilt and replaced as a whole. With several workers, a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Raises DataError for what is wrong with the text, with its file and place, and when the disk
    is full; `out` is then as it was.
    """
    report = progress or _silent
    _check_sources(sources)
    listings = [list_files(source.path) for source in sources]
    hashes = _file_hashes(sources, listings, report)
    inputs = _inputs(sources, hashes, settings)
    if _is_current(out, inputs):
        report("unchanged", 1, 1)
        return read_json(out / MANIFEST)
    _check_replaceable(out)
    plans = make_plans(sources, listings, settings, report)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True
        ) as beside:
            folder = Path(beside, "new")
            manifest = _build(plans, folder, settings, workers, report)
            for source, files in zip(sources, hashes):
                write_json(folder / file_name(source.name) / "files.json", files)
            write_json(folder / MANIFEST, {**manifest, "inputs": inputs})
            if out.exists():
                out.rename(Path(beside, "old"))
            folder.rename(out)
    except OSError as error:
        raise unwritable(out, error) from error
    return read_json(out / MANIFEST)


def prepare_experiment(experiment: Experiment, progress: Progress | None = None) -> dict[str, Any]:
    """Prepare the domains of `space.toml` into `data/`, by `[data]` of `proxy.toml`.

    Paths are relative to the experiment's folder. Raises ConfigError for a domain without one.
    """
    folder, chosen = experiment.folder, experiment.proxy_file.data
    sources = []
    for name, domain in experiment.space_file.domain.items():
        if domain.path is None:
            raise ConfigError(
                f"{folder / 'space.toml'}: domain {name!r} has no `path`: say where its text lies"
            )
        place = Path(os.path.normpath(folder / domain.path))
        sources.append(Source(name, place, domain.train))
    own = chosen.tokenizer in ("bpe", "bytes")
    settings = PrepareSettings(
        tokenizer=chosen.tokenizer if own else str(folder / chosen.tokenizer),
        vocabulary=chosen.vocabulary,
        pool_tokens=chosen.pool_tokens,
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(cores or 1, MOST_WORKERS)
    return prepare(sources, folder / "data", settings=settings, workers=workers, progress=progress)


def _check_sources(sources: Sequence[Source]) -> None:
    for source in sources:
        if not fullmatch(r"[a-z0-9_][a-z0-9_.:-]*", source.name):
            raise DataError(
                f"{source.name!r} is no name of a domain: expected small letters, digits and _.:-"
            )
    names = [file_name(source.name) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two domains would be written to {name!r}: rename one of them")
    if not any(source.train for source in sources):
        raise DataError("no domain has training text: expected at least one that is not unseen")


def _file_hashes(
    sources: Sequence[Source], listings: Sequence[Listing], report: Progress
) -> list[dict[str, str]]:
    """For each domain, the content hash of each file by its path in the domain."""
    meter = Meter(report, "hash", sum(listing.size for listing in listings))
    hashes: list[dict[str, str]] = []
    for source, listing in zip(sources, listings):
        hashes.append({})
        for file in listing.files:
            place = file.name if file == source.path else file.relative_to(source.path).as_posix()
            try:
                hashes[-1][place] = file_digest(file)
            except OSError as error:
                raise DataError(f"{file} cannot be read: {error.strerror}") from error
            meter.advance(file.stat().st_size)
    return hashes


def _inputs(
    sources: Sequence[Source], hashes: Sequence[dict[str, str]], settings: PrepareSettings
) -> str:
    """One hash of everything that the tokens depend on."""
    chosen = asdict(settings)
    if settings.tokenizer not in ("bpe", "bytes"):
        vocabulary(Path(settings.tokenizer))  # a wrong file is said before anything is built
        chosen["tokenizer"] = file_digest(Path(settings.tokenizer))
    domains = [[source.name, source.train, files] for source, files in zip(sources, hashes)]
    return digest({"schema": SCHEMA, "settings": chosen, "domains": domains})


def _is_current(out: Path, inputs: str) -> bool:
    if not (out / MANIFEST).exists() or read_json(out / MANIFEST).get("inputs") != inputs:
        return False
    try:
        Data.open(out)
    except DataError:  # a token file is gone or cut: build it again
        return False
    return True


def _check_replaceable(out: Path) -> None:
    if not out.exists() or (out / MANIFEST).exists():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise DataError(f"{out} exists and is no prepared corpus: choose another folder")


def _build(
    plans: Sequence[Plan], folder: Path, settings: PrepareSettings, workers: int, report: Progress
) -> dict[str, Any]:
    """Write everything but the manifest, and return that."""
    folder.mkdir()
    with processes(1 if settings.tokenizer == "bytes" else workers) as executor:
        path = _write_tokenizer(plans, folder, settings, executor, report)
        encoder = Encoder(path, vocabulary(path), executor, ahead=2 * workers)
        pools = [take_pool(plan, path, settings) for plan in plans]
        meter = Meter(report, "encode", sum(pool.size for pool in pools))
        domains = {}
        for plan, pool in zip(plans, pools):
            place = folder / file_name(plan.source.name)
            for size in encode_domain(pool.scan, pool.splits, encoder, place):
                meter.advance(size)
            domains[plan.source.name] = _describe(plan, pool, place)
    np.save(folder / "token_bytes.npy", encoder.vocabulary.token_bytes)
    return describe(domains, encoder, asdict(settings))


def _write_tokenizer(
    plans: Sequence[Plan],
    folder: Path,
    settings: PrepareSettings,
    executor: Executor | None,
    report: Progress,
) -> Path | None:
    """Train or copy the tokenizer into the folder; None for bytes, which have no file."""
    if settings.tokenizer == "bytes":
        return None
    path = folder / "tokenizer.json"
    if settings.tokenizer != "bpe":
        write_atomic(path, Path(settings.tokenizer).read_bytes())
        return path
    texts = [text for plan in plans if plan.source.train for text in sample_texts(plan, settings)]
    meter = Meter(report, "tokenizer", sum(map(len, texts)))
    size = settings.vocabulary
    trained = (
        executor.submit(train_bpe, texts, size).result() if executor else train_bpe(texts, size)
    )
    write_atomic(path, trained)
    meter.advance(meter.total)
    return path


def _describe(plan: Plan, pool: Plan, folder: Path) -> dict[str, Any]:
    """The entry of one domain in the manifest; `pool` is what was encoded of it."""
    train = plan.splits.get("train")
    return {
        "train": plan.source.train,
        "path": str(plan.source.path),
        "files": len(plan.listing.files),
        "files_empty": plan.listing.empty,
        "files_skipped": plan.listing.skipped,
        **describe_domain(pool.scan, pool.splits, train, folder),
    }


def _silent(stage: str, done: int, total: int) -> None:
    """No progress is wanted."""
