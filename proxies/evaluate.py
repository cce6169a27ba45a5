"""Bits per byte of proxies on fixed windows of text: sum of nats / (ln 2 x bytes of those tokens).

A ratio of sums over a domain's windows. The first token of a window and tokens without text (the
end of a document) are scored neither in nats nor in bytes, so that all runs score the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from proxies.config import TrainConfig
from proxies.data import EvaluationSet
from proxies.kernels.cross_entropy import token_nats
from proxies.model import Weights, forward

MEASURES = ("bpb", "loss")
_WINDOWS_AT_ONCE = 8
_DEAD = 0.1  # of the balanced share: an expert with less is called dead


@dataclass(frozen=True)
class Evaluation:
    """What one proxy scored."""

    metrics: dict[str, float]
    """`bpb/NAME` and `loss/NAME` (nats a token), `bpb@test/NAME` on test text; `router/...`.

    Only `loss` of tokens that came without their tokenizer."""
    nats: NDArray[np.float64]
    """(W,) summed over the scored tokens of each window."""
    bytes: NDArray[np.int64]
    """(W,)"""
    domain: NDArray[np.int64]
    """(W,) index into the evaluation domains."""
    document: NDArray[np.int64]
    """(W,) where each window comes from, for a bootstrap over documents."""


def evaluate(
    weights: Weights,
    config: TrainConfig,
    questions: EvaluationSet,
    token_bytes: NDArray[np.integer],
    split: Literal["validation", "test"],
    measures: Sequence[str] = MEASURES,
) -> list[Evaluation | None]:
    """Score P stacked proxies on one split; None for a proxy that gives no numbers.

    token_bytes (V,): UTF-8 bytes of each token, 0 for those that are no text. `measures` are those
    that are told (`Data.measures`).
    """
    nats, counts = _score(weights, config, questions.tokens, token_bytes)
    targets = questions.tokens[:, 1:]
    length = token_bytes[targets].sum(1).astype(np.int64)
    scored = (token_bytes[targets] > 0).sum(1)
    found: list[Evaluation | None] = []
    for own, own_counts in zip(nats, counts, strict=True):
        if not np.isfinite(own).all():
            found.append(None)
            continue
        told = by_domain(own, length, scored, questions, split)
        metrics = {name: told[name] for name in told if name.startswith(tuple(measures))}
        if split == "validation":
            metrics |= router_health(own_counts)
        found.append(Evaluation(metrics, own, length, questions.domain, questions.document))
    return found


def by_domain(
    nats: NDArray[np.float64],
    length: NDArray[np.integer],
    scored: NDArray[np.integer],
    questions: EvaluationSet,
    split: Literal["validation", "test"],
) -> dict[str, float]:
    """bpb and loss of each domain from sums over each window (W,): nats, bytes, scored tokens."""
    at = "" if split == "validation" else f"@{split}"
    metrics = {}
    for index, name in enumerate(questions.names):
        rows = questions.domain == index
        total = float(nats[rows].sum())
        metrics[f"bpb{at}/{name}"] = total / (log(2.0) * float(length[rows].sum()))
        metrics[f"loss{at}/{name}"] = total / float(scored[rows].sum())
    return metrics


def router_health(counts: NDArray[np.float64]) -> dict[str, float]:
    """Load of the experts from their token counts (L, E), averaged over layers.

    `router/maxvio`: the busiest expert's load over the mean load, less 1. `router/dead`: the share
    of experts with under a tenth of the mean load.

    >>> router_health(np.array([[4.0, 4.0, 4.0, 0.0]]))
    {'router/maxvio': 0.33333333333333326, 'router/dead': 0.25}
    """
    load = counts / counts.mean(1, keepdims=True)
    return {
        "router/maxvio": float((load.max(1) - 1.0).mean()),
        "router/dead": float((load < _DEAD).mean()),
    }


@torch.no_grad()
def _score(
    weights: Weights,
    config: TrainConfig,
    tokens: NDArray[np.int64],
    token_bytes: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(nats (P, W), expert counts (P, L, E)); every proxy reads the same windows."""
    embedding = weights["embedding"]
    proxies = len(embedding)
    has_text = torch.from_numpy(np.asarray(token_bytes) > 0).to(embedding.device)
    nats, counts = [], []
    for start in range(0, len(tokens), _WINDOWS_AT_ONCE):
        rows = torch.from_numpy(tokens[start : start + _WINDOWS_AT_ONCE]).to(embedding.device)
        output = forward(weights, config, rows[:, :-1].expand(proxies, -1, -1))
        targets = rows[:, 1:]
        own = token_nats(output.hidden, embedding, targets.flatten().expand(proxies, -1))
        kept = torch.where(has_text[targets], own.unflatten(1, targets.shape), 0.0)
        nats.append(kept.sum(-1, dtype=torch.float64))
        counts.append(torch.stack([layer.counts() for layer in output.routing], dim=1))
    return torch.cat(nats, 1).cpu().numpy(), torch.stack(counts).sum(0).double().cpu().numpy()
