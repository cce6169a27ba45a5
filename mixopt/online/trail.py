"""Trail: the way of one controlled run - shares over time and what moved them - and what is left.

Steps between two marks are summed up, so that the path is exact in the mean whatever its length.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.files import to_json, write_atomic

Array = NDArray[np.float64]

MARKS = 256
"""Lines of a trail, at most: controllers may move at every step."""


class Trail:
    """`step` after every training step, `mark` after every `observe`.

    >>> trail = Trail(["web", "law"], steps=4)
    >>> for weights in ([0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0]):
    ...     trail.step(np.array(weights))
    ...     trail.mark(np.array([1.0, 0.0]), {})
    >>> trail.mean()
    {'web': 0.75, 'law': 0.25}
    """

    def __init__(self, names: Sequence[str], steps: int) -> None:
        self._names = tuple(names)
        self._stride = -(-steps // MARKS)
        self._steps = 0
        self._since = 0
        self._sum = np.zeros(len(names))
        self._lines: list[dict[str, Any]] = []

    def step(self, weights: Array) -> None:
        """Note the mixture (d,) of one training step."""
        self._steps += 1
        self._since += 1
        self._sum = self._sum + weights

    def mark(self, weights: Array, reasons: Mapping[str, Any]) -> None:
        """Note the mixture that comes next and why, unless the last mark is still near."""
        if self._since >= self._stride:
            self._lines.append(
                {**self._stretch(), "weights": self._named(weights), "why": dict(reasons)}
            )
            self._since, self._sum = 0, np.zeros(len(self._names))

    def lines(self) -> list[dict[str, Any]]:
        """Of every mark: step, mean shares since the last one, the weights from then on, and why;
        the last line may lack the latter two."""
        return [*self._lines, self._stretch()] if self._since else list(self._lines)

    def schedule(self) -> list[tuple[float, dict[str, float]]]:
        """The path as (fraction of training, mixture) pairs; equal neighbours are one."""
        found: list[tuple[float, dict[str, float]]] = []
        done = 0
        for line in self.lines():
            part, done = (line["step"] - done) / self._steps, line["step"]
            if found and found[-1][1] == line["shares"]:
                found[-1] = (found[-1][0] + part, line["shares"])
            else:
                found.append((part, line["shares"]))
        return found

    def mean(self) -> dict[str, float]:
        """Mean shares so far. DataError before the first step."""
        if not self._steps:
            raise DataError("a trail without a step has no mean shares: train first")
        path = self.schedule()
        shares = {name: sum(part * mix[name] for part, mix in path) for name in self._names}
        return {name: round(share, 9) for name, share in shares.items()}

    def write(self, path: Path) -> None:
        """Write the lines as JSON lines."""
        write_atomic(path, "".join(to_json(line) + "\n" for line in self.lines()))

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values."""
        return {
            "steps": self._steps,
            "since": self._since,
            "sum": self._sum.tolist(),
            "lines": list(self._lines),
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on from `state`."""
        self._steps, self._since = int(state["steps"]), int(state["since"])
        self._sum = np.array(state["sum"], dtype=np.float64)
        self._lines = list(state["lines"])
        return self

    def _stretch(self) -> dict[str, Any]:
        return {"step": self._steps, "shares": self._named(self._sum / max(self._since, 1))}

    def _named(self, shares: Array) -> dict[str, float]:
        return dict(zip(self._names, shares.round(9).tolist(), strict=True))
