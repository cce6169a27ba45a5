"""Objective: one number for m metrics, J(L, ref), lower is better; works on draws.

relative:  sum_i v_i ln(L_i / ref_i)                    1 % better is -.01
token:     ln(sum_i v_i L_i / sum_i v_i ref_i)          v are the token shares of an evaluation
worst:     max_i ln(L_i / ref_i)
absolute:  sum_i v_i (L_i - ref_i) / scale_i            also for metrics at or below zero
Ceilings add 100 * sum_i max(0, (L_i - ceiling_i) / |ceiling_i|), an exact penalty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from mixopt.config import ObjectiveSpec

Array = NDArray[np.float64]
Kind = Literal["relative", "token", "worst", "absolute"]

_PENALTY = 100.0
_LEAST = 0.01
_PREFIXES = ("bpb", "loss")  # the first that was measured stands for a domain


@dataclass(frozen=True, eq=False)
class Objective:
    """What to optimise over the m metrics of a table; metrics of weight 0 play no part.

    >>> half = Objective("mean", "relative", ("bpb/web", "bpb/code"), np.array([0.5, 0.5]))
    >>> value = half.value(np.array([[0.99, 1.98]]), np.array([1.0, 2.0]))
    >>> [round(float(x), 4) for x in value]
    [-0.0101]
    """

    name: str
    kind: Kind
    metrics: tuple[str, ...]
    weights: Array
    """(m,) not negative; used in proportion."""
    scale: Array | None = None
    """(m,) units of the metrics, for `absolute`: their sd over the swarm."""
    ceilings: Array | None = None
    """(m,) oriented losses that must not be passed, infinite for none."""

    def __post_init__(self) -> None:
        shares = np.array(self.weights, dtype=np.float64)
        if shares.shape != (len(self.metrics),) or (shares < 0).any() or not shares.sum() > 0:
            raise DataError(
                f"objective {self.name!r}: expected {len(self.metrics)} weights of 0 or more, "
                f"got {shares.tolist()}"
            )
        object.__setattr__(self, "weights", shares / shares.sum())

    @property
    def convex(self) -> bool:
        """Whether it is convex and rising in every loss, so that convex laws stay convex."""
        return self.kind == "absolute"

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains whose text it evaluates."""
        return tuple(self.shares)

    @property
    def shares(self) -> dict[str, float]:
        """Weights by domain, as a mixture: what an even-handed guess would train on."""
        found: dict[str, float] = {}
        for metric, weight in zip(self.metrics, self.weights.tolist()):
            kind, _, domain = metric.partition("/")
            if weight > 0 and kind.partition("@")[0] in _PREFIXES:
                found[domain] = found.get(domain, 0.0) + weight
        total = sum(found.values())
        return {domain: weight / total for domain, weight in found.items()}

    def value(self, metrics: Array, reference: Array) -> Array:
        """J (..., k) of oriented metrics (..., k, m); `reference` (m,) are those of p0'.

        NaN where a metric that plays a part is NaN. Raises DataError where a ratio needs positive
        metrics and finds others.
        """
        used = self._used
        losses, against = np.asarray(metrics)[..., used], np.asarray(reference)[used]
        v = self.weights[used]
        if self.kind == "absolute":
            result = ((losses - against) / self._scale) @ v
        else:
            self._require_positive(losses, against)
            if self.kind == "token":
                result = np.log((losses @ v) / (against @ v))
            else:
                ratios = np.log(losses / against)
                result = ratios.max(axis=-1) if self.kind == "worst" else ratios @ v
        if self.ceilings is None:
            return result
        return result + _PENALTY * self._excess(losses).sum(axis=-1)

    def cut(self, metrics: Array, reference: Array) -> Array:
        """Draws or predictions (..., m) at 1 % of the reference's at least, where ratios are taken.

        A law may predict, and a draw may be, a loss below zero, of which there is no logarithm.
        """
        return metrics if self.kind == "absolute" else np.maximum(metrics, _LEAST * reference)

    def gradient(self, metrics: Array, reference: Array) -> Array:
        """dJ/dL (..., k, m) at oriented metrics (..., k, m); a subgradient at kinks."""
        used = self._used
        losses, against = np.asarray(metrics)[..., used], np.asarray(reference)[used]
        v = self.weights[used]
        if self.kind == "absolute":
            slope = np.broadcast_to(v / self._scale, losses.shape).copy()
        elif self.kind == "token":
            self._require_positive(losses, against)
            slope = v / (losses @ v)[..., None]
        elif self.kind == "worst":
            self._require_positive(losses, against)
            worst = (losses / against).argmax(axis=-1)[..., None]
            slope = np.where(np.arange(len(v)) == worst, 1.0 / losses, 0.0)
        else:
            self._require_positive(losses, against)
            slope = v / losses
        if self.ceilings is not None:
            over = self._excess(losses) > 0
            slope = slope + np.where(over, _PENALTY / np.abs(self.ceilings[used]), 0.0)
        result = np.zeros(np.shape(metrics))
        result[..., used] = slope
        return result

    def floored(self, losses: Array, percent: float) -> Self:
        """The objective under which no metric may be more than `percent` worse than `losses` (m,).

        `losses` are oriented metrics of the mixture to hold on to; metrics of weight 0 stay free.
        """
        losses = np.asarray(losses, dtype=np.float64)
        ceilings = np.where(self.weights > 0, losses + np.abs(losses) * percent / 100.0, np.inf)
        return replace(self, ceilings=ceilings)

    def on_test(self) -> Self:
        """The same objective on test text: `bpb/web` becomes `bpb@test/web`."""
        return replace(self, metrics=tuple(_on_test(metric) for metric in self.metrics))

    @property
    def _used(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.weights > 0)

    @property
    def _scale(self) -> Array:
        if self.scale is None:
            raise DataError(f"objective {self.name!r}: kind 'absolute' needs a scale a metric")
        return self.scale[self._used]

    def _excess(self, losses: Array) -> Array:
        """Relative excess over the ceilings, of the used metrics (..., k, u)."""
        assert self.ceilings is not None
        ceilings = self.ceilings[self._used]
        size = np.where(np.isfinite(ceilings) & (ceilings != 0), np.abs(ceilings), 1.0)
        return np.maximum(losses - ceilings, 0.0) / size

    def _require_positive(self, losses: ArrayLike, against: Array) -> None:
        low = (np.asarray(losses) <= 0) | (against <= 0)
        if low.any():
            where = np.flatnonzero(low.reshape(-1, len(against)).any(axis=0))[0]
            metric = self.metrics[self._used[where]]
            raise DataError(
                f"objective {self.name!r}: kind {self.kind!r} needs metrics above 0 that fall as "
                f'they improve, {metric!r} is not: use kind = "absolute"'
            )


