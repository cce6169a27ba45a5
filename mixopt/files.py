"""Files that programs write: replaced as a whole or not at all, and named by their content."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from mixopt.errors import DataError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace `path` as a whole: a reader sees the old file or the new one, never half of it.

    Raises DataError when the disk is full or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".tmp-{uuid4().hex}"
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> DataError:
    """The sentence for a file that could not be written."""
    return DataError(
        f"{path} could not be written ({error.strerror or error}): "
        "free some space or choose another folder, then run the same command again"
    )


def to_json(value: Any) -> str:
    """One line of JSON; NaN and infinity are refused, because no reader agrees on them."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document, indented for people, atomically."""
    write_atomic(path, json.dumps(value, allow_nan=False, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON document."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a JSON document: {error}") from error


def digest(value: Any) -> str:
    """16 hex digits that name a JSON value, whatever the order of its keys.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def file_digest(path: Path) -> str:
    """16 hex digits that name the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def file_name(domain: str) -> str:
    """The name of a domain in the file system: `:` is no file name everywhere.

    >>> file_name("web:news")
    'web__news'
    """
    return domain.replace(":", "__")
