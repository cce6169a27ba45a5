"""Experts: what the proxy of each domain alone says of the target's text, from a table.

A line of the table is a token, or a whole sequence with its number of tokens; a column for each
domain holds the logarithm (nats) of the probability that the domain's proxy gave it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.errors import DataError

Array = NDArray[np.float64]

_BESIDE = ("sequence", "tokens")


@dataclass(frozen=True, eq=False)
class Experts:
    """Lines (n) of the target's text under the proxies of d domains."""

    log_likelihood: Array
    """(n, d) nats, a column for each domain of the space in its order."""
    sequence: NDArray[np.int64]
    """(n,) number of the sequence that a line is of."""
    tokens: Array
    """(n,) tokens of a line."""

    def __post_init__(self) -> None:
        n = len(self.log_likelihood)
        if n == 0 or self.sequence.shape != (n,) or self.tokens.shape != (n,):
            raise DataError(f"experts: expected as many sequences and tokens as lines, got {n}")
        if not np.isfinite(self.log_likelihood).all() or (self.log_likelihood > 0).any():
            raise DataError(
                "experts: expected logarithms of probabilities (0 or less, in nats), got others"
            )
        if not (self.tokens > 0).all():
            raise DataError("experts: expected tokens above 0 in every line")

    def by_sequence(self) -> Self:
        """The same text, a line for each sequence."""
        _, number = np.unique(self.sequence, return_inverse=True)
        total = np.zeros((int(number.max()) + 1, self.log_likelihood.shape[1]))
        np.add.at(total, number, self.log_likelihood)
        tokens = np.zeros(len(total))
        np.add.at(tokens, number, self.tokens)
        return type(self)(total, np.arange(len(total)), tokens)


def read_experts(path: Path, names: Sequence[str]) -> Experts:
    """The table in a CSV file: a column for each of `names`, and if need be `sequence`, `tokens`.

    Without `sequence` every line is a sequence of its own; without `tokens` a line is one token.
    Raises DataError where the file is missing, lacks a domain or holds what is no number.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} could not be read as a CSV table: {error}") from error
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(
            f"{path} has no column for {', '.join(missing)}: expected the log-likelihood of each "
            "line under the proxy that was trained on that domain alone"
        )
    count = len(frame)
    sequence = pd.factorize(frame["sequence"])[0] if "sequence" in frame else np.arange(count)
    tokens = _numbers(path, frame, ["tokens"])[:, 0] if "tokens" in frame else np.ones(count)
    try:
        return Experts(_numbers(path, frame, names), np.asarray(sequence, dtype=np.int64), tokens)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _numbers(path: Path, frame: pd.DataFrame, names: Sequence[str]) -> Array:
    """Columns as (n, len(names)) numbers."""
    values = frame[list(names)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        line, column = np.argwhere(bad)[0]
        raise DataError(f"{path}:{line + 2}: expected a number for {names[column]!r}")
    return values
