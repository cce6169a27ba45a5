"""Cross-entropy of a tied linear head, fused and in chunks: the (P, N, V) logits never exist.

    nats(p, i) = logsumexp_v(h_i . e_v) - h_i . e_target        loss(p) = mean over i

In training the gradients are made in the forward pass, while a chunk's logits are still in cache,
and only scaled in the backward pass.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_CPU_TOKENS = 128  # of one proxy: the chunk of logits stays in the cache
_CUDA_LOGITS = 1 << 26  # 256 MB of them


def cross_entropy(hidden: Tensor, embedding: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss of each proxy (P,), in nats a token, and the nats of each token (P, N).

    hidden (P, N, D), embedding (P, V, D), targets (P, N) int64. Only the mean carries gradient. A
    token of more than 103 nats reads infinity: no proxy that is still learning has one.
    """
    return _FusedCrossEntropy.apply(hidden, embedding, targets)


@torch.no_grad()
def token_nats(hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    """-ln p of each target (P, N), without gradients; shapes as in `cross_entropy`."""
    nats = torch.empty_like(hidden[..., 0])
    for proxies, tokens in _chunks(hidden, embedding):
        logits = torch.bmm(hidden[proxies, tokens], embedding[proxies].transpose(1, 2))
        logs = torch.log_softmax(logits, dim=-1, out=logits)
        nats[proxies, tokens] = -logs.gather(-1, targets[proxies, tokens].unsqueeze(-1)).squeeze(-1)
    return nats


class _FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, embedding: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        nats = torch.empty_like(hidden[..., 0])
        to_hidden = torch.empty_like(hidden)
        to_embedding = torch.zeros_like(embedding)
        for proxies, tokens in _chunks(hidden, embedding):
            part, table = hidden[proxies, tokens], embedding[proxies]
            wanted = targets[proxies, tokens].unsqueeze(-1)
            logits = torch.bmm(part, table.transpose(1, 2))
            errors = torch.softmax(logits, dim=-1, out=logits)
            right = errors.gather(-1, wanted)
            nats[proxies, tokens] = -right.log().squeeze(-1)
            errors.scatter_(-1, wanted, right - 1.0)
            to_hidden[proxies, tokens] = torch.bmm(errors, table)
            to_embedding[proxies].baddbmm_(errors.transpose(1, 2), part)
        ctx.save_for_backward(to_hidden, to_embedding)
        ctx.mark_non_differentiable(nats)
        return nats.mean(1), nats

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        to_hidden, to_embedding = ctx.saved_tensors
        scale = (grad / to_hidden.shape[1]).view(-1, 1, 1)
        return to_hidden.mul_(scale), to_embedding.mul_(scale), None  # used once


def _chunks(hidden: Tensor, embedding: Tensor) -> Iterator[tuple[slice, slice]]:
    """(proxies, tokens) slices: on a CPU one proxy and what the cache holds, else large ones."""
    proxies, tokens = hidden.shape[:2]
    if hidden.is_cuda:
        group, size = proxies, max(1, _CUDA_LOGITS // (proxies * embedding.shape[1]))
    else:
        group, size = 1, _CPU_TOKENS
    for first in range(0, proxies, group):
        for start in range(0, tokens, size):
            yield slice(first, first + group), slice(start, start + size)
