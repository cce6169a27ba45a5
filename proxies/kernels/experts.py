"""Routed SwiGLU experts of P proxies at once: rows sorted by (proxy, expert), two grouped GEMMs.

    y = sum over the K chosen experts e of g_e (silu(x W_gate) * (x W_up)) W_out

Nothing is dropped (DeepSeekMoE, arXiv:2401.06066); both directions gather in a fixed order: no
atomic additions, so the same bits each time. On CUDA the GEMMs are in bf16, and rows, gates and
weight gradients return to fp32 after them. Where CUDA has no grouped GEMM (before compute
capability 9.0) `proxies.kernels.layout` gives every expert a fixed number of slots instead.

The block is a custom operator with a fake kernel, so that it can be traced: torch's own shape rule
for a grouped GEMM takes bf16 alone, though its CPU kernel takes fp32.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from proxies.kernels.layout import Layout, padded_layout, slots_for, sorted_layout
from proxies.kernels.swiglu import swiglu_backward, swiglu_forward

_MOST_GROUPS = 1023
"""Of one grouped GEMM on CUDA."""
_GROUPED_GEMM = (9, 0)
"""The compute capability from which CUDA has one; before, torch copies row counts to the host."""
_ROOM = 2.0
"""Slots of an expert over its balanced load."""


def routed_experts(
    x: Tensor,
    gates: Tensor,
    experts: Tensor,
    w_in: Tensor,
    w_out: Tensor,
    slots: int | None = None,
) -> Tensor:
    """The gated sum of the chosen experts, (P, N, D).

    x (P, N, D), gates (P, N, K), experts (P, N, K) int64, w_in (P, E, D, 2 F) holding gate | up,
    w_out (P, E, F, D). `slots`: rows that each expert has room for, None for as many as come; a row
    without room adds nothing (`layout.overflow` counts them).
    """
    room = -1 if slots is None else slots
    parts = [
        _apply(x[p], gates[p], experts[p], w_in[p], w_out[p], room)
        for p in _slices(*w_in.shape[:2])
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def slots_on(device: torch.device, tokens: int, active: int, experts: int) -> int | None:
    """Slots for each expert where CUDA has no grouped GEMM that stays on the device, else None.

    In training twice the balanced load, without gradients room for every token.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) >= _GROUPED_GEMM:
        return None
    room = _ROOM if torch.is_grad_enabled() else float("inf")
    return slots_for(tokens, active, experts, room)


def _slices(proxies: int, experts: int) -> Iterator[slice]:
    """Proxies in slices of at most 1023 groups."""
    size = _MOST_GROUPS // experts
    return (slice(start, start + size) for start in range(0, proxies, size))


def _apply(
    x: Tensor, gates: Tensor, experts: Tensor, w_in: Tensor, w_out: Tensor, slots: int
) -> Tensor:
    """By the operator where it is traced, else by the same functions without its dispatch.

    That took 0.46 ms of a layer's step, 4 % of a step of one small proxy.
    """
    if torch.compiler.is_compiling():
        return torch.ops.mixopt.experts(x, gates, experts, w_in, w_out, slots)[0]
    return _Experts.apply(x, gates, experts, w_in, w_out, slots)


class _Experts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gates: Tensor, experts: Tensor, w_in: Tensor, w_out: Tensor, slots: int
    ) -> Tensor:
        y, *kept = _forward(x, gates, experts, w_in, w_out, slots)
        ctx.slots = slots
        ctx.save_for_backward(gates, w_in, w_out, *kept)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gates, w_in, w_out, *kept = ctx.saved_tensors
        to_x, *others = _backward(grad.contiguous(), gates, w_in, w_out, kept, ctx.slots)
        return to_x, others[0], None, others[1], others[2], None


