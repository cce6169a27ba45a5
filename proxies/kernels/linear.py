"""Matrix products of P proxies: fp32 on a CPU; on CUDA in bf16, from fp32 weights to fp32 sums.

On CUDA both factors are rounded to bf16 at the product, and so is its result; the residual stream,
norms, router, gates, loss, gradients of weights and the optimiser's state stay fp32.
"""

import torch
from torch import Tensor


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x (P, N, D) times weight (P, D, F); bf16 on CUDA."""
    if x.is_cuda:
        return torch.bmm(x.bfloat16(), weight.bfloat16())
    return torch.bmm(x, weight)


def add_product(residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """residual (P, N, F) + x (P, N, D) times weight (P, D, F), fp32."""
    if x.is_cuda:
        return residual + torch.bmm(x.bfloat16(), weight.bfloat16())
    return torch.baddbmm(residual, x, weight)


def wide_product(x: Tensor, y: Tensor) -> Tensor:
    """x (P, N, D) times y (P, D, V) on CUDA: bf16 factors, an fp32 result. Without gradients."""
    return torch.ops.mixopt.wide_product(x.bfloat16(), y.bfloat16())


@torch.library.custom_op("mixopt::wide_product", mutates_args=(), device_types="cuda")
def _wide_product(x: Tensor, y: Tensor) -> Tensor:
    return torch.bmm(x, y, out_dtype=torch.float32)


@_wide_product.register_fake
def _(x: Tensor, y: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1], y.shape[2]), dtype=torch.float32)
