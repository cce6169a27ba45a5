"""Cross-entropy of a tied linear head, fused and in chunks: the (P, N, V) logits never exist.

    nats(p, i) = logsumexp_v(h_i . e_v) - h_i . e_target        loss(p) = mean over i

In training the gradients are made in the forward pass, while a chunk's logits are still in cache,
and only scaled in the backward pass.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from proxies.kernels.linear import wide_product

_CPU_TOKENS = (128, 512)  # of one proxy: the chunk of logits stays in the cache
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
    room = _room(hidden, embedding)
    for proxies, tokens in _chunks(hidden, embedding):
        logits = _logits(hidden[proxies, tokens], embedding[proxies], room)
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
        room = _room(hidden, embedding)
        for proxies, tokens in _chunks(hidden, embedding):
            part, table = hidden[proxies, tokens], embedding[proxies]
            wanted = targets[proxies, tokens].unsqueeze(-1)
            logits = _logits(part, table, room)
            errors = torch.softmax(logits, dim=-1, out=logits)
            right = errors.gather(-1, wanted)
            nats[proxies, tokens] = -right.log().squeeze(-1)
            errors.scatter_(-1, wanted, right - 1.0)
            _add_gradients(errors, part, table, to_hidden[proxies, tokens], to_embedding[proxies])
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
        group, size = 1, _cpu_tokens(hidden)
    for first in range(0, proxies, group):
        for start in range(0, tokens, size):
            yield slice(first, first + group), slice(start, start + size)


def _cpu_tokens(hidden: Tensor) -> int:
    """Tokens of a chunk on a CPU, whose logits stay in the cache."""
    return min(max(2 * hidden.shape[2], _CPU_TOKENS[0]), _CPU_TOKENS[1], hidden.shape[1])


def _room(hidden: Tensor, embedding: Tensor) -> Tensor | None:
    """Where every chunk's logits go on a CPU: new memory for each would have to be paged in."""
    if hidden.is_cuda:
        return None
    return hidden.new_empty(_cpu_tokens(hidden), embedding.shape[1])


def _logits(hidden: Tensor, embedding: Tensor, room: Tensor | None) -> Tensor:
    """(p, n, V), fp32 of bf16 factors on CUDA; on a CPU of one proxy, in `room`."""
    if room is None:
        return wide_product(hidden, embedding.transpose(1, 2))
    return torch.mm(hidden[0], embedding[0].t(), out=room[: hidden.shape[1]]).unsqueeze(0)


def _add_gradients(
    errors: Tensor, hidden: Tensor, embedding: Tensor, to_hidden: Tensor, to_embedding: Tensor
) -> None:
    """Write the gradient of a chunk's hidden (p, n, D), add that of the embeddings (p, V, D)."""
    if hidden.is_cuda:
        to_hidden.copy_(wide_product(errors, embedding))
        to_embedding.add_(wide_product(errors.transpose(1, 2), hidden))
        return
    for error, part, table, own, shared in zip(
        errors, hidden, embedding, to_hidden, to_embedding, strict=True
    ):
        torch.mm(error, table, out=own)
        shared.addmm_(error.t(), part)