def _forward(
    x: Tensor, gates: Tensor, experts: Tensor, w_in: Tensor, w_out: Tensor, slots: int
) -> list[Tensor]:
    """[y, and what the backward pass needs: rows, hidden, inner, out, then the layout]."""
    active, width = experts.shape[2], x.shape[2]
    layout = _layout(experts, w_in.shape[1], slots)
    kind = _kind(x)
    rows = layout.take(x.reshape(-1, width).to(kind), active)
    hidden = layout.multiply(rows, w_in.flatten(0, 1).to(kind))
    inner = swiglu_forward(hidden)
    out = layout.multiply(inner, w_out.flatten(0, 1).to(kind))
    y = layout.combine(out, gates.reshape(-1, active)).view_as(x)
    return [y, rows, hidden, inner, out, *layout.tensors()]


def _backward(
    grad: Tensor, gates: Tensor, w_in: Tensor, w_out: Tensor, kept: list[Tensor], slots: int
) -> list[Tensor]:
    """Gradients of x, gates, w_in and w_out."""
    rows, hidden, inner, out, *stored = kept
    layout = Layout(*stored, slots=slots)
    active, kind = gates.shape[2], rows.dtype
    incoming = layout.take(grad.reshape(-1, grad.shape[-1]).to(kind), active)
    to_gates = layout.put_back((incoming * out).sum(-1, dtype=torch.float32))
    to_out = incoming.mul_(layout.gates(gates).to(kind))
    to_inner = layout.multiply(to_out, w_out.flatten(0, 1).to(kind).transpose(1, 2))
    to_w_out = layout.weight_gradient(inner, to_out)
    to_hidden = swiglu_backward(hidden, to_inner)
    to_rows = layout.multiply(to_hidden, w_in.flatten(0, 1).to(kind).transpose(1, 2))
    to_w_in = layout.weight_gradient(rows, to_hidden)
    return [
        layout.combine(to_rows, None, active).view_as(grad),
        to_gates.view_as(gates).to(gates.dtype),
        to_w_in.view_as(w_in).to(w_in.dtype),
        to_w_out.view_as(w_out).to(w_out.dtype),
    ]


def _layout(experts: Tensor, number: int, slots: int) -> Layout:
    return sorted_layout(experts, number) if slots < 0 else padded_layout(experts, number, slots)


def _kind(x: Tensor) -> torch.dtype:
    """The type of the GEMMs."""
    return torch.bfloat16 if x.is_cuda else x.dtype


_experts = torch.library.custom_op("mixopt::experts", _forward, mutates_args=())
_experts_backward = torch.library.custom_op("mixopt::experts_backward", _backward, mutates_args=())


@_experts.register_fake
def _(
    x: Tensor, gates: Tensor, experts: Tensor, w_in: Tensor, w_out: Tensor, slots: int
) -> list[Tensor]:
    count, number, width, double = w_in.shape
    assignments = experts.numel()
    rows = assignments if slots < 0 else count * number * slots
    kind = _kind(x)
    ends = count * number if slots < 0 else 0
    return [
        torch.empty_like(x, memory_format=torch.contiguous_format),
        *(
            x.new_empty((rows, size), dtype=kind)
            for size in (width, double, double // 2, w_out.shape[3])
        ),
        experts.new_empty((rows,)),
        experts.new_empty((assignments,)),
        experts.new_empty((ends,), dtype=torch.int32),
    ]


@_experts_backward.register_fake
def _(
    grad: Tensor, gates: Tensor, w_in: Tensor, w_out: Tensor, kept: list[Tensor], slots: int
) -> list[Tensor]:
    return [
        torch.empty_like(one, memory_format=torch.contiguous_format)
        for one in (grad, gates, w_in, w_out)
    ]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _, gates, _, w_in, w_out, ctx.slots = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gates, w_in, w_out, *output[1:])


def _differentiate(ctx: Any, grads: list[Tensor]) -> tuple[Tensor | None, ...]:
    gates, w_in, w_out, *kept = ctx.saved_tensors
    to_x, to_gates, to_in, to_out = torch.ops.mixopt.experts_backward(
        grads[0].contiguous(), gates, w_in, w_out, kept, ctx.slots
    )
    return to_x, to_gates, None, to_in, to_out, None


_experts.register_autograd(_differentiate, setup_context=_keep)
