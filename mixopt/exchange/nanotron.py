"""nanotron: the `data_stages` of a nanotron configuration, as YAML.

A stage draws samples of fixed length by `dataset_weights` (divided by their sum) and begins at
`start_training_step`, the first one at 1. A schedule therefore needs the steps of the training;
phases begin at the nearest step.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from mixopt.errors import ConfigError, DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, positive, short
from mixopt.exchange.labels import by_domain, paths
from mixopt.exchange.markup import from_yaml, numbers, to_yaml


@dataclass
class Nanotron(Format):
    """One stage a phase."""

    unit: ClassVar[str] = "sequences of fixed length"
    ending: ClassVar[str | None] = ""
    steps: int | None = None
    """Optimiser steps of the training; only a schedule asks for them."""
    seed: int = 42

    def write(self, decision: Decision) -> str:
        """The document. Raises ConfigError for a schedule without steps."""
        names = paths(decision.used)
        starts = phase_starts(decision, self.steps, "nanotron")
        stages = []
        for number, (start, (_, phase)) in enumerate(zip(starts, decision.schedule, strict=True)):
            mixture = positive(phase)
            dataset = {
                "dataset_folder": [names[name] for name in mixture],
                "dataset_weights": [short(share) for share in mixture.values()],
            }
            data = {"seed": self.seed, "num_loading_workers": 1, "dataset": dataset}
            stages.append(
                {"name": f"phase {number + 1}", "start_training_step": start + 1, "data": data}
            )
        return to_yaml({"data_stages": stages})

    def read(self, text: str, sources: Sources) -> Reading:
        """The stages as phases of the training."""
        stages: list[dict[str, Any]] = from_yaml(text, "data_stages")
        starts = [int(stage["start_training_step"]) - 1 for stage in stages]
        mixtures = []
        for stage in stages:
            dataset = stage["data"]["dataset"]
            drawn = numbers(dataset["dataset_weights"])
            if len(drawn) != len(dataset["dataset_folder"]):
                raise DataError("nanotron wants a weight for each dataset folder")
            shares = dict(zip(dataset["dataset_folder"], (w / sum(drawn) for w in drawn)))
            mixtures.append(by_domain(paths(sources), shares))
        return staged(starts, mixtures, self.steps)


def phase_starts(
    decision: Decision, steps: int | None, reader: str, multiple: int = 1
) -> list[int]:
    """The step, from 0, with which each phase begins: the nearest multiple of `multiple`.

    Raises ConfigError for a schedule without steps, DataError for a phase that would have none.
    """
    if len(decision.schedule) == 1:
        return [0]
    if steps is None:
        raise ConfigError(
            f"{reader} begins a phase at a step, and the schedule has {len(decision.schedule)} "
            "phases: say how many steps the training has (--steps)"
        )
    ends, done = [], 0.0
    for fraction, _ in decision.schedule:
        done += fraction
        ends.append(round(done * steps / multiple) * multiple)
    starts = [0, *ends[:-1]]
    if len(set(starts)) < len(starts) or starts[-1] >= steps:
        raise DataError(f"{reader}: {steps} steps leave a phase of the schedule without any")
    return starts


def staged(
    starts: list[int], mixtures: list[dict[str, float]], steps: int | None, multiple: int = 1
) -> Reading:
    """Phases by the steps with which they begin, from 0."""
    if not starts or starts[0] != 0 or starts != sorted(set(starts)):
        raise DataError(f"expected stages from the first step on, in order, got {starts}")
    if steps is None:
        if len(starts) > 1:
            raise ConfigError("stages are fractions of the training only with its steps (--steps)")
        return Reading(((1.0, mixtures[0]),))
    ends = [*starts[1:], steps]
    fractions = [(end - start) / steps for start, end in zip(starts, ends, strict=True)]
    rounding = multiple / steps if len(starts) > 1 else 0.0
    return Reading(tuple(zip(fractions, mixtures, strict=True)), rounding=rounding)
