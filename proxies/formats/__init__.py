"""Formats: how documents lie in files, one format a file; the table says which ending is which."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mixopt.errors import ConfigError, nearest
from mixopt.registry import Entry, load

if TYPE_CHECKING:
    from proxies.formats.base import Format


class Kind(NamedTuple):
    """What is known of a format before it is loaded."""

    path: str
    holds: Literal["text", "tables", "tokens"]
    """`text`: as it is; `tables`: one column of them; `tokens`: text that was encoded before."""
    endings: str
    extra: str | None = None


_PROSE = ".txt .text .md .markdown .rst .tex .org .adoc .po .pot .srt"
_CODE = (
    ".py .pyi .pyx .c .h .cc .cpp .cxx .hh .hpp .hxx .cu .cuh .rs .go .java .kt .scala .cs .swift "
    ".m .mm .js .jsx .mjs .ts .tsx .vue .rb .php .pl .pm .lua .r .jl .f .f90 .hs .ml .mli .lean .v "
    ".clj .ex .exs .erl .sh .bash .zsh .ps1 .bat .sql .html .htm .css .scss .xml .svg .yaml .yml "
    ".toml .ini .cfg .cmake .mk .proto"
)

FORMATS = {
    "text": Kind("proxies.formats.text:Text", "text", f"{_PROSE} {_CODE}"),
    "jsonl": Kind("proxies.formats.jsonl:JsonLines", "tables", ".jsonl .ndjson"),
    "json": Kind("proxies.formats.json_array:JsonArray", "tables", ".json"),
    "csv": Kind("proxies.formats.csv_table:Csv", "tables", ".csv .tsv"),
    "parquet": Kind("proxies.formats.parquet:Parquet", "tables", ".parquet", "data"),
    "hf_disk": Kind("proxies.formats.hf_disk:HfDisk", "tables", ".arrow", "data"),
    "tokens": Kind("proxies.formats.tokens:Tokens", "tokens", ".bin .npy"),
    "megatron": Kind("proxies.formats.megatron:Megatron", "tokens", ".idx"),
    "datatrove": Kind("proxies.formats.datatrove:Datatrove", "tokens", ".ds"),
}

PACKED = (".gz", ".bz2", ".xz", ".zst")
"""Endings that may follow those of text, jsonl, json and csv."""
CODE = frozenset(_CODE.split())
"""Endings of which an empty file is no failed download: an `__init__.py`."""


def kind_of(name: str) -> Kind:
    """What is known of a format. Raises ConfigError for a name that is none."""
    if name not in FORMATS:
        raise ConfigError(f"no format is called {name!r}, {nearest(name, FORMATS)}")
    return FORMATS[name]


def make_format(name: str, options: Mapping[str, Any]) -> "Format":
    """The format called `name`, with those of the options that it knows.

    Raises MissingExtraError for a format whose library is not installed.
    """
    table = {key: Entry(kind.path, kind.extra) for key, kind in FORMATS.items()}
    made = load(table, "format", name)
    known = {field.name for field in fields(made)}
    return made(**{key: value for key, value in options.items() if key in known})
