"""Queries, keys and values in one function against norms, turns and slices by autograd."""

import torch
from torch.nn import functional

from proxies.kernels.rope import queries_keys_values, rotate, rotation

P, B, T, H, D = 2, 2, 5, 3, 4


def by_autograd(qkv, gain, turn):
    q, k, v = qkv.unbind(3)
    normed = [functional.rms_norm(one, (D,), eps=1e-6) for one in (q, k)]
    turned = [rotate(one * gain[:, None, None, None, i], turn) for i, one in enumerate(normed)]
    return [one.flatten(0, 1).transpose(1, 2) for one in (*turned, v)]


def test_values_and_gradients_agree():
    make = torch.Generator().manual_seed(0)
    qkv = torch.randn(P, B, T, 3, H, D, generator=make).requires_grad_()
    gain = torch.randn(P, 2, D, generator=make).requires_grad_()
    turn = rotation(T, D, torch.device("cpu"))
    probes = torch.randn(3, P * B, H, T, D, generator=make)
    found = []
    for function in (queries_keys_values, by_autograd):
        outs = function(qkv, gain, turn)
        loss = sum((out * probe).sum() for out, probe in zip(outs, probes, strict=True))
        found.append([*outs, *torch.autograd.grad(loss, (qkv, gain))])
    for own, reference in zip(*found, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-4, atol=1e-5)
