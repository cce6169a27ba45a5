"""The files of a domain, in a fixed order, each with its format: by its ending, or as it is told.

Nothing is guessed from content. Where endings leave it open (.json beside source code, tokens
beside text), it is an error that asks for `format`. Links are followed, but not in a circle.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mixopt.errors import ConfigError, DataError
from proxies.formats import CODE, FORMATS, PACKED, kind_of
from proxies.formats.base import Format
from proxies.sources import Source

_PACKABLE = ("text", "jsonl", "json", "csv")
_ENDINGS = {ending: name for name, kind in FORMATS.items() for ending in kind.endings.split()}


class File(NamedTuple):
    """A file that holds documents."""

    path: Path
    format: str
    size: int
    """Bytes, with what lies beside it: the data of an index."""
    stamp: str
    """Changes when the file does, as far as its size and time tell."""
    identity: tuple[int, int]
    """Equal for one file under two names."""
    in_order: bool
    """Whether it is read from its beginning on."""


@dataclass(frozen=True)
class Listing:
    """The files of one domain, and what else lies in its folder."""

    root: Path
    files: tuple[File, ...]
    empty: int
    """Code files without a byte, which are left out."""
    skipped: dict[str, int]
    """Files that hold no documents by their ending: how many of each."""

    @property
    def size(self) -> int:
        """Bytes of the files on the disk."""
        return sum(file.size for file in self.files)

    def place(self, path: Path) -> str:
        """Where a file lies in the domain."""
        return path.name if path == self.root else path.relative_to(self.root).as_posix()


def list_files(source: Source, make: Callable[[str], Format]) -> Listing:
    """The files of a domain; hidden ones are left out. `make` gives a format by its name.

    Raises DataError for what does not exist or cannot be read, links in a circle, an empty file,
    and a folder without documents; ConfigError where a format must be told.
    """
    root = source.path
    if not os.path.lexists(root):
        raise DataError(f"{root} does not exist: expected a folder of text files, or one file")
    named, skipped = _by_format(source, _walk(root))
    beside = {
        other: path
        for name, paths in named.items()
        if name in ("megatron", "datatrove", "hf_disk")
        for path in paths
        for other in make(name).beside(path)
    }
    named = {name: [path for path in paths if path not in beside] for name, paths in named.items()}
    skipped = [path for path in skipped if path not in beside]
    if source.format is None:
        _settle(source, named, skipped)
    chosen = {path: name for name, paths in named.items() for path in make(name).files(paths)}
    files, empty = _stated(sorted(chosen.items()), make)
    endings = Counter(_ending(path) or path.name for path in skipped)
    if not files:
        raise _nothing(root, endings)
    return Listing(root, tuple(files), empty, dict(endings))


def check_apart(sources: Sequence[Source], listings: Sequence[Listing]) -> None:
    """DataError where two domains read one file, unless `where` tells their rows apart."""
    owners: dict[tuple[int, int], Source] = {}
    for source, listing in zip(sources, listings):
        for file in listing.files:
            other = owners.setdefault(file.identity, source)
            if other is source or (
                other.where.keys() == source.where.keys() and other.where != source.where
            ):
                continue
            raise DataError(
                f"domains {other.name!r} and {source.name!r} both read {file.path}: give each its "
                "own files, or tell their rows apart with `where`"
            )


def _walk(root: Path) -> list[Path]:
    """The visible files below a folder, sorted by the parts of their paths."""
    found: list[Path] = []
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(root, frozenset())]
    while waiting:
        path, above = waiting.pop()
        try:
            if not path.is_dir():
                if path.is_file():
                    found.append(path)
                elif path.is_symlink():
                    raise DataError(f"{path} links to nothing: mend the link or delete it")
                continue
            told = path.stat()
            identity = (told.st_dev, told.st_ino)
            if identity in above:
                raise DataError(f"{path} links back to a folder that it lies in: delete the link")
            names = sorted(os.listdir(path), reverse=True)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        waiting += [(path / name, above | {identity}) for name in names if name[0] != "."]
    return found


def _by_format(source: Source, found: Sequence[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """The files of each format by their endings, and those of none."""
    named: dict[str, list[Path]] = {}
    skipped: list[Path] = []
    for path in found:
        name = _ENDINGS.get(_ending(path))
        (skipped if name is None else named.setdefault(name, [])).append(path)
    if source.format is None:
        return named, skipped
    kind_of(source.format)
    if source.format == "text" or source.format not in named:
        return {source.format: list(found)}, []
    others = [path for name, paths in named.items() if name != source.format for path in paths]
    return {source.format: named[source.format]}, skipped + others


def _settle(source: Source, named: dict[str, list[Path]], skipped: list[Path]) -> None:
    """Leave only formats that go together; ConfigError where nobody can know which is meant."""
    for name in [name for name, paths in named.items() if not paths]:
        del named[name]
    if "tokens" in named and len(named) > 1 and source.dtype is None:
        skipped += named.pop("tokens")  # a .bin beside text is no text, and no tokens
    tokens = [name for name in named if FORMATS[name].holds == "tokens"]
    open_ = [name for name in ("json", "csv") if name in named and "text" in named]
    if (tokens and len(named) > 1) or open_:
        held = ", ".join(f"{paths[0].name} ({name})" for name, paths in sorted(named.items()))
        choices = " or ".join(f'"{name}"' for name in sorted(named))
        raise ConfigError(
            f"{source.path} holds files of several formats, such as {held}: say `format` of domain "
            f"{source.name!r} in space.toml, {choices}"
        )
    if source.where and any(FORMATS[name].holds != "tables" for name in named):
        raise ConfigError(f"domain {source.name!r} has `where`, and files without columns")


def _stated(
    chosen: Sequence[tuple[Path, str]], make: Callable[[str], Format]
) -> tuple[list[File], int]:
    """The files with their sizes and times, and how many were left out as empty."""
    files, empty = [], 0
    for path, name in chosen:
        try:
            path.name.encode()
            told = path.stat()
            others = [other.stat() for other in make(name).beside(path)]
        except UnicodeEncodeError as error:
            raise DataError(f"{path!r} has a name that is not UTF-8: rename it") from error
        except OSError as error:
            missing = error.filename or path
            raise DataError(f"{missing} cannot be read: {error.strerror}") from error
        if told.st_size:
            stats = [told, *others]
            stamp = " ".join(f"{one.st_size}@{one.st_mtime_ns}" for one in stats)
            size = max(one.st_size for one in stats)
            identity = (told.st_dev, told.st_ino)
            files.append(File(path, name, size, stamp, identity, make(name).in_order(path)))
        elif path.suffix.lower() in CODE:
            empty += 1
        else:
            raise DataError(f"{path} is empty: fetch it again or delete it")
    return files, empty


def _ending(path: Path) -> str:
    """The ending that says what a file holds, without that of its packing."""
    ending = path.suffix.lower()
    if ending not in PACKED:
        return ending
    inner = Path(path.stem).suffix.lower()
    return inner if _ENDINGS.get(inner) in _PACKABLE else inner + ending


def _nothing(root: Path, endings: Counter[str]) -> DataError:
    others = f", only {', '.join(sorted(endings))}" if endings else ""
    return DataError(
        f"{root} holds no text{others}: expected .txt, .md, .py, .jsonl, .parquet or the like, or "
        'a `format` for the domain in space.toml (format = "text" reads any file as text)'
    )
