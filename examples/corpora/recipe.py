"""Recipe: how the documents of one domain come out of packages; and those, unrepeated, capped."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus_small import read, unrepeated

from corpora.packages import Package
from corpora.text import shuffled

Folders = Mapping[str, Path]
"""Unpacked packages by name."""


@dataclass(frozen=True)
class Recipe:
    """A domain: what it is, what it is made from, and how."""

    about: str
    packages: tuple[Package, ...]
    documents: Callable[[Folders], Iterable[str]]


def collect(recipe: Recipe, folders: Folders, cap: int) -> tuple[list[str], bool]:
    """The documents of a domain, at most `cap` bytes of them, and whether there are more.

    Paragraphs that the domain already has are left out, and so are documents with a NUL.
    """
    kept: list[str] = []
    size = 0
    for document in unrepeated(filter(_is_text, recipe.documents(folders)), set()):
        size += len(document.encode())
        if size > cap:
            return kept, True
        kept.append(document)
    return kept, False


def files(folder: Path, *patterns: str) -> list[Path]:
    """Files below a folder in the order of a hash, so that a capped domain has some of each part.

    Links are left out: they would bring the same text again, or lead out of the package.
    """
    found = {path for pattern in patterns for path in folder.rglob(pattern)}
    plain = [path for path in found if path.is_file() and not path.is_symlink()]
    names = {path.relative_to(folder).as_posix(): path for path in plain}
    return [names[name] for name in shuffled(names)]


def texts(paths: Iterable[Path]) -> Iterator[str]:
    """The text of files, of those that are UTF-8."""
    yield from map(read, paths)


def _is_text(document: str) -> bool:
    return "\0" not in document
