"""What a trainer's file calls a domain, there and back: `web:news` is written `web__news`."""

from collections.abc import Iterable, Mapping

from mixopt.errors import DataError, nearest
from mixopt.exchange.base import Sources

Labels = Mapping[str, str]
"""The label of each domain."""


def file_names(domains: Iterable[str]) -> dict[str, str]:
    """Names for keys, folders and identifiers: `__` between levels.

    Raises DataError where two domains would have the same.

    >>> file_names(["web:news", "code"])
    {'web:news': 'web__news', 'code': 'code'}
    """
    return _distinct({name: name.replace(":", "__") for name in domains}, "a name")


def paths(sources: Sources) -> dict[str, str]:
    """The path of each domain, its file name where none is known.

    Raises DataError where a path stands for several domains.
    """
    names = file_names(sources)
    return _distinct({name: item.path or names[name] for name, item in sources.items()}, "a path")


def domain_of(labels: Labels, label: str) -> str:
    """The domain that a label stands for. Raises DataError for an unknown label."""
    for name, known in labels.items():
        if known == label:
            return name
    raise DataError(f"the file names {label!r}, which is no source, {nearest(label, [*labels])}")


def by_domain(labels: Labels, values: Mapping[str, float]) -> dict[str, float]:
    """Values by label as values by domain. Raises DataError for an unknown label."""
    domains = {label: name for name, label in labels.items()}
    return {
        domains[label] if label in domains else domain_of(labels, label): value
        for label, value in values.items()
    }


def _distinct(labels: dict[str, str], what: str) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, label in labels.items():
        if label in first:
            raise DataError(
                f"expected {what} for each domain, {label!r} stands for several: "
                f"{first[label]!r} and {name!r}"
            )
        first[label] = name
    return labels
