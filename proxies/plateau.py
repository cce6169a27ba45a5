"""Whether proxies have learned more than word frequencies: their scores against the unigram level.

The unigram level of a mixture is what always guessing by the token frequencies of its training text
scores. A proxy that is not below it knows those frequencies only, and mixtures then differ by
nothing else, so that a law fitted to them says nothing about language models.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.runs import CALIBRATION, ROBUSTNESS, Run, Schedule
from proxies.data import Data
from proxies.study import Study

Array = NDArray[np.float64]

_UNITS = {"bpb": "bits per byte", "loss": "nats a token"}


@dataclass(frozen=True)
class Plateau:
    """Mean score over the evaluation domains, of proxies and of their word frequencies."""

    measure: str
    """`bpb`, or `loss` for tokens that came without their tokenizer."""
    runs: int
    below: int
    """Runs that score below the unigram level of their own mixture."""
    reached: float
    """Median over the runs."""
    unigram: float
    """Median over the runs."""

    def sentence(self) -> str:
        """The finding for people."""
        return (
            f"{self.below} of {self.runs} proxies know more than word frequencies: "
            f"median {self.reached:.2f} {_UNITS[self.measure]}, word frequencies alone "
            f"{self.unigram:.2f}"
        )

    @property
    def advice(self) -> str | None:
        """What to do where no proxy knows more; None where some do."""
        if self.below:
            return None
        return (
            "nothing can be learned about mixtures from such runs: train on more tokens a run "
            "(64 an active parameter is the rule of docs/proxies.md), with a smaller vocabulary "
            "([data] vocabulary) or at a larger rate (`mixopt calibrate` looks for it)"
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
    shares = np.array([_shares(study.schedule(run), data.names) for run in runs])
    measure = data.measures[0]
    unigram = unigram_bpb if measure == "bpb" else unigram_loss
    levels = unigram(data, data.names, shares, context, study.windows).mean(axis=1)
    reached = np.array(
        [[run.metrics[f"{measure}/{name}"] for name in data.evaluation_names] for run in runs]
    ).mean(axis=1)
    return Plateau(
        measure=measure,
        runs=len(runs),
        below=int((reached < levels).sum()),
        reached=float(np.median(reached)),
        unigram=float(np.median(levels)),
    )


def unigram_bpb(
    data: Data, names: Sequence[str], shares: Array, context: int, windows: int
) -> Array:
    """Bits per byte (n, D) on the D evaluation domains of guessing by the frequencies of mixtures.

    shares (n, d) of the domains `names`; frequencies are of their training text, one added to every
    count. Validation text, in the windows that proxies are scored on.
    """
    nats, asked = _unigram_nats(data, names, shares, context, windows)
    return nats / (log(2.0) * (asked @ data.token_bytes))


def unigram_loss(
    data: Data, names: Sequence[str], shares: Array, context: int, windows: int
) -> Array:
    """The same in nats a token."""
    nats, asked = _unigram_nats(data, names, shares, context, windows)
    return nats / asked.sum(axis=1)


def _unigram_nats(
    data: Data, names: Sequence[str], shares: Array, context: int, windows: int
) -> tuple[Array, NDArray[np.int64]]:
    """Nats (n, D) of all scored tokens, and how often each token is one of them (D, V)."""
    counts = np.array([np.bincount(data.train(name), minlength=data.vocabulary) for name in names])
    frequencies = shares @ ((counts + 1.0) / (counts + 1.0).sum(axis=1, keepdims=True))
    questions = data.evaluation("validation", context, windows)
    targets = questions.tokens[:, 1:]
    asked = np.array(
        [
            np.bincount(targets[questions.domain == domain].ravel(), minlength=data.vocabulary)
            for domain in range(len(questions.names))
        ]
    ) * (data.token_bytes > 0)
    return -np.log(frequencies) @ asked.T, asked


def _is_scored(run: Run, data: Data) -> bool:
    if run.origin in (CALIBRATION, ROBUSTNESS):  # at rates that were not meant to be good
        return False
    wanted = {f"{data.measures[0]}/{name}" for name in data.evaluation_names}
    scored = wanted <= set(run.metrics)
    return scored and run.data == data.hash and run.schedule is not None


def _shares(schedule: Schedule, names: Sequence[str]) -> list[float]:
    """Mean shares over the phases."""
    return [sum(part * mixture.get(name, 0.0) for part, mixture in schedule) for name in names]
