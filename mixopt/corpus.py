"""Which domains there are: the folders and files of a corpus, or the lines of a `domains.csv`.

In a corpus folder each folder is a domain and so is each file of text; with `levels` of 2 the
folders in the folders are (`web/news` is `web:news`). What was decided on the way is told in notes.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixopt.config import DomainSpec
from mixopt.errors import DataError, nearest

LIST = "domains.csv"
"""In a corpus folder: the list of its domains."""
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.:-]*")
_FILES = re.compile(
    r"(.+?)\.((txt|jsonl|ndjson|json|csv|tsv)(\.gz|\.bz2|\.xz|\.zst)?|parquet|npy|bin|idx|ds)",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"(.+)\.(ds\.(index|metadata|loss)|bin)", re.IGNORECASE)
"""Files that are read with another, where that is there."""
_ABOUT = re.compile(
    r"(readme|licen[cs]e|copying|changelog|manifest|metadata|index)\b", re.IGNORECASE
)
_SHOWN = 5
_COLUMNS = ("name", *DomainSpec.model_fields)


@dataclass(frozen=True)
class Corpus:
    """The domains by name, and what was decided for the user, a sentence each."""

    domains: dict[str, DomainSpec]
    notes: tuple[str, ...] = ()


def corpus_from_folder(folder: Path, levels: int = 1) -> Corpus:
    """The domains of a corpus folder; a `domains.csv` in it is believed instead.

    Raises DataError for a folder that cannot be read or names no domain, for names that are none,
    and for files that lie beside the folders of a level below the first.
    """
    if levels < 1:
        raise DataError(f"expected at least one level of folders, got {levels}")
    if (folder / LIST).is_file():
        listed = corpus_from_csv(folder / LIST)
        places = {Path(spec.path).resolve() for spec in listed.domains.values() if spec.path}
        known = {parent for place in places for parent in (place, *place.parents)}
        others = [item.name for item in _entries(folder) if item.resolve() not in known]
        notes = [f"the domains are those of {folder / LIST}"]
        if left := [name for name in others if name != LIST and not _ABOUT.match(name)]:
            notes.append(f"not named there, and left out: {_few(left)}")
        return Corpus(listed.domains, (*notes, *listed.notes))
    found, left = _walk(folder, levels)
    if not found:
        raise DataError(f"{folder} names no domain: expected a folder, or a file of text, for each")
    domains: dict[str, DomainSpec] = {}
    for name, path in found:
        if name in domains:
            raise DataError(f"{domains[name].path} and {path} would both be the domain {name!r}")
        domains[name] = DomainSpec(path=str(path))
    return Corpus(domains, tuple(_notes(folder, levels, found, left)))


def corpus_from_csv(path: Path) -> Corpus:
    """The domains of a CSV with the column `name` and any keys of `[domain.NAME]`, as columns.

    Raises DataError, with the line, for an unknown column, a value that is none, and a name twice.
    """
    rows = _rows(path)
    domains: dict[str, DomainSpec] = {}
    lines: dict[str, int] = {}
    for line, row in rows:
        name = row.pop("name", "")
        if not _NAME.fullmatch(name):
            raise DataError(f"{path}:{line}: {_why_no_name(name)}")
        if name in domains:
            raise DataError(f"{path}:{line}: {name!r} stands in line {lines[name]} already")
        domains[name], lines[name] = _spec(path, line, row), line
    if not domains:
        raise DataError(f"{path} names no domain: expected a line for each below the header")
    return Corpus(domains, tuple(_csv_notes(path, domains)))


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line and values of each row; empty values are left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            found = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) > len(header):
                    raise DataError(
                        f"{path}:{reader.line_num}: expected {len(header)} values, got "
                        f'{len(cells)}: write one with a comma in it as "1,5"'
                    )
                row = {name: cell.strip() for name, cell in zip(header, cells) if cell.strip()}
                found.append((reader.line_num, row))
            return found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} could not be read as a CSV in UTF-8: {error}") from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    if "name" not in header and len(header) == 1 and re.search("[;\t]", header[0]):
        raise DataError(f"{path}:1: expected commas between the columns, got {header[0]!r}")
    for column in header:
        if column not in _COLUMNS:
            raise DataError(f"{path}:1: unknown column {column!r}, {nearest(column, _COLUMNS)}")
        if header.count(column) > 1:
            raise DataError(f"{path}:1: the column {column!r} stands there twice")
    if "name" not in header:
        raise DataError(f"{path}:1: expected a header line with the column 'name'")


def _spec(path: Path, line: int, row: dict[str, str]) -> DomainSpec:
    """The keys of a row, checked; paths are relative to the file."""
    values: dict[str, Any] = dict(row)
    if "path" in row:
        values["path"] = str(path.parent / row["path"])
    if "where" in row:
        values["where"] = _where(path, line, row["where"])
    try:
        return DomainSpec.model_validate_strings(values)
    except ValidationError as error:
        first = error.errors()[0]
        key, message = first["loc"][0], first["msg"][0].lower() + first["msg"][1:]
        hint = ": write 30e9 or 30000000000" if key == "tokens" else ""
        raise DataError(
            f"{path}:{line}: {key!r} {message}, got {first['input']!r}{hint}"
        ) from error


def _where(path: Path, line: int, text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(";")]
    if any(not column.strip() or not equal for column, equal, _ in pairs):
        raise DataError(
            f"{path}:{line}: expected column=value in 'where', and ; between two of them, "
            f"got {text!r}"
        )
    return {column.strip(): value.strip() for column, _, value in pairs}


def _csv_notes(path: Path, domains: dict[str, DomainSpec]) -> list[str]:
    without = [name for name, spec in domains.items() if spec.path is None]
    absent = [name for name, spec in domains.items() if spec.path and not Path(spec.path).exists()]
    notes = []
    if without and len(without) < len(domains):
        notes.append(f"no path, so nothing to prepare: {_few(without)}")
    if absent:
        notes.append(f"the path of {path} is not there (yet): {_few(absent)}")
    return notes


def _walk(folder: Path, levels: int) -> tuple[list[tuple[str, Path]], list[str]]:
    """Domains with their paths, and the names of what is left out."""
    found: list[tuple[str, Path]] = []
    left: list[str] = []
    for item in _entries(folder):
        if item.is_dir():
            deeper = levels > 1 and any(child.is_dir() for child in _entries(item))
            found += _below(item, levels - 1) if deeper else [(_name_of(item, item.name), item)]
        elif _is_beside(item):
            continue
        elif (match := _FILES.fullmatch(item.name)) and not _ABOUT.match(item.name):
            found.append((_name_of(item, match[1]), item))
        else:
            left.append(item.name)
    return found, left


def _is_beside(path: Path) -> bool:
    """Whether a file is the data of an index, or the index of data, that stands for both."""
    match = _BESIDE.fullmatch(path.name)
    return match is not None and any(
        path.with_name(match[1] + ending).exists() for ending in (".idx", ".ds")
    )


def _below(folder: Path, levels: int) -> list[tuple[str, Path]]:
    """The domains of a folder in the corpus; every file must belong to one of them."""
    found, left = _walk(folder, levels)
    loose = [path.name for _, path in found if path.is_file()] + left
    if loose:
        raise DataError(
            f"{folder} has folders, each a domain, and files beside them ({_few(loose)}), which "
            "would belong to none: move them into a folder, or ask for fewer levels"
        )
    prefix = _name_of(folder, folder.name)
    return [(f"{prefix}:{name}", path) for name, path in found]


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, in order, hidden ones left out."""
    try:
        return sorted(item for item in folder.iterdir() if not item.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error


def _name_of(path: Path, bare: str) -> str:
    name = bare.replace("__", ":")
    if not _NAME.fullmatch(name):
        raise DataError(f"{path}: {_why_no_name(name)}, or name it in a {LIST}")
    return name


def _why_no_name(name: str) -> str:
    better = re.sub(r"[^a-z0-9_.:-]+", "_", name.lower()).lstrip(".:-_")
    hint = f", for example {better!r}" if better else ""
    return f"{name!r} is no name of a domain: use a-z 0-9 _ . : - and begin with a letter{hint}"


def _notes(
    folder: Path, levels: int, found: Sequence[tuple[str, Path]], left: Sequence[str]
) -> list[str]:
    notes = []
    nested = [
        path.name
        for _, path in found
        if path.is_dir() and any(child.is_dir() for child in _entries(path))
    ]
    if nested:
        deeper = f"`--levels {levels + 1}` makes a domain of each folder in them"
        notes.append(f"one domain with all that lies below it: {_few(nested)} ({deeper})")
    alone = [path.name for _, path in found if path.is_file()]
    if len(alone) > 1:
        notes.append(f"each file a domain: {_few(alone)}; put the files of one into a folder")
    if left:
        notes.append(f"left out of {folder}: {_few(left)}")
    return notes


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