def objective_for(
    spec: "ObjectiveSpec", name: str, metrics: Sequence[str], domains: Sequence[str] = ()
) -> Objective:
    """The objective that a table of `space.toml` describes, over the metrics of a run table.

    `over` names domains (bpb/NAME if measured, else loss/NAME) or metrics; default: every domain
    with a measured bpb or loss. `domains` are all that exist, trained on or not.
    Raises ConfigError where a name was never measured.
    """
    if spec.over is None:
        evaluated = [metric.partition("/")[2] for metric in metrics if _prefix(metric)]
        over = list(dict.fromkeys(evaluated))
    else:
        over = list(spec.over)
    if not over:
        raise ConfigError(
            f"objective {name!r}: no run measured a bpb/DOMAIN or loss/DOMAIN, "
            f"name metrics in over, {_known(metrics)}"
        )
    weights = np.zeros(len(metrics))
    for item, weight in _weights(spec, name, over).items():
        weights[_column(item, name, metrics, domains)] += weight
    return Objective(name, spec.kind, tuple(metrics), weights)


def _weights(spec: "ObjectiveSpec", name: str, over: Sequence[str]) -> Mapping[str, float]:
    if spec.weights is None:
        if spec.kind == "token":
            raise ConfigError(
                f"objective {name!r}: kind 'token' needs weights, the token shares of its domains"
            )
        return dict.fromkeys(over, 1.0)
    for item in spec.weights:
        if item not in over:
            hint = nearest(item, over)
            raise ConfigError(f"objective {name!r}: weights has {item!r}, over has not, {hint}")
    for item in over:
        if item not in spec.weights:
            raise ConfigError(f"objective {name!r}: weights leaves out {item!r}, please add it")
    return spec.weights


def _column(item: str, name: str, metrics: Sequence[str], domains: Sequence[str]) -> int:
    """The metric that a name in `over` means."""
    for candidate in (item, *(f"{prefix}/{item}" for prefix in _PREFIXES)):
        if candidate in metrics:
            return list(metrics).index(candidate)
    if item in domains:
        raise ConfigError(
            f"objective {name!r}: no run measured bpb/{item} or loss/{item}, {_known(metrics)}"
        )
    measured = [metric.partition("/")[2] for metric in metrics if _prefix(metric)]
    hint = nearest(item, [*metrics, *dict.fromkeys([*domains, *measured])])
    raise ConfigError(
        f"objective {name!r}: {item!r} is no domain and no metric that a run measured, {hint}"
    )


def _known(metrics: Sequence[str]) -> str:
    return f"measured: {', '.join(metrics)}"


def _prefix(metric: str) -> str | None:
    """`bpb` or `loss` of a metric on a domain's validation text."""
    kind, _, domain = metric.partition("/")
    return kind if domain and kind in _PREFIXES else None


def _on_test(metric: str) -> str:
    prefix = _prefix(metric)
    return metric if prefix is None else f"{prefix}@test/{metric.partition('/')[2]}"
