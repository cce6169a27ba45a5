"""Tables of names: the class of each law, design, proposer, ..., loaded on first use."""

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, NamedTuple

from mixopt.errors import ConfigError, MissingExtraError, nearest


class Entry(NamedTuple):
    """Where a registered class lives, and the extra of the project that it needs (if any)."""

    path: str
    extra: str | None = None


def load(table: Mapping[str, Entry], kind: str, name: str) -> type:
    """The class registered as `name`; a name with a colon is a plug-in, "module:Class"."""
    if name not in table and ":" not in name:
        raise ConfigError(f"no {kind} is called {name!r}, {nearest(name, table)}")
    entry = table.get(name, Entry(name))
    module_name, _, class_name = entry.path.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise _explained(error, kind, name, entry, module_name) from error
    if not hasattr(module, class_name):
        raise ConfigError(f"{kind} {name!r}: module {module_name} has no class {class_name!r}")
    return getattr(module, class_name)


def make(table: Mapping[str, Entry], kind: str, name: str, hyper: Mapping[str, Any]) -> Any:
    """An instance of the class registered as `name` with the given hyper-parameters."""
    cls = load(table, kind, name)
    known = [field.name for field in fields(cls) if field.init]
    for key in hyper:
        if key not in known:
            raise ConfigError(f"{kind} {name!r} has no setting {key!r}, {nearest(key, known)}")
    return cls(**hyper)


def _explained(
    error: ModuleNotFoundError, kind: str, name: str, entry: Entry, module_name: str
) -> Exception:
    """A missing extra or plug-in in one sentence; a broken import of our own stays as it is."""
    missing = error.name or ""
    if entry.extra is not None and not missing.startswith("mixopt"):
        line = f"pip install 'mixopt[{entry.extra}]'"
        return MissingExtraError(f"{kind} {name!r} needs {missing}: {line}")
    if module_name == missing or module_name.startswith(missing + "."):
        return ConfigError(f"{kind} {name!r}: there is no module {missing!r} to import it from")
    return error
