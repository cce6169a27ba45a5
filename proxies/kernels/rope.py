"""Rotary positions (RoFormer, arXiv:2104.09864): neighbours turn by t theta^(-2 j / d)."""

import torch
from torch import Tensor

_THETA = 1e4


def rotation(length: int, head_width: int, device: torch.device) -> Tensor:
    """exp(i t theta^(-2 j / d_head)), (length, head_width / 2) complex."""
    half = head_width // 2
    rates = _THETA ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
    angles = torch.arange(length, device=device, dtype=torch.float32).unsqueeze(1) * rates
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Rotary positions for x (..., T, 2, H, d_head); neighbouring numbers make a complex one."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn[:, None, None]).flatten(-2)
