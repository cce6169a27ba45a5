"""Functions of the user's own by name, "package.module:function", as `proxy.toml` has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from proxies.scorer import Scorer


class OwnMetric(NamedTuple):
    """A function of the user's own, and the name by which `proxy.toml` knows it."""

    name: str
    measure: Callable[[Scorer], Mapping[str, float]]


def load_metric(name: str) -> OwnMetric:
    """Import "package.module:function". Raises ConfigError where there is none."""
    module_name, _, function = name.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(missing + "."):
            raise ConfigError(
                f"[evaluation] metrics {name!r}: there is no module {missing!r} to import it from: "
                "install it, or name its folder in PYTHONPATH"
            ) from error
        raise
    measure = getattr(module, function, None)
    if not callable(measure):
        raise ConfigError(
            f"[evaluation] metrics {name!r}: module {module_name} has no function {function!r}"
        )
    return OwnMetric(name, cast("Callable[[Scorer], Mapping[str, float]]", measure))
