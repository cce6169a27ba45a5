"""SwiGLU: silu(gate) * up of hidden = gate | up (arXiv:2002.05202), one tensor kept for later.

silu' = s + silu (1 - s)  with s = sigmoid(gate)
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def swiglu(hidden: Tensor) -> Tensor:
    """silu(gate) * up of hidden (..., 2 F) = gate | up."""
    return _SwiGLU.apply(hidden)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        return swiglu_forward(hidden)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (hidden,) = ctx.saved_tensors
        return swiglu_backward(hidden, grad)


def swiglu_forward(hidden: Tensor) -> Tensor:
    """What `swiglu` gives, without gradients."""
    gate, up = hidden.chunk(2, dim=-1)
    return functional.silu(gate).mul_(up)


def swiglu_backward(hidden: Tensor, grad: Tensor) -> Tensor:
    """The gradient of `hidden` from that of the output."""
    gate, up = hidden.chunk(2, dim=-1)
    out = torch.empty_like(hidden)
    to_gate, to_up = out.chunk(2, dim=-1)
    sigmoid = torch.sigmoid(gate)
    silu = gate * sigmoid
    torch.mul(grad, silu, out=to_up)
    slope = silu.neg().add_(1).mul_(sigmoid).add_(silu)  # s (1 - silu) + silu
    torch.mul(slope.mul_(up), grad, out=to_gate)
    return out
