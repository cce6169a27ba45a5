"""Documents from folders of text, code and JSON lines, one at a time, strictly as UTF-8.

A text file is a document; one that is longer than 4 MiB is several, cut at ends of lines, so that
memory does not grow with files. A line of `.jsonl` is a document, its text in the column `text`.
`.gz` may follow any ending. Nothing is guessed: what cannot be read is an error with its place.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mixopt.errors import DataError

COLUMN = "text"
BLOCK = 4 << 20
"""Bytes of a text file that are one document at most."""
PROSE = frozenset(".txt .text .md .markdown .rst .tex .org .adoc .po .pot .srt .jsonl".split())
"""Endings of which an empty file is an error: a download that failed, not an `__init__.py`."""
CODE = frozenset(
    ".py .pyi .pyx .c .h .cc .cpp .cxx .hh .hpp .hxx .cu .cuh .rs .go .java .kt .scala .cs "
    ".swift .m .mm .js .jsx .mjs .ts .tsx .vue .rb .php .pl .pm .lua .r .jl .f .f90 .hs .ml .mli "
    ".lean .v .clj .ex .exs .erl .sh .bash .zsh .ps1 .bat .sql .html .htm .css .scss .xml .svg "
    ".json .yaml .yml .toml .ini .cfg .cmake .mk .proto .csv .tsv".split()
)


@dataclass(frozen=True)
class Listing:
    """The files of one domain in a fixed order, and what else lies in its folder."""

    files: tuple[Path, ...]
    empty: int
    """Code files without a byte, which are left out."""
    skipped: dict[str, int]
    """Files that are no text by their ending: how many of each."""

    @property
    def size(self) -> int:
        """Bytes of the files on the disk."""
        return sum(file.stat().st_size for file in self.files)


def list_files(path: Path) -> Listing:
    """The text files under a folder (or a single file), hidden ones left out.

    Raises DataError for a path that does not exist, an empty text file, and a folder without text.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist: expected a folder of text files, or one file")
    found = [path] if path.is_file() else sorted(_visible(path))
    files, empty, skipped = [], 0, Counter[str]()
    for file in found:
        ending = _ending(file)
        if ending not in PROSE | CODE:
            skipped[ending or file.name] += 1
        elif file.stat().st_size:
            files.append(file)
        elif ending in PROSE:
            raise DataError(f"{file} is empty: fetch it again or delete it")
        else:
            empty += 1
    if not files:
        others = f", only {', '.join(sorted(skipped))}" if skipped else ""
        raise DataError(
            f"{path} holds no text{others}: expected .txt, .md, .py, .jsonl, .jsonl.gz or the like"
        )
    return Listing(tuple(files), empty, dict(skipped))


def read_documents(path: Path) -> Iterator[str]:
    """The documents of one file that are more than white space.

    Raises DataError for bytes that are not UTF-8 (file, byte), a NUL byte, a broken or misnamed
    gzip file, and a line that is not a JSON object with a string in `text` (file, line).
    """
    try:
        with _open(path) as file:
            documents = _json_lines if _ending(path) == ".jsonl" else _blocks
            for document in documents(path, file):
                if document and not document.isspace():
                    yield document
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}): fetch it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _visible(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not hidden and file.is_file():
            yield file


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if packed and path.suffix.lower() != ".gz":
        raise DataError(f"{path} is a gzip file: name it {path.name}.gz")
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _blocks(path: Path, file: BinaryIO) -> Iterator[str]:
    position = 0
    rest = b""
    while block := file.read(BLOCK - len(rest)):
        block = rest + block
        end = len(block) if len(block) < BLOCK else _last_break(block)
        yield _decode(path, block[:end], position)
        position += end
        rest = block[end:]
    if rest:
        yield _decode(path, rest, position)


def _last_break(block: bytes) -> int:
    """Where to cut a full block: after its last line, else before its last character."""
    newline = block.rfind(b"\n") + 1
    if newline:
        return newline
    end = len(block) - 1
    while end > len(block) - 4 and 0x80 <= block[end] < 0xC0:  # inside a character
        end -= 1
    return end


def _decode(path: Path, block: bytes, position: int) -> str:
    nul = block.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{path} has a NUL at byte {position + nul}: it is not the text that its ending says"
        )
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 at byte {position + error.start} "
            f"(0x{block[error.start]:02x}): convert it, or leave it out"
        ) from error
    return text if position else text.removeprefix("\ufeff")


def _json_lines(path: Path, file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{path}:{number} is not UTF-8: convert the file") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number} is not JSON: {error}") from error
        yield _text_of(path, number, record)


def _text_of(path: Path, number: int, record: object) -> str:
    if not isinstance(record, dict) or COLUMN not in record:
        columns = ", ".join(map(str, record)) if isinstance(record, dict) else "no object"
        raise DataError(
            f"{path}:{number} has no column {COLUMN!r} (it has {columns}): "
            "rename the column that holds the text"
        )
    text = record[COLUMN]
    if not isinstance(text, str):
        raise DataError(
            f"{path}:{number}: expected a string in {COLUMN!r}, got {type(text).__name__}"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{path}:{number} holds half a surrogate pair: mend it") from error
    return text
