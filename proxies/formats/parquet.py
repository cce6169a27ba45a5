"""Parquet: a row is a document, one column of it; other columns are not read from the disk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from proxies.formats.arrow import at_once, readable, texts
from proxies.formats.base import Range, TableFormat

_BUFFER = 1 << 20


@dataclass(frozen=True)
class Parquet(TableFormat):
    """Parquet files. Documents begin where their rows do; a row group is decoded from its start."""

    def extent(self, file: Path) -> int:
        """Rows of the file."""
        with readable(file, "parquet"), _opened(file) as table:
            self.columns.check(table.schema_arrow.names, file)
            return table.metadata.num_rows

    def _texts(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        with readable(file, "parquet"), _opened(file) as table:
            self.columns.check(table.schema_arrow.names, file)
            groups = [table.metadata.row_group(i).num_rows for i in range(table.num_row_groups)]
            begins = np.concatenate([[0], np.cumsum(groups, dtype=np.int64)])
            for start, stop in ranges:
                if start >= begins[-1]:
                    return
                batches = _rows(
                    table, begins, start, min(stop, int(begins[-1])), self.columns.names
                )
                for _, text in texts(file, self.columns, start, batches):
                    yield (start, stop), text


def _opened(file: Path) -> parquet.ParquetFile:
    return parquet.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER, memory_map=False)


def _rows(
    table: parquet.ParquetFile, begins: np.ndarray, start: int, stop: int, columns: Iterable[str]
) -> Iterator[pa.RecordBatch]:
    """The rows from `start` to `stop`, a batch at a time; `begins` (groups + 1,) of row groups."""
    group = int(np.searchsorted(begins, start, side="right")) - 1
    while begins[group] < stop:
        row = int(begins[group])
        told = table.metadata.row_group(group)
        rows = at_once(told.num_rows, told.total_byte_size)
        for batch in table.iter_batches(rows, row_groups=[group], columns=list(columns)):
            left, right = max(start - row, 0), min(stop - row, batch.num_rows)
            if left < right:
                yield batch.slice(left, right - left)
            row += batch.num_rows
            if row >= stop:
                break
        group += 1
