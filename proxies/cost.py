"""What the planned runs will cost: tokens, FLOPs, and time at this machine's measured speed.

FLOPs of what controllers need to see stand apart from those of training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mixopt.experiment import Experiment
from mixopt.runs import Run
from proxies.config import resolve
from proxies.evidence_cost import planned_flops
from proxies.jobs import has_torch
from proxies.study import Study
from proxies.swarm import measure_speed
from proxies.trunks import parts


@dataclass(frozen=True)
class Cost:
    """Of runs that are not finished yet; None where it cannot be known."""

    runs: int
    tokens: float
    flops: float | None
    seconds: float | None
    """On this machine, at the measured speed, of training alone."""
    evidence_flops: float | None = None
    """Of what controllers need to see, beside `flops`."""

    def to_json(self) -> dict[str, Any]:
        """The cost for machines."""
        return asdict(self)


def planned_cost(exp: Experiment) -> Cost:
    """What training everything that is planned and not finished will cost.

    FLOPs need the proxy's architecture (a preset) or its sizes (`scale` in proxy.toml); seconds
    need prepared data and torch, because the speed is measured on it, for a few seconds.
    """
    left = [run for run in exp.runs() if run.status != "finished"]
    here = exp.manifest is not None
    tokens = {run.id: run.proxy["tokens"] for run in left}
    if here and exp.proxy_file.scale is None:  # by our trainer, which trains trunks once
        tokens = {run.id: part * tokens[run.id] for run, part in zip(left, parts(left))}
    return Cost(
        runs=len(left),
        tokens=float(sum(tokens.values())),
        flops=_flops(exp, left, tokens),
        seconds=_seconds(exp, left, tokens) if here and left and has_torch() else None,
        evidence_flops=_evidence_flops(exp, left),
    )


def flops_model(exp: Experiment) -> Callable[[Mapping[str, Any]], float] | None:
    """FLOPs of one run by its proxy's identity; None where only measured runs can tell."""
    if exp.proxy_file.scale is not None or exp.manifest is None:
        return None
    vocabulary = exp.manifest["tokenizer"]["vocabulary"]
    return lambda proxy: resolve(proxy, vocabulary).flops


def _flops(exp: Experiment, runs: Sequence[Run], trained: Mapping[str, float]) -> float | None:
    """Of the tokens that are trained of each run, by its id."""
    if exp.proxy_file.scale is not None:
        active = exp.proxy_file.scale[1]
        return float(sum(6.0 * active * run.proxy["tokens"] for run in runs))
    if exp.manifest is None:
        return None
    vocabulary = exp.manifest["tokenizer"]["vocabulary"]
    whole = {run.id: resolve(run.proxy, vocabulary).flops / run.proxy["tokens"] for run in runs}
    return float(sum(whole[run.id] * trained[run.id] for run in runs))


def _evidence_flops(exp: Experiment, runs: Sequence[Run]) -> float | None:
    controlled = [run for run in runs if run.controller is not None]
    if not controlled:
        return 0.0
    if exp.proxy_file.scale is not None or exp.manifest is None:
        return None
    study = Study.open(exp.folder)
    return sum(planned_flops(study, run) for run in controlled)


def _seconds(exp: Experiment, runs: Sequence[Run], trained: Mapping[str, float]) -> float:
    """Trained tokens of each kind of proxy over its measured tokens a second."""
    kinds: dict[str, tuple[Mapping[str, Any], float, int]] = {}
    for run in runs:
        _, tokens, members = kinds.get(str(run.proxy), (run.proxy, 0.0, 0))
        kinds[str(run.proxy)] = (run.proxy, tokens + trained[run.id], members + 1)
    return sum(
        tokens / measure_speed(exp.folder, proxy, members)
        for proxy, tokens, members in kinds.values()
    )
