"""RMSNorm with its own backward pass: y = x / sqrt(mean(x^2) + eps) * gain along the last axis.

Half the passes of autograd's (Zhang and Sennrich 2019, arXiv:1910.07467).
"""

from typing import Any

import torch
from torch import Tensor

_EPS = 1e-6


def norm(x: Tensor, gain: Tensor) -> Tensor:
    """x / rms(x) * gain for x (P, N, D) and gain (P, D); fp32 whatever the type of x."""
    return _Norm.apply(x, gain)


def unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """x / rms(x) along the last axis, and 1 / rms(x); fp32 at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = length.square_().mul_(1.0 / x.shape[-1]).add_(_EPS).rsqrt_()
    return x * scale, scale


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor) -> Tensor:
        own, scale = unit(x)
        ctx.save_for_backward(own, scale, gain)
        return own * gain.unsqueeze(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        own, scale, gain = ctx.saved_tensors
        along = grad * own
        to_gain = along.sum(1)
        # no product of matrix and vector: that of one proxy rounds otherwise than those of several
        along = along.mul_(gain.unsqueeze(1)).sum(-1, keepdim=True).div_(-own.shape[-1])
        return (grad * gain.unsqueeze(1)).addcmul_(own, along).mul_(scale), to_gain
