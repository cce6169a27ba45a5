"""The expert kernels: many groups, empty ones, and their gradients (styles: `test_router.py`)."""

import pytest
import torch
from torch.nn import functional

from proxies.kernels.experts import routed_experts
from proxies.kernels.swiglu import swiglu
from proxies.router import route

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
        ],
    ),
]


def run(x, router, w_in, w_out):
    routing = route(x, router, 2)
    return routed_experts(x, routing.gates, routing.experts, w_in, w_out)


def loop(x, router, w_in, w_out):
    """One token and one expert at a time, autograd only."""
    rows = []
    for p in range(len(x)):
        for token in x[p]:
            probabilities = torch.softmax(token @ router[p], dim=-1)
            chosen = probabilities.topk(2).indices
            gates = probabilities[chosen] / probabilities[chosen].sum()
            rows.append(
                sum(g * expert(token, w_in[p, e], w_out[p, e]) for g, e in zip(gates, chosen))
            )
    return torch.stack(rows).view(x.shape)


def expert(x, w_in, w_out):
    gate, up = (x @ w_in).chunk(2, dim=-1)
    return (functional.silu(gate) * up) @ w_out


def gradients(function, parts):
    leaves = [part.clone().requires_grad_() for part in parts]
    out = function(*leaves)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    return out.detach(), torch.autograd.grad((out * probe).sum(), leaves)


def test_many_groups_are_cut_into_slices():
    make = torch.Generator().manual_seed(4)
    shapes = [(5, 6, 8), (5, 8, 300), (5, 300, 8, 16), (5, 300, 8, 8)]  # 1500 groups
    parts = [torch.randn(shape, generator=make) for shape in shapes]
    ours, theirs = gradients(run, parts), gradients(loop, parts)
    for own, reference in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-3, atol=1e-4)


def test_swiglu_gradient():
    hidden = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(swiglu, (hidden,))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [[3, 0, 5, 0], [0, 0, 8, 0], [2, 2, 2, 2]])
def test_grouped_mm_agrees_with_a_loop(device, rows):
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    make = torch.Generator().manual_seed(6)
    x = torch.randn(sum(rows), 16, generator=make).to(device, kind)
    w = torch.randn(len(rows), 16, 24, generator=make).to(device, kind)
    ends = torch.tensor(rows).cumsum(0).to(device, torch.int32)
    pieces = [part @ w[i] for i, part in enumerate(x.split(rows))]
    tolerance = 0.1 if device == "cuda" else 1e-5
    torch.testing.assert_close(
        functional.grouped_mm(x, w, offs=ends), torch.cat(pieces), rtol=0, atol=tolerance
    )
