"""Progress of long calculations: what is done, of how much, said to whoever listens."""

from collections.abc import Callable

Report = Callable[[str, float, float], None]
"""Called with (what is being done, units done, units in all)."""


def silent(what: str, done: float, total: float) -> None:
    """Nobody listens."""
