"""What the planned runs will cost: tokens, FLOPs, and time at this machine's measured speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mixopt.experiment import Experiment
from mixopt.runs import Run
from proxies.config import resolve
from proxies.jobs import has_torch
from proxies.swarm import measure_speed


@dataclass(frozen=True)
class Cost:
    """Of runs that are not finished yet; None where it cannot be known."""

    runs: int
    tokens: float
    flops: float | None
    seconds: float | None
    """On this machine, at the measured speed."""

    def to_json(self) -> dict[str, Any]:
        """The cost for machines."""
        return asdict(self)


def planned_cost(exp: Experiment) -> Cost:
    """What training everything that is planned and not finished will cost.

    FLOPs need the proxy's architecture (a preset) or its sizes (`scale` in proxy.toml); seconds
    need prepared data and torch, because the speed is measured on it, for a few seconds.
    """
    left = [run for run in exp.runs() if run.status != "finished"]
    return Cost(
        runs=len(left),
        tokens=float(sum(run.proxy["tokens"] for run in left)),
        flops=_flops(exp, left),
        seconds=_seconds(exp, left) if exp.manifest is not None and left and has_torch() else None,
    )


def flops_model(exp: Experiment) -> Callable[[Mapping[str, Any]], float] | None:
    """FLOPs of one run by its proxy's identity; None where only measured runs can tell."""
    if exp.proxy_file.scale is not None or exp.manifest is None:
        return None
    vocabulary = exp.manifest["tokenizer"]["vocabulary"]
    return lambda proxy: resolve(proxy, vocabulary).flops


def _flops(exp: Experiment, runs: Sequence[Run]) -> float | None:
    if exp.proxy_file.scale is not None:
        active = exp.proxy_file.scale[1]
        return float(sum(6.0 * active * run.proxy["tokens"] for run in runs))
    if exp.manifest is None:
        return None
    vocabulary = exp.manifest["tokenizer"]["vocabulary"]
    return float(sum(resolve(run.proxy, vocabulary).flops for run in runs))


def _seconds(exp: Experiment, runs: Sequence[Run]) -> float:
    """Tokens of each kind of proxy over its measured tokens a second."""
    kinds: dict[str, tuple[Mapping[str, Any], float, int]] = {}
    for run in runs:
        _, tokens, members = kinds.get(str(run.proxy), (run.proxy, 0.0, 0))
        kinds[str(run.proxy)] = (run.proxy, tokens + run.proxy["tokens"], members + 1)
    return sum(
        tokens / measure_speed(exp.folder, proxy, members)
        for proxy, tokens, members in kinds.values()
    )
