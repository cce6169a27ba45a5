"""What columns of other people's tables are called here: domains and metrics, by dialect.

generic: names as they are, without the fixed beginning of a pattern; a column with loss, bpb or
ppl in its name is that metric of the domain it names (`wiki_val_loss` -> `loss/wiki`), any other
a task (`task/NAME`). regmix: the tables of RegMix (arXiv:2407.01492), `train_the_pile_arxiv` and
`metric/the_pile_arxiv_val_loss` -> `arxiv` and `loss/arxiv`. olmix: the swarms of Olmix
(arXiv:2602.12237), names as they are, every metric a task in bits per byte that falls; runs are
joined by `run` or `run_id`, else by `name`, and `index` is a position that nothing is joined by.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mixopt.errors import DataError

_KINDS = ("bpb", "loss", "ppl", "task", "router")


@dataclass(frozen=True)
class Generic:
    """Names as they are."""

    ids: tuple[str, ...] = ("id", "run_id", "run", "index", "name")
    """Names under which an id is looked for, the first that a file has."""
    both_sides: bool = False
    """Runs that one file alone knows are left out, not planned or refused."""
    direction: str | None = None
    """Of metrics that are no bpb, loss or ppl; None: the user says."""

    def domains(self, columns: Sequence[str], pattern: str | None) -> dict[str, str]:
        """Domain of each column of shares."""
        start = "" if pattern is None else re.split(r"[*?\[]", pattern)[0]
        kept = start if start not in columns else ""
        return {column: domain_name(column, column[len(kept) :]) for column in columns}

    def metrics(self, columns: Sequence[str], domains: dict[str, str]) -> dict[str, str]:
        """Metric of each column of measurements."""
        return {column: _metric_name(column, domains) for column in columns}


@dataclass(frozen=True)
class RegMix:
    """`train_SET_DOMAIN` and `metric/SET_DOMAIN_val_loss`: the set's name is left out."""

    ids: tuple[str, ...] = ("index",)
    both_sides: bool = False
    direction: str | None = None

    def domains(self, columns: Sequence[str], pattern: str | None) -> dict[str, str]:
        """Domain of each column of shares."""
        bare = [column.removeprefix("train_") for column in columns]
        start = _shared_words(bare)
        return {
            column: domain_name(column, name[len(start) :])
            for column, name in zip(columns, bare, strict=True)
        }

    def metrics(self, columns: Sequence[str], domains: dict[str, str]) -> dict[str, str]:
        """Metric of each column of measurements."""
        start = _shared_words([column.removeprefix("train_") for column in domains])
        names = {}
        for column in columns:
            bare = column.removeprefix("metric/").removesuffix("_val_loss").removeprefix(start)
            names[column] = f"loss/{domain_name(column, bare)}"
        return names


@dataclass(frozen=True)
class Olmix:
    """Domains as they are, tasks as metrics."""

    ids: tuple[str, ...] = ("run", "run_id", "name")
    both_sides: bool = True
    direction: str | None = "down"

    def domains(self, columns: Sequence[str], pattern: str | None) -> dict[str, str]:
        """Domain of each column of shares."""
        return {column: domain_name(column, column) for column in columns}

    def metrics(self, columns: Sequence[str], domains: dict[str, str]) -> dict[str, str]:
        """Metric of each column of measurements."""
        return {column: f"task/{domain_name(column, column)}" for column in columns}


Dialect = Generic | RegMix | Olmix

DIALECTS: dict[str, Dialect] = {"generic": Generic(), "regmix": RegMix(), "olmix": Olmix()}


def domain_name(column: str, bare: str) -> str:
    """A name that the space accepts: lower case, `_` for what is not allowed.

    >>> domain_name("stack-edu:C++", "stack-edu:C++")
    'stack-edu:c_'
    """
    name = re.sub(r"[^a-z0-9_.:-]+", "_", bare.lower())
    if not name.strip("_"):
        raise DataError(f"column {column!r} names no domain, please rename it")
    return name


def _metric_name(column: str, domains: dict[str, str]) -> str:
    """`kind/NAME` of a column that may be called in many ways."""
    kind, slash, rest = column.partition("/")
    if slash and kind.partition("@")[0] in _KINDS and rest:
        return column
    words = [word for word in re.split(r"[/_\-. ]+", column.lower()) if word]
    kinds = [word for word in words if word in ("bpb", "loss", "ppl")]
    if not kinds:
        return f"task/{domain_name(column, column)}"
    rest = re.sub(rf"(^|[/_\-. ]){kinds[-1]}($|[/_\-. ])", r"\1", column, flags=re.IGNORECASE)
    bare = re.sub(r"^(metric|val|valid|eval)[/_\-. ]|[/_\-. ](val|valid|eval)?[/_\-. ]*$", "", rest)
    found = domains.get(bare, bare)
    return f"{kinds[-1]}/{domain_name(column, found)}" if bare else f"task/{kinds[-1]}"


def _shared_words(names: Sequence[str]) -> str:
    """What all names begin with, up to an underscore; nothing for a single name."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)  # what these share, all do
    length = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))
    return first[: first.rfind("_", 0, length) + 1]
