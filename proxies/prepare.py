"""Text, or tokens, to training data: token files by domain and split, documents, a manifest.

The passes: list the files, scan them (a hash of every document, so that copies go and the split is
by content), train the tokenizer on training text only, encode. What is done lies beside the folder,
in FOLDER.partial, until all is, so that an interrupted command goes on; then the folder is swapped
in as a whole, its manifest written last: what exists is complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.errors import ConfigError, DataError
from mixopt.files import digest, file_digest, read_json, unwritable, write_json
from proxies.build import build
from proxies.config import resolve
from proxies.data import MANIFEST, SCHEMA, Data, count_windows
from proxies.formats import FORMATS
from proxies.formats.columns import Columns
from proxies.jobs import cores
from proxies.listing import Listing, check_apart, list_files
from proxies.parts import Reader
from proxies.plan import make_plans
from proxies.sources import (
    PrepareSettings,
    Progress,
    Source,
    check_names,
    settings_of,
    sources_of,
)
from proxies.tokenizer import Scheme, vocabulary
from proxies.work import Workshop

if TYPE_CHECKING:
    from mixopt.experiment import Experiment


def prepare(
    sources: Sequence[Source],
    out: Path,
    *,
    settings: PrepareSettings,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Prepare the domains into the folder `out` and return its manifest.

    With equal files and settings nothing is done (stage `unchanged`); with others the folder is
    rebuilt and replaced as a whole. After an interruption the same call goes on where it was. With
    several workers, a script that calls this needs the usual `if __name__ == "__main__":`.

    Raises DataError for what is wrong with the data, with its file and place, and when the disk
    is full, and ConfigError for formats or tokens that must be told; `out` is then as it was.
    """
    report = progress or _silent
    check_names(sources)
    scheme = _given_scheme(settings)
    readers = {source.name: _reader(source, scheme) for source in sources}
    listings = [list_files(source, readers[source.name].format) for source in sources]
    check_apart(sources, listings)
    _check_tokens(sources, listings, settings)
    inputs = _inputs(sources, listings, settings)
    if _is_current(out, inputs):
        report("unchanged", 1, 1)
        return read_json(out / MANIFEST)
    _check_replaceable(out)
    partial = out.with_name(out.name + ".partial")
    try:
        with Workshop(partial, workers, report) as workshop:
            plans = make_plans(sources, listings, readers, settings, workshop)
            manifest = build(plans, scheme, settings, workshop, partial / "new")
            write_json(partial / "new" / MANIFEST, {**manifest, "inputs": inputs})
        _swap(partial, out)
    except OSError as error:
        raise unwritable(out, error) from error
    return read_json(out / MANIFEST)


def prepare_experiment(experiment: Experiment, progress: Progress | None = None) -> dict[str, Any]:
    """Prepare the domains of `space.toml` into `data/`, by `[data]` of `proxy.toml`.

    Paths are relative to the experiment's folder. Raises ConfigError for a domain without one, and
    DataError for one that has less text than a proxy reads at once.
    """
    sources, settings = sources_of(experiment), settings_of(experiment)
    data = experiment.folder / "data"
    manifest = prepare(sources, data, settings=settings, workers=cores(), progress=progress)
    if experiment.proxy_file.scale is None:  # else proxies are trained elsewhere
        identity = experiment.proxy_file.identity()
        config = resolve(identity, manifest["tokenizer"]["vocabulary"])
        _check_windows(manifest, config.sizes.context)
    return manifest


def _given_scheme(settings: PrepareSettings) -> Scheme | None:
    """The tokens that the settings name; None where a BPE is to be trained.

    Raises ConfigError for foreign tokens of which too little is said, and DataError for a file
    that is no tokenizer.
    """
    if settings.tokenizer == "bpe":
        return None
    if settings.tokenizer == "bytes":
        return Scheme()
    if settings.tokenizer != "none":
        scheme = Scheme(Path(settings.tokenizer), settings.eos)
        _ = scheme.vocabulary  # a wrong file is said before anything is read
        return scheme
    if settings.eos is None or settings.eos >= settings.vocabulary:
        raise ConfigError(
            'tokenizer = "none" needs the `vocabulary` of the tokens and an `eos` below it in '
            f"[data] of proxy.toml, got {settings.vocabulary} and {settings.eos}"
        )
    return Scheme(None, settings.eos, settings.vocabulary)


def _reader(source: Source, scheme: Scheme | None) -> Reader:
    """How a domain is read; a tokenizer that is still to be trained plays no part in that."""
    columns = Columns(source.column, tuple(source.where.items()))
    return Reader(columns, source.dtype, scheme or Scheme())


def _check_tokens(
    sources: Sequence[Source], listings: Sequence[Listing], settings: PrepareSettings
) -> None:
    """ConfigError where the domains do not have one vocabulary."""
    for source, listing in zip(sources, listings):
        holds_tokens = any(FORMATS[file.format].holds == "tokens" for file in listing.files)
        if holds_tokens and settings.own_tokenizer:
            raise ConfigError(
                f"domain {source.name!r} holds tokens: say in [data] of proxy.toml which tokenizer "
                'they are of (the path of its tokenizer.json), or tokenizer = "none" with their '
                "`vocabulary` and `eos`"
            )
        if not holds_tokens and settings.tokenizer == "none":
            raise ConfigError(
                f"domain {source.name!r} holds text, which no tokenizer turns into tokens: with "
                'tokenizer = "none" every domain holds tokens; else say the path of a '
                "tokenizer.json in [data] of proxy.toml"
            )
    if settings.tokenizer == "none" and settings.target_tokenizer is not None:
        raise ConfigError(
            "tokens without their tokenizer have no bytes by which to convert them: leave out "
            "`target_tokenizer` of [data] in proxy.toml"
        )


def _inputs(
    sources: Sequence[Source], listings: Sequence[Listing], settings: PrepareSettings
) -> str:
    """One hash of everything that the tokens and the manifest depend on."""
    chosen = asdict(settings)
    if not settings.own_tokenizer and settings.tokenizer != "none":
        chosen["tokenizer"] = file_digest(Path(settings.tokenizer))
    if settings.target_tokenizer is not None:
        vocabulary(Path(settings.target_tokenizer))  # a wrong file is said before anything is read
        chosen["target_tokenizer"] = file_digest(Path(settings.target_tokenizer))
    domains = [
        [
            {**asdict(source), "path": None},
            [[listing.place(file.path), file.format, file.stamp] for file in listing.files],
        ]
        for source, listing in zip(sources, listings)
    ]
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


def _swap(partial: Path, out: Path) -> None:
    """Put what was built in the place of what was there, and leave nothing beside it."""
    if out.exists():
        shutil.rmtree(partial / "old", ignore_errors=True)
        out.rename(partial / "old")
    (partial / "new").rename(out)
    shutil.rmtree(partial)


def _check_windows(manifest: Mapping[str, Any], context: int) -> None:
    """DataError for a domain with less text in a split than one window of a proxy."""
    for name, domain in manifest["domains"].items():
        for split, counts in domain["splits"].items():
            if not count_windows(counts["tokens"], context):
                raise DataError(
                    f"the {split} text of domain {name!r} has {counts['tokens']} tokens, less than "
                    f"one window of {context + 1}: add text, or shorten `context` in `sizes` of "
                    "proxy.toml"
                )


def _silent(stage: str, done: int, total: int) -> None:
    """No progress is wanted."""
