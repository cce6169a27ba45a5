"""Routing in every style against a token-by-token loop, and the relations that it must keep."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from proxies.kernels.experts import routed_experts
from proxies.router import (
    balance_loss,
    moved_bias,
    route,
    sequence_balance_loss,
    z_loss,
)
from proxies.styles import STYLES

P, N, D, F, E, K = 2, 24, 32, 16, 8, 2
EVERY_STYLE = pytest.mark.parametrize("name", sorted(STYLES))
RENORMALISED = [name for name, style in STYLES.items() if style.renormalised]


@pytest.fixture
def parts():
    """(x, router, w_in, w_out, learned bias, selection bias), with leading axis P."""
    make = torch.Generator().manual_seed(0)
    shapes = [(P, N, D), (P, D, E), (P, E, D, 2 * F), (P, E, F, D), (P, E), (P, E)]
    return [torch.randn(shape, generator=make) / shape[-2] ** 0.5 for shape in shapes]


def biases(style, learned, selection):
    """Those of the two that a style has."""
    return learned if style.router_bias else None, selection if style.bias_step else None


def run(name, x, router, w_in, w_out, learned, selection, active=K):
    style = STYLES[name]
    routing = route(x, router, active, style, *biases(style, learned, selection))
    return routed_experts(x, routing.gates, routing.experts, w_in, w_out)


def loop(name, x, router, w_in, w_out, learned, selection, active=K):
    """One token and one expert at a time, autograd only, each family in its own words."""
    rows = []
    for p in range(len(x)):
        for token in x[p]:
            chosen, gates = GATES[name](token @ router[p], learned[p], selection[p], active)
            rows.append(
                sum(g * expert(token, w_in[p, e], w_out[p, e]) for g, e in zip(gates, chosen))
            )
    return torch.stack(rows).view(x.shape)


def softmax_renormalised(logits, learned, selection, active):
    kept = torch.softmax(logits, dim=-1).topk(active)
    return kept.indices, kept.values / kept.values.sum()


def softmax_plain(logits, learned, selection, active):
    kept = torch.softmax(logits, dim=-1).topk(active)
    return kept.indices, kept.values


def sigmoid_with_bias(logits, learned, selection, active):
    scores = torch.sigmoid(logits)
    chosen = (scores + selection).topk(active).indices
    return chosen, active**0.5 * scores[chosen] / scores[chosen].sum()


def topk_then_softmax(logits, learned, selection, active):
    kept = (logits + learned).topk(active)
    return kept.indices, torch.softmax(kept.values, dim=-1)


GATES = {
    "default": softmax_renormalised,
    "qwen3": softmax_renormalised,
    "olmoe": softmax_plain,
    "deepseek": sigmoid_with_bias,
    "gptoss": topk_then_softmax,
}


def expert(x, w_in, w_out):
    gate, up = (x @ w_in).chunk(2, dim=-1)
    return (functional.silu(gate) * up) @ w_out


def gradients(function, name, parts):
    leaves = [part.clone().requires_grad_() for part in parts]
    out = function(name, *leaves)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    return out.detach(), torch.autograd.grad((out * probe).sum(), leaves, allow_unused=True)


def skewed(parts, experts, by=50.0):
    """The same parts, where some experts always win: of every token for which x_0 = 1."""
    x, router, *rest = parts
    x = torch.cat([torch.ones(*x.shape[:2], 1), x[..., 1:]], dim=-1)
    router = router.clone()
    router[:, 0, experts] += by
    return [x, router, *rest]


@EVERY_STYLE
@pytest.mark.parametrize("skew", [0.0, 8.0], ids=["balanced", "one expert has all"])
def test_outputs_and_gradients_agree_with_the_loop(parts, name, skew):
    parts = skewed(parts, [0], skew)
    ours, theirs = gradients(run, name, parts), gradients(loop, name, parts)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    for own, reference in zip(ours[1], theirs[1], strict=True):
        assert (own is None) == (reference is None)
        if own is not None:
            torch.testing.assert_close(own, reference, rtol=1e-4, atol=1e-5)
    given = {label: grad is not None for label, grad in zip(("learned", "selection"), ours[1][4:])}
    assert given == {"learned": name == "gptoss", "selection": False}  # b is never a gate's


@EVERY_STYLE
def test_an_expert_without_tokens_has_zero_gradient(parts, name):
    x, router, w_in, w_out, learned, _ = skewed(parts, [0, 1])
    parts = [x, router, w_in, w_out, learned, torch.zeros(P, E)]
    _, (_, _, to_in, to_out, *_) = gradients(run, name, parts)
    assert not to_in[:, 2:].any()
    assert not to_out[:, 2:].any()
    assert to_in[:, 0].any()


@pytest.mark.parametrize("name", RENORMALISED)
@pytest.mark.parametrize("active", [2, 3, E])
def test_equal_experts_are_one_dense_layer(parts, name, active):
    x, router, w_in, w_out, *both = parts
    w_in, w_out = w_in[:, :1].expand_as(w_in), w_out[:, :1].expand_as(w_out)
    size = active**0.5 if STYLES[name].gates_grow else 1.0
    dense = size * torch.stack([expert(x[p], w_in[p, 0], w_out[p, 0]) for p in range(P)])
    found = run(name, x, router, w_in, w_out, *both, active=active)
    torch.testing.assert_close(found, dense, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["default", "olmoe"])
def test_all_experts_active_is_the_dense_mixture(parts, name):
    x, router, w_in, w_out, *_ = parts
    gates = torch.softmax(torch.bmm(x, router), dim=-1)
    outs = [
        torch.stack([expert(x[p], w_in[p, e], w_out[p, e]) for e in range(E)], dim=1)
        for p in range(P)
    ]
    dense = (torch.stack(outs) * gates.unsqueeze(-1)).sum(2)
    torch.testing.assert_close(run(name, *parts, active=E), dense, rtol=0, atol=1e-5)


def test_renormalised_gates_are_the_softmax_of_the_kept_logits(parts):
    routing = route(*parts[:2], K)
    kept = routing.logits.gather(-1, routing.experts)
    torch.testing.assert_close(routing.gates, torch.softmax(kept, dim=-1))


@EVERY_STYLE
def test_nothing_is_dropped_and_gates_sum_to_what_the_style_says(parts, name):
    style = STYLES[name]
    x, router = parts[0], parts[1].clone()
    router[:, :, 0] = 10 * x.mean(1)  # adversarial: nearly all to one expert
    routing = route(x, router, K, style, *biases(style, *parts[4:]))
    counts = routing.counts()
    assert counts.sum(-1).tolist() == [N * K] * P
    assert (routing.experts.sort(-1).values.diff(dim=-1) > 0).all()
    by_numpy = [np.bincount(own.flatten().numpy(), minlength=E) for own in routing.experts]
    np.testing.assert_array_equal(counts.numpy(), by_numpy)
    kept = routing.probabilities.gather(-1, routing.experts).sum(-1)
    size = K**0.5 if style.gates_grow else 1.0
    expected = torch.full((P, N), size) if style.renormalised else kept
    torch.testing.assert_close(routing.gates.sum(-1), expected)
    torch.testing.assert_close(routing.probabilities.sum(-1), torch.ones(P, N))


@EVERY_STYLE
def test_permuting_tokens_permutes_outputs(parts, name):
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    x, *others = parts
    torch.testing.assert_close(run(name, x[:, order], *others), run(name, *parts)[:, order])


@EVERY_STYLE
def test_permuting_experts_with_their_router_changes_nothing(parts, name):
    order = torch.randperm(E, generator=torch.Generator().manual_seed(3))
    x, router, *rest = parts
    renamed = run(name, x, router[:, :, order], *(part[:, order] for part in rest))
    torch.testing.assert_close(renamed, run(name, *parts), rtol=0, atol=1e-5)


@EVERY_STYLE
def test_proxies_do_not_see_each_other(parts, name):
    alone = torch.cat([run(name, *(part[p : p + 1] for part in parts)) for p in range(P)])
    torch.testing.assert_close(run(name, *parts), alone, rtol=0, atol=1e-6)


@EVERY_STYLE
def test_router_gradient_by_finite_differences(name):
    style = STYLES[name]
    make = torch.Generator().manual_seed(5)
    x, router, target, learned, selection = (
        torch.randn(shape, generator=make, dtype=torch.float64)
        for shape in [(1, 6, 4), (1, 4, 5), (1, 6, 2), (1, 5), (1, 5)]
    )
    shares = torch.full((1, 5), 0.2, dtype=torch.float64)

    def loss(router):
        logits = torch.bmm(x, router)
        with torch.no_grad():  # far from ties: the choice does not move
            chosen = route(x, router, 2, style, *biases(style, learned, selection)).experts
        if style.scores == "sigmoid":
            scores = torch.sigmoid(logits)
        else:
            scores = torch.softmax(logits + (learned if style.router_bias else 0.0), dim=-1)
        gates = scores.gather(-1, chosen)
        gates = gates / gates.sum(-1, keepdim=True) if style.renormalised else gates
        gates = gates * 2**0.5 if style.gates_grow else gates
        aux = balance_loss(scores / scores.sum(-1, keepdim=True), shares)
        return (gates * target).sum() + aux.sum() + z_loss(logits).sum()

    def ours(router):
        routing = route(x, router, 2, style, *biases(style, learned, selection))
        aux = balance_loss(routing.probabilities, shares.float())
        return (routing.gates * target).sum() + aux.sum() + z_loss(torch.bmm(x, router)).sum()

    torch.autograd.gradcheck(loss, (router.clone().requires_grad_(),))
    leaves = [router.clone().requires_grad_() for _ in range(2)]
    found = torch.autograd.grad(ours(leaves[0]), leaves[0])[0]
    expected = torch.autograd.grad(loss(leaves[1]), leaves[1])[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@EVERY_STYLE
@pytest.mark.parametrize("active", [1, 2])
def test_the_loss_reaches_the_router_through_the_gates(parts, name, active):
    def one(name, *leaves):
        return run(name, *leaves, active=active)

    _, (_, to_router, *_) = gradients(one, name, parts)
    if active == 1 and STYLES[name].renormalised:  # a gate that is always 1 teaches nothing
        assert to_router.abs().max() < 1e-5
    else:
        assert to_router.abs().sum() > 0.1


def test_the_selection_bias_moves_the_choice_and_never_a_gate(parts):
    x, router, selection = parts[0], parts[1], parts[5]
    style = STYLES["deepseek"]
    routing = route(x, router, K, style, None, selection)
    scores = torch.sigmoid(routing.logits)
    assert not torch.equal(routing.experts, route(x, router, K, style).experts)
    torch.testing.assert_close(
        (scores + selection.unsqueeze(1)).topk(K).indices.sort().values,
        routing.experts.sort().values,
    )
    own = scores.gather(-1, routing.experts)
    torch.testing.assert_close(routing.gates, K**0.5 * own / own.sum(-1, keepdim=True))
    torch.testing.assert_close(
        route(x, router, K, style, None, selection + 3.0).gates, routing.gates
    )


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


def test_shares_of_the_whole_batch_make_parts_of_it_one_batch(parts):
    routing = route(*parts[:2], K)
    shares = routing.counts() / routing.counts().sum(-1, keepdim=True)
    whole = balance_loss(routing.probabilities, shares)
    halves = [balance_loss(half, shares) for half in routing.probabilities.chunk(2, dim=1)]
    torch.testing.assert_close(torch.stack(halves).mean(0), whole)


def test_balance_within_sequences_is_the_mean_over_them(parts):
    routing = route(*parts[:2], K)
    own = []
    for sequence in range(3):
        rows = slice(8 * sequence, 8 * sequence + 8)
        shares = [
            np.bincount(experts[rows].flatten().numpy(), minlength=E) / (8 * K)
            for experts in routing.experts
        ]
        shares = torch.tensor(np.array(shares), dtype=torch.float32)
        own.append(balance_loss(routing.probabilities[:, rows], shares))
    torch.testing.assert_close(sequence_balance_loss(routing, 3), torch.stack(own).mean(0))
    whole = routing.counts() / (N * K)
    torch.testing.assert_close(
        sequence_balance_loss(routing, 1), balance_loss(routing.probabilities, whole)
    )


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


def test_the_bias_balances_skewed_scores_and_stays_centred():
    make = torch.Generator().manual_seed(7)
    tokens = 512
    scores = torch.sigmoid(torch.randn(tokens, E, generator=make) + torch.linspace(-1, 1, E))
    bias = torch.zeros(E)
    violation = []
    for _ in range(2000):
        chosen = (scores + bias).topk(K).indices
        counts = torch.bincount(chosen.flatten(), minlength=E).float()
        violation.append((counts.max() / counts.mean() - 1.0).item())
        bias = moved_bias(bias, counts, 1e-3)
    assert violation[0] > 0.5
    assert max(violation[-50:]) < 0.1
    assert abs(bias.mean().item()) < 1e-5
    assert bias.abs().max() < 2.0


def test_the_bias_moves_by_the_counts_of_the_whole_batch():
    make = torch.Generator().manual_seed(8)
    chosen = torch.randint(0, E, (8, 40), generator=make)
    counts = torch.stack([torch.bincount(row, minlength=E) for row in chosen]).float()
    whole = moved_bias(torch.zeros(E), counts.sum(0), 0.1)
    by_parts = counts.view(4, 2, E).sum(1).sum(0)
    torch.testing.assert_close(moved_bias(torch.zeros(E), by_parts, 0.1), whole)
    assert not torch.equal(moved_bias(torch.zeros(E), counts[0], 0.1), whole)
