"""The MoE block against a token-by-token loop, and the relations that a router must keep."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from proxies.kernels.experts import routed_experts, swiglu
from proxies.router import balance_loss, route, z_loss

P, N, D, F, E, K = 2, 24, 32, 16, 8, 2
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


@pytest.fixture
def parts():
    """(x, router, w_in, w_out), with leading axis P."""
    make = torch.Generator().manual_seed(0)
    shapes = [(P, N, D), (P, D, E), (P, E, D, 2 * F), (P, E, F, D)]
    return [torch.randn(shape, generator=make) / shape[-2] ** 0.5 for shape in shapes]


def run(x, router, w_in, w_out, active=K):
    routing = route(x, router, active)
    return routed_experts(x, routing.gates, routing.experts, w_in, w_out)


def loop(x, router, w_in, w_out, active=K):
    """One token and one expert at a time, autograd only."""
    rows = []
    for p in range(len(x)):
        for token in x[p]:
            probabilities = torch.softmax(token @ router[p], dim=-1)
            chosen = probabilities.topk(active).indices
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


@pytest.mark.parametrize("skew", [0.0, 50.0], ids=["balanced", "one expert has all"])
def test_outputs_and_gradients_agree_with_the_loop(parts, skew):
    x, router, w_in, w_out = parts
    router = router.clone()
    router[:, 0, 0] += skew  # with x_0 = 1 expert 0 always wins, and some expert is empty
    x = torch.cat([torch.ones(P, N, 1), x[..., 1:]], dim=-1)
    parts = [x, router, w_in, w_out]
    ours, theirs = gradients(run, parts), gradients(loop, parts)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    for own, reference in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-4, atol=1e-5)


def test_an_expert_without_tokens_has_zero_gradient(parts):
    x, router, w_in, w_out = parts
    x = torch.cat([torch.ones(P, N, 1), x[..., 1:]], dim=-1)
    router = router.clone()
    router[:, 0, :2] += 50.0  # experts 0 and 1 have everything
    _, (_, _, to_in, to_out) = gradients(run, [x, router, w_in, w_out])
    assert not to_in[:, 2:].any()
    assert not to_out[:, 2:].any()
    assert to_in[:, 0].any()


@pytest.mark.parametrize("active", [2, 3, E])
def test_equal_experts_are_one_dense_layer(parts, active):
    x, router, w_in, w_out = parts
    w_in, w_out = w_in[:, :1].expand_as(w_in), w_out[:, :1].expand_as(w_out)
    dense = torch.stack([expert(x[p], w_in[p, 0], w_out[p, 0]) for p in range(P)])
    torch.testing.assert_close(run(x, router, w_in, w_out, active), dense, rtol=0, atol=1e-5)


def test_all_experts_active_is_the_dense_mixture(parts):
    x, router, w_in, w_out = parts
    gates = torch.softmax(torch.bmm(x, router), dim=-1)
    outs = [
        torch.stack([expert(x[p], w_in[p, e], w_out[p, e]) for e in range(E)], dim=1)
        for p in range(P)
    ]
    dense = (torch.stack(outs) * gates.unsqueeze(-1)).sum(2)
    torch.testing.assert_close(run(*parts, active=E), dense, rtol=0, atol=1e-5)


def test_renormalised_gates_are_the_softmax_of_the_kept_logits(parts):
    routing = route(*parts[:2], K)
    kept = routing.logits.gather(-1, routing.experts)
    torch.testing.assert_close(routing.gates, torch.softmax(kept, dim=-1))


def test_nothing_is_dropped(parts):
    x, router = parts[0], parts[1].clone()
    router[:, :, 0] = 10 * x.mean(1)  # adversarial: nearly all to one expert
    routing = route(x, router, K)
    counts = routing.counts()
    assert counts.sum(-1).tolist() == [N * K] * P
    assert (routing.experts.sort(-1).values.diff(dim=-1) > 0).all()
    torch.testing.assert_close(routing.gates.sum(-1), torch.ones(P, N))
    by_numpy = [np.bincount(own.flatten().numpy(), minlength=E) for own in routing.experts]
    np.testing.assert_array_equal(counts.numpy(), by_numpy)


def test_permuting_tokens_permutes_outputs(parts):
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    x, *weights = parts
    torch.testing.assert_close(run(x[:, order], *weights), run(x, *weights)[:, order])


def test_permuting_experts_with_their_router_changes_nothing(parts):
    order = torch.randperm(E, generator=torch.Generator().manual_seed(3))
    x, router, w_in, w_out = parts
    renamed = run(x, router[:, :, order], w_in[:, order], w_out[:, order])
    torch.testing.assert_close(renamed, run(*parts), rtol=0, atol=1e-5)


def test_proxies_do_not_see_each_other(parts):
    alone = torch.cat([run(*(part[p : p + 1] for part in parts)) for p in range(P)])
    torch.testing.assert_close(run(*parts), alone, rtol=0, atol=1e-6)


def test_many_groups_are_cut_into_slices():
    make = torch.Generator().manual_seed(4)
    shapes = [(5, 6, 8), (5, 8, 300), (5, 300, 8, 16), (5, 300, 8, 8)]  # 1500 groups
    parts = [torch.randn(shape, generator=make) for shape in shapes]
    ours, theirs = gradients(run, parts), gradients(loop, parts)
    for own, reference in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-3, atol=1e-4)


def test_router_gradient_by_finite_differences():
    make = torch.Generator().manual_seed(5)
    logits = torch.randn(1, 6, 4, generator=make, dtype=torch.float64)
    target = torch.randn(1, 6, 2, generator=make, dtype=torch.float64)

    def gate_loss(logits):
        probabilities = torch.softmax(logits, dim=-1)
        top = probabilities.topk(2, dim=-1).values
        aux = balance_loss(probabilities, torch.full((1, 4), 0.25, dtype=torch.float64))
        return (top / top.sum(-1, keepdim=True) * target).sum() + aux.sum() + z_loss(logits).sum()

    torch.autograd.gradcheck(gate_loss, (logits.requires_grad_(),))


def test_the_loss_reaches_the_router_through_the_gates(parts):
    _, (_, to_router, _, _) = gradients(run, parts)
    assert to_router.abs().sum() > 0


def test_balance_loss_is_one_at_balance_and_the_number_of_experts_at_collapse():
    even = torch.full((P, N, E), 1 / E)
    torch.testing.assert_close(balance_loss(even, torch.full((P, E), 1 / E)), torch.ones(P))
    one = functional.one_hot(torch.zeros(P, N, dtype=torch.int64), E).float()
    torch.testing.assert_close(balance_loss(one, one.mean(1)), torch.full((P,), float(E)))


def test_balance_over_the_whole_batch_lets_domains_own_experts():
    owners = torch.cat([torch.zeros(8), torch.ones(8)]).long()  # two domains, two halves of experts
    probabilities = torch.zeros(1, 16, E)
    probabilities[0, owners == 0, : E // 2] = 2 / E
    probabilities[0, owners == 1, E // 2 :] = 2 / E
    halves = [probabilities[:, owners == domain] for domain in (0, 1)]
    within = [balance_loss(half, half.mean(1)).item() for half in halves]
    assert within == pytest.approx([2.0, 2.0])
    assert balance_loss(probabilities, probabilities.mean(1)).item() == pytest.approx(1.0)


def test_z_loss_by_hand_and_what_a_shift_of_the_logits_does(parts):
    logits = route(*parts[:2], K).logits
    torch.testing.assert_close(
        z_loss(logits), (logits.exp().sum(-1).log() ** 2).mean(-1), rtol=1e-5, atol=1e-6
    )
    shifted = torch.softmax(logits + 3.0, dim=-1)
    shares = torch.full((P, E), 1 / E)
    torch.testing.assert_close(
        balance_loss(shifted, shares), balance_loss(torch.softmax(logits, -1), shares)
    )
    assert (z_loss(logits + 3.0) > z_loss(logits)).all()


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
