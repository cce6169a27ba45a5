"""Metrics of the user's own: a function that asks a trained proxy what it wants to know.

`[evaluation] metrics = ["package.module:function"]`; the function gets a `Scorer` and returns
{"task/NAME": value}. A value that is not finite is left out of the run's metrics and marked.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.config import TrainConfig
from proxies.data import Data
from proxies.model import Weights
from proxies.plugins import OwnMetric
from proxies.row_nats import row_nats
from proxies.tasks import encode_texts

_NAME = re.compile(r"task/[a-z0-9_.:-]+")


@dataclass(frozen=True)
class Scorer:
    """One trained proxy, for a function that measures it; what is asked changes nothing.

    A function of one's own, the chance of a capital after a full stop:

        def capitals(scorer):
            (nats,) = scorer.nats([scorer.encode("The end. A")])
            return {"task/capitals": float(nats[-1])}
    """

    weights: Weights
    """Of this proxy, with a leading axis of 1, as `proxies.model.forward` takes them."""
    config: TrainConfig
    data: Data
    """The prepared corpus, of which `data.evaluation("validation", ...)` gives windows."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains with held-out text."""
        return self.data.evaluation_names

    @property
    def context(self) -> int:
        """T: a row may have T + 1 tokens."""
        return self.config.sizes.context

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.weights["embedding"].device

    def encode(self, text: str) -> list[int]:
        """The tokens of a text. Raises DataError where the corpus came without its tokenizer."""
        if "bpb" not in self.data.measures:
            raise DataError(f"{self.data.folder} holds tokens without their tokenizer")
        return encode_texts([text], self.data)[0].tolist()

    def nats(self, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """-ln p of every token after the first, given those before it: (n - 1,) for n tokens.

        Raises DataError for a row under 2 or over T + 1 tokens, and for a token that is none.
        """
        arrays = [np.asarray(row, dtype=np.int64) for row in rows]
        for number, row in enumerate(arrays):
            if not 2 <= len(row) <= self.context + 1:
                raise DataError(
                    f"row {number}: expected 2 to {self.context + 1} tokens, got {len(row)}"
                )
            if row.min() < 0 or row.max() >= self.config.vocabulary:
                raise DataError(
                    f"row {number}: expected tokens from 0 to {self.config.vocabulary - 1}, got "
                    f"{row.min()} to {row.max()}"
                )
        return [own[0] for own in row_nats(self.weights, self.config, arrays)]


class Told(NamedTuple):
    """What was measured of one run beside its domains."""

    metrics: dict[str, float]
    marks: tuple[str, ...]


def measure_own(metrics: Sequence[OwnMetric], scorer: Scorer, taken: Sequence[str] = ()) -> Told:
    """What the functions say of one proxy; `taken` are names that others have given already.

    Raises DataError for a name that is not task/NAME or was given before, and for a value that is
    no number.
    """
    found: dict[str, float] = {}
    for own in metrics:
        values = own.measure(scorer)
        if not isinstance(values, Mapping):
            raise DataError(f"{own.name}: expected a mapping of names to numbers, got {values!r}")
        for name, value in values.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise DataError(f"{own.name}: expected a name like 'task/arc', got {name!r}")
            if name in found or name in taken:
                raise DataError(f"{own.name}: {name!r} was measured already, choose another name")
            found[name] = _number(value, name, own.name)
    finite = {name: value for name, value in found.items() if math.isfinite(value)}
    marks = tuple(f"not_a_number:{name}" for name in found if name not in finite)
    return Told(finite, marks)


def _number(value: object, name: str, function: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"{function}: {name!r} is no number, got {value!r}") from error
