"""Folders that the `datasets` library saved with save_to_disk: Arrow streams, named in state.json.

Only the Arrow files are read, by pyarrow: a data set's own code or description is never looked at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mixopt.errors import DataError
from mixopt.files import read_json
from proxies.formats.arrow import at_once, readable, texts
from proxies.formats.base import Range, TableFormat


@dataclass(frozen=True)
class HfDisk(TableFormat):
    """The .arrow files of saved data sets. Documents begin where their rows do."""

    def files(self, found: Sequence[Path]) -> list[Path]:
        """Of the .arrow files found, those that belong to a data set; the rest is its cache.

        Raises DataError where a file is missing, or the data set was saved with an index of rows.
        """
        return [
            file for folder in dict.fromkeys(f.parent for f in found) for file in _named(folder)
        ]

    def beside(self, file: Path) -> tuple[Path, ...]:
        """What else `save_to_disk` writes."""
        folder = file.parent
        others = [folder / "state.json", folder / "dataset_info.json"]
        others.append(folder.parent / "dataset_dict.json")
        return tuple(other for other in others if other.exists())

    def extent(self, file: Path) -> int:
        """Rows of the file."""
        with readable(file, "arrow"), pa.memory_map(str(file)) as memory:
            return self._table(file, memory).num_rows

    def _texts(self, file: Path, ranges: Iterable[Range]) -> Iterator[tuple[Range, str]]:
        with readable(file, "arrow"), pa.memory_map(str(file)) as memory:
            table = self._table(file, memory)
            size = at_once(table.num_rows, file.stat().st_size)
            for start, stop in ranges:
                if start >= table.num_rows:
                    return
                rows = table.slice(start, stop - start).to_batches(max_chunksize=size)
                for _, text in texts(file, self.columns, start, rows):
                    yield (start, stop), text

    def _table(self, file: Path, memory: pa.MemoryMappedFile) -> pa.Table:
        """The columns that are read, on the disk still."""
        table = pa.ipc.open_stream(memory).read_all()
        self.columns.check(table.column_names, file)
        names = [
            name if name in table.column_names else name.partition(".")[0]
            for name in self.columns.names
        ]
        return table.select(list(dict.fromkeys(names)))


def _named(folder: Path) -> list[Path]:
    """The files that the state of a saved data set names."""
    state = folder / "state.json"
    if not state.exists():
        raise DataError(
            f"{folder} holds .arrow files and no state.json: expected a folder that `save_to_disk` "
            "wrote"
        )
    told = read_json(state)
    if isinstance(told, dict) and told.get("_indices_data_files"):
        raise DataError(f"{folder} was saved with an index of rows: flatten it and save it again")
    try:
        files = [folder / Path(entry["filename"]).name for entry in told["_data_files"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{state} names no _data_files: save the data set again") from error
    for file in files:
        if not file.is_file():
            raise DataError(f"{file} is missing, and {state} names it: save the data set again")
    return files
