"""Rows of Arrow tables as documents: what Parquet files and saved data sets have in common."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from mixopt.errors import DataError
from proxies.formats.columns import Columns

_AT_ONCE = 4 << 20


@contextmanager
def readable(file: Path, what: str) -> Iterator[None]:
    """Whatever the library finds wrong with a file as one sentence."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{file} is not a whole {what} file ({reason}): fetch it again") from error


def texts(
    file: Path, columns: Columns, first: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[tuple[int, str]]:
    """The texts of batches with their rows' numbers; row `first` (from 0) is the first of them."""
    number = first
    for batch in batches:
        batch.validate(full=True)  # an offset that points elsewhere would be followed
        for row in batch.to_pylist():
            text = columns.text_of(row, f"row {number + 1} of {file}")
            if text is not None:
                yield number, text
            number += 1


def at_once(rows: int, size: int) -> int:
    """How many of the rows of a table of `size` bytes are made to objects at once."""
    return int(min(max(rows * _AT_ONCE // max(size, 1), 1), 4096))
