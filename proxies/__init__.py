"""proxies: small MoE language models trained side by side, the application that fills the table.

Importing this package loads nothing heavy: names are imported on first use (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Progress": "swarm",
    "Summary": "swarm",
    "measure_speed": "speed",
    "train": "swarm",
}

__all__ = ["Progress", "Summary", "measure_speed", "train"]

if TYPE_CHECKING:
    from proxies.speed import measure_speed
    from proxies.swarm import Progress, Summary, train


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'proxies' has no attribute {name!r}")
    return getattr(import_module(f"proxies.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
