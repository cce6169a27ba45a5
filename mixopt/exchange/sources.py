"""Sources by domain, from what a study knows and from a CSV of the cluster's own paths.

A study knows paths and tokens by space.toml and the manifest of `prepare`, which counted documents
too; the CSV has the columns name and any of path, validation, tokens, documents, and is believed
first. Token counts are in tokens of the target's tokenizer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from glob import glob
from pathlib import Path
from typing import Any

from mixopt.config import DomainSpec
from mixopt.errors import DataError, nearest
from mixopt.exchange.base import Source, Sources
from mixopt.exchange.sheet import Sheet
from mixopt.space import Domain
from mixopt.tokens import Bytes

COLUMNS = ("path", "validation", "tokens", "documents")


def study_sources(
    domains: Sequence[Domain],
    specs: Mapping[str, DomainSpec],
    folder: Path,
    manifest: Mapping[str, Any] | None,
    held: Bytes,
) -> Sources:
    """What a study knows; `held` are the bytes of a token of the target's tokenizer by domain.

    Relative paths of space.toml are seen from its folder.
    """
    prepared = {} if manifest is None else manifest["domains"]
    return {
        domain.name: Source(
            path=_absolute(specs[domain.name].path, folder),
            tokens=domain.tokens,
            documents=_documents(domain, prepared.get(domain.name), held),
            max_epochs=domain.max_epochs,
        )
        for domain in domains
    }


def with_sheet(sources: Sources, path: Path) -> Sources:
    """The sources with the cells of a CSV in place of what the study knows.

    Raises DataError, with the line, for unknown columns and domains and for bad counts.
    """
    sheet = Sheet.read(path)
    sheet.require("name")
    sheet.require_unique("name")
    for column in sheet.header:
        if column not in ("name", *COLUMNS):
            hint = nearest(column, ["name", *COLUMNS])
            raise DataError(f"{path}:1: a source has no column {column!r}, {hint}")
    found = dict(sources)
    for i, row in enumerate(sheet.rows):
        if row["name"] not in sources:
            hint = nearest(row["name"], sources)
            raise DataError(f"{sheet.where(i)}: no domain is called {row['name']!r}, {hint}")
        told = {column: _cell(sheet, i, column) for column in sheet.header if row[column]}
        told.pop("name", None)
        found[row["name"]] = _changed(found[row["name"]], told)
    return found


def recounted(sources: Sources, held: Bytes, wanted: Bytes) -> Sources:
    """Sources with token counts in the trainer's tokens; unknown where bytes a token are."""
    return {
        name: replace(
            item,
            tokens=item.tokens * held[name] / wanted[name]
            if item.tokens and held.get(name) and wanted.get(name)
            else None,
        )
        for name, item in sources.items()
    }


def missing_files(sources: Sources, ending: str) -> list[str]:
    """The paths of which this machine has no file; those of a remote store are not looked for."""
    places = [item.path for item in sources.values() if item.path and "://" not in item.path]
    return [path for path in places if not _there(path, ending)]


def _absolute(path: str | None, folder: Path) -> str | None:
    """A path as it is seen from anywhere."""
    return path if path is None or "://" in path else str((folder / path).absolute())


def _documents(domain: Domain, entry: Mapping[str, Any] | None, held: Bytes) -> float | None:
    """Documents of the whole pool, by the mean length of those that were encoded.

    Where documents were cut into pieces to be split, the pieces of all splits are the documents.
    """
    if entry is None or not domain.tokens or entry["split_by"] not in ("documents", "pieces"):
        return None
    pieces = entry["split_by"] == "pieces"
    parts = list(entry["splits"].values()) if pieces else [entry["splits"]["train"]]
    count = entry["documents"] if pieces else parts[0]["documents"]
    known = domain.name in held and all(part["bytes"] is not None for part in parts)
    measure = "bytes" if known else "tokens"
    tokens = sum(part[measure] for part in parts) / (held[domain.name] if known else 1.0)
    return domain.tokens * count / tokens if tokens else None


def _cell(sheet: Sheet, i: int, column: str) -> str | float:
    """A path, or a count above zero."""
    if column in ("name", "path", "validation"):
        return sheet.rows[i][column]
    value = sheet.number(i, column)
    if not 0 < value < math.inf:
        raise DataError(f"{sheet.where(i)}: expected {column} above 0, got {value}")
    return value


def _changed(source: Source, told: Mapping[str, Any]) -> Source:
    """A source with some of its fields replaced."""
    kept = {field.name: getattr(source, field.name) for field in fields(source)}
    return Source(**{**kept, **told})


def _there(path: str, ending: str) -> bool:
    bare = path.removesuffix(".bin").removesuffix(".idx") if ending else path
    return bool(glob(bare + ending))
