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
from torch import Tensor

from proxies.config import TrainConfig
from proxies.data import EvaluationSet
from proxies.kernels.cross_entropy import token_nats
from proxies.model import Weights, forward
from proxies.router import Routing
from proxies.router_health import RouterHealth, router_health

MEASURES = ("bpb", "loss")
_WINDOWS_AT_ONCE = 8


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
    router: RouterHealth | None = None
    """What the experts do with each domain; of validation text."""


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
    nats, loads = _score(weights, config, questions.tokens, token_bytes)
    targets = questions.tokens[:, 1:]
    length = token_bytes[targets].sum(1).astype(np.int64)
    scored = (token_bytes[targets] > 0).sum(1)
    found: list[Evaluation | None] = []
    for own, load in zip(nats, loads, strict=True):
        if not np.isfinite(own).all():
            found.append(None)
            continue
        told = by_domain(own, length, scored, questions, split)
        metrics = {name: told[name] for name in told if name.startswith(tuple(measures))}
        router = router_health(load, questions.domain) if split == "validation" else None
        if router is not None:
            metrics |= router.metrics
        found.append(Evaluation(metrics, own, length, questions.domain, questions.document, router))
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


@torch.no_grad()
def _score(
    weights: Weights,
    config: TrainConfig,
    tokens: NDArray[np.int64],
    token_bytes: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """(nats (P, W), expert counts (P, W, L, E)); every proxy reads the same windows."""
    embedding = weights["embedding"]
    proxies = len(embedding)
    has_text = torch.from_numpy(np.asarray(token_bytes) > 0).to(embedding.device)
    nats, loads = [], []
    for start in range(0, len(tokens), _WINDOWS_AT_ONCE):
        rows = torch.from_numpy(tokens[start : start + _WINDOWS_AT_ONCE]).to(embedding.device)
        output = forward(weights, config, rows[:, :-1].expand(proxies, -1, -1))
        targets = rows[:, 1:]
        own = token_nats(output.hidden, embedding, targets.flatten().expand(proxies, -1))
        kept = torch.where(has_text[targets], own.unflatten(1, targets.shape), 0.0)
        nats.append(kept.sum(-1, dtype=torch.float64))
        loads.append(torch.stack([_loads(layer, len(rows)) for layer in output.routing], dim=2))
    return torch.cat(nats, 1).cpu().numpy(), torch.cat(loads, 1).cpu().numpy()


def _loads(routing: Routing, windows: int) -> Tensor:
    """Tokens of each of W windows sent to each expert, (P, W, E) int32."""
    chosen = routing.experts.unflatten(1, (windows, -1)).flatten(2)
    shape = (*chosen.shape[:2], routing.probabilities.shape[-1])
    zeros = torch.zeros(shape, dtype=torch.int32, device=chosen.device)
    return zeros.scatter_add_(2, chosen, torch.ones_like(chosen, dtype=torch.int32))
