"""Queries, keys and values: RMSNorm of each head's q and k, then rotary positions, in one function.

    q, k = rotate(x / rms(x) * gain):  neighbours turn by t theta^(-2 j / d)  (RoFormer,
    arXiv:2104.09864); the values pass

One backward pass writes the gradient of all three where it belongs; slices would each fill a whole
tensor with zeros first.
"""

from typing import Any

import torch
from torch import Tensor

from proxies.kernels.norm import unit

_THETA = 1e4


def rotation(length: int, head_width: int, device: torch.device) -> Tensor:
    """exp(i t theta^(-2 j / d_head)), (length, head_width / 2) complex."""
    half = head_width // 2
    rates = _THETA ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
    angles = torch.arange(length, device=device, dtype=torch.float32).unsqueeze(1) * rates
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Rotary positions for x (..., T, H, d_head); neighbouring numbers make a complex one."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn.unsqueeze(1)).flatten(-2)


def queries_keys_values(qkv: Tensor, gain: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v, each (P B, H, T, d_head) and ready for attention.

    qkv (P, B, T, 3, H, d_head), gain (P, 2, d_head) for queries and keys, turn from `rotation`.
    """
    return _QueriesKeysValues.apply(qkv, gain, turn)


class _QueriesKeysValues(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, gain: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own, scale = unit(qkv[:, :, :, :2])
        ctx.save_for_backward(own, scale, gain, turn)
        ctx.kind = qkv.dtype
        turned = rotate(own * _wide(gain), turn.unsqueeze(1)).to(qkv.dtype)
        return _by_head(turned[:, :, :, 0]), _by_head(turned[:, :, :, 1]), _by_head(qkv[:, :, :, 2])

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, to_q: Tensor, to_k: Tensor, to_v: Tensor
    ) -> tuple[Tensor, Tensor, None]:
        own, scale, gain, turn = ctx.saved_tensors
        out = own.new_empty((*own.shape[:3], 3, *own.shape[4:]), dtype=ctx.kind)
        grads = torch.empty_like(own)
        back = turn.conj_physical()
        for index, grad in enumerate((to_q, to_k)):
            grads[:, :, :, index] = rotate(_by_token(grad, own).to(own.dtype), back)
        out[:, :, :, 2] = _by_token(to_v, own)
        along = grads * own
        to_gain = along.sum((1, 2, 4))
        along = along.mul_(_wide(gain)).mean(-1, keepdim=True)
        grads.mul_(_wide(gain)).addcmul_(own, along, value=-1.0)
        torch.mul(grads, scale, out=out[:, :, :, :2])
        return out, to_gain, None


def _wide(gain: Tensor) -> Tensor:
    """(P, 2, d_head) beside (P, B, T, 2, H, d_head)."""
    return gain[:, None, None, :, None]


def _by_head(x: Tensor) -> Tensor:
    """(P, B, T, H, d_head) -> (P B, H, T, d_head)."""
    return x.flatten(0, 1).transpose(1, 2)


def _by_token(x: Tensor, like: Tensor) -> Tensor:
    """The reverse of `_by_head`."""
    return x.transpose(1, 2).unflatten(0, like.shape[:2])
