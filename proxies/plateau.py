"""Whether proxies have learned more than word frequencies: bits per byte against the unigram level.

The unigram level of a mixture is what always guessing by the token frequencies of its training text
scores. A proxy that is not below it knows those frequencies only, and mixtures then differ by
nothing else, so that a law fitted to them says nothing about language models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.runs import Run
from proxies.data import Data
from proxies.study import Study

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plateau:
    """Mean bits per byte over the evaluation domains, of proxies and of their word frequencies."""

    runs: int
    below: int
    """Runs whose bits per byte lie below the unigram level of their own mixture."""
    bpb: float
    """Median over the runs."""
    unigram: float
    """Median over the runs."""

    def sentence(self) -> str:
        """The finding for people."""
        return (
            f"{self.below} of {self.runs} proxies know more than word frequencies: "
            f"median {self.bpb:.2f} bits per byte, word frequencies alone {self.unigram:.2f}"
        )

    def to_json(self) -> dict[str, Any]:
        """The finding for machines."""
        return asdict(self)


def plateau(study: Study) -> Plateau | None:
    """Compare the finished runs of this corpus with their unigram level; None without any."""
    data = study.data
    runs = [run for run in study.runs().values() if _is_scored(run, data)]
    if not runs:
        return None
    context = max(study.config(run.proxy).sizes.context for run in runs)
    shares = np.array([_shares(run, data.names) for run in runs])
    levels = unigram_bpb(data, data.names, shares, context, study.windows).mean(axis=1)
    reached = np.array(
        [[run.metrics[f"bpb/{name}"] for name in data.evaluation_names] for run in runs]
    ).mean(axis=1)
    return Plateau(
        runs=len(runs),
        below=int((reached < levels).sum()),
        bpb=float(np.median(reached)),
        unigram=float(np.median(levels)),
    )


def unigram_bpb(
    data: Data, names: Sequence[str], shares: Array, context: int, windows: int
) -> Array:
    """Bits per byte (n, D) on the D evaluation domains of guessing by the frequencies of mixtures.

    shares (n, d) of the domains `names`; frequencies are of their training text, one added to every
    count. Validation text, in the windows that proxies are scored on.
    """
    counts = np.array([np.bincount(data.train(name), minlength=data.vocabulary) for name in names])
    frequencies = shares @ ((counts + 1.0) / (counts + 1.0).sum(axis=1, keepdims=True))
    questions = data.evaluation("validation", context, windows)
    targets = questions.tokens[:, 1:]
    found = []
    for domain in range(len(questions.names)):
        asked = np.bincount(
            targets[questions.domain == domain].ravel(), minlength=data.vocabulary
        ) * (data.token_bytes > 0)
        nats = -np.log(frequencies) @ asked
        found.append(nats / (log(2.0) * float(asked @ data.token_bytes)))
    return np.stack(found, axis=1)


def _is_scored(run: Run, data: Data) -> bool:
    scored = {f"bpb/{name}" for name in data.evaluation_names} <= set(run.metrics)
    return scored and run.data == data.hash and run.schedule is not None


def _shares(run: Run, names: Sequence[str]) -> list[float]:
    """Mean shares of a run."""
    assert run.schedule is not None
    mean: Mapping[str, float] = {
        name: sum(part * mixture.get(name, 0.0) for part, mixture in run.schedule) for name in names
    }
    return [mean[name] for name in names]
