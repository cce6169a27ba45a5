"""Learning curves: a few dozen points of the training loss of one run, as JSON lines.

A point is the mean loss of the steps since the last point, in nats a token.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixopt.files import to_json, write_atomic

POINTS = 48


def write_curve(path: Path, losses: NDArray[np.floating], step_tokens: int) -> None:
    """Write the curve of a run from its loss at each step (steps,); it ends before any NaN."""
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(np.argmin(finite))
    stops = np.unique(np.linspace(0, end, min(POINTS, end) + 1).round().astype(int))
    lines = [
        to_json(
            {
                "step": int(stop),
                "tokens": int(stop) * step_tokens,
                "loss": float(losses[start:stop].mean(dtype=np.float64)),
            }
        )
        for start, stop in pairwise(stops)
    ]
    write_atomic(path, "".join(line + "\n" for line in lines))
