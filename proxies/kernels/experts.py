"""Routed SwiGLU experts of P proxies at once: rows sorted by (proxy, expert), two grouped GEMMs.

    y = sum over the K chosen experts e of g_e (silu(x W_gate) * (x W_up)) W_out

Nothing is dropped (DeepSeekMoE, arXiv:2401.06066); both directions gather in a fixed order.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_MOST_GROUPS = 1023  # of one grouped_mm on CUDA


def swiglu(hidden: Tensor) -> Tensor:
    """silu(gate) * up of hidden (..., 2 F) = gate | up."""
    return _SwiGLU.apply(hidden)


def routed_experts(
    x: Tensor, gates: Tensor, experts: Tensor, w_in: Tensor, w_out: Tensor
) -> Tensor:
    """The gated sum of the chosen experts, (P, N, D).

    x (P, N, D), gates (P, N, K), experts (P, N, K) int64, w_in (P, E, D, 2 F) holding gate | up,
    w_out (P, E, F, D).
    """
    parts = [
        _Experts.apply(x[part], gates[part], experts[part], w_in[part], w_out[part])
        for part in _slices(*w_in.shape[:2])
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _slices(proxies: int, experts: int) -> Iterator[slice]:
    """Proxies in slices of at most 1023 groups."""
    size = _MOST_GROUPS // experts
    return (slice(start, start + size) for start in range(0, proxies, size))


class _SwiGLU(torch.autograd.Function):
    """silu(gate) * up, one tensor kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        return _swiglu(hidden)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (hidden,) = ctx.saved_tensors
        return _swiglu_backward(hidden, grad)


def _swiglu(hidden: Tensor) -> Tensor:
    gate, up = hidden.chunk(2, dim=-1)
    return functional.silu(gate).mul_(up)


def _swiglu_backward(hidden: Tensor, grad: Tensor) -> Tensor:
    """The gradient of `hidden`: silu' = s + silu (1 - s) with s = sigmoid(gate)."""
    gate, up = hidden.chunk(2, dim=-1)
    sigmoid = torch.sigmoid(gate)
    silu = gate * sigmoid
    out = torch.empty_like(hidden)
    to_gate, to_up = out.chunk(2, dim=-1)
    torch.mul(grad, silu, out=to_up)
    slope = silu.mul_(sigmoid.neg().add_(1)).add_(sigmoid)
    torch.mul(slope.mul_(up), grad, out=to_gate)
    return out


class _Experts(torch.autograd.Function):
    """Sort rows by group, two grouped GEMMs around SwiGLU, gather back and sum by the gates.

    Written with its own backward pass because both directions are then gathers in a fixed order:
    no atomic additions, so the same bits each time, and no copy of the rows beyond the sorted one.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gates: Tensor, experts: Tensor, w_in: Tensor, w_out: Tensor
    ) -> Tensor:
        count, tokens, active = experts.shape
        number, width = w_in.shape[1:3]
        order, inverse, ends = _sorted_rows(experts, number)
        kind = torch.bfloat16 if x.is_cuda else x.dtype  # the only type of the fused CUDA kernel
        w_in, w_out = (w.flatten(0, 1).to(kind) for w in (w_in, w_out))
        rows = x.reshape(-1, width).to(kind)[order // active]
        hidden = functional.grouped_mm(rows, w_in, offs=ends)
        inner = (
            functional.silu(hidden[:, : hidden.shape[1] // 2]) * hidden[:, hidden.shape[1] // 2 :]
        )
        out = functional.grouped_mm(inner, w_out, offs=ends)
        ctx.save_for_backward(rows, gates, w_in, w_out, hidden, inner, out, order, inverse, ends)
        back = out[inverse].view(count, tokens, active, width)
        return (back * gates.unsqueeze(-1).to(kind)).sum(2).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        rows, gates, w_in, w_out, hidden, inner, out, order, inverse, ends = ctx.saved_tensors
        count, tokens, active = gates.shape
        kind = rows.dtype
        incoming = grad.reshape(-1, grad.shape[-1]).to(kind)[order // active]
        to_gates = (incoming * out).sum(-1)[inverse].view_as(gates).to(gates.dtype)
        to_out = incoming.mul_(gates.flatten()[order].unsqueeze(-1).to(kind))
        to_inner = functional.grouped_mm(to_out, w_out.transpose(1, 2), offs=ends)
        to_w_out = functional.grouped_mm(inner.t(), to_out, offs=ends)
        to_hidden = _swiglu_backward(hidden, to_inner)
        to_rows = functional.grouped_mm(to_hidden, w_in.transpose(1, 2), offs=ends)
        to_w_in = functional.grouped_mm(rows.t(), to_hidden, offs=ends)
        to_x = to_rows[inverse].view(count, tokens, active, -1).sum(2).to(grad.dtype)
        shape = (count, -1)
        return (
            to_x,
            to_gates,
            None,
            to_w_in.unflatten(0, shape).to(grad.dtype),
            to_w_out.unflatten(0, shape).to(grad.dtype),
        )


def _sorted_rows(experts: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """(order, inverse, ends) that sort the P N K rows by proxy and expert; ends are cumulative."""
    proxy = torch.arange(len(experts), device=experts.device).view(-1, 1, 1)
    group = (proxy * number + experts).flatten()
    order = torch.argsort(group, stable=True)
    places = torch.arange(len(order), device=order.device)
    inverse = torch.empty_like(order).scatter_(0, order, places)
    counts = torch.zeros(len(experts) * number, dtype=torch.int32, device=group.device)
    counts.scatter_add_(0, group, torch.ones_like(group, dtype=torch.int32))
    return order, inverse, counts.cumsum(0, dtype=torch.int32)
