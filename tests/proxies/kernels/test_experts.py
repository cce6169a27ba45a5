"""The experts as an operator: it traces, and fixed slots give the same until one overflows."""

import pytest
import torch

from proxies.kernels.experts import routed_experts
from proxies.kernels.layout import overflow, padded_layout, slots_for, sorted_layout
from proxies.router import route

P, N, D, F, E, K = 2, 24, 16, 8, 4, 2


@pytest.fixture
def parts():
    """x, gates, experts, w_in and w_out."""
    make = torch.Generator().manual_seed(0)
    shapes = [(P, N, D), (P, D, E), (P, E, D, 2 * F), (P, E, F, D)]
    x, router, w_in, w_out = (torch.randn(s, generator=make) / s[-2] ** 0.5 for s in shapes)
    routing = route(x, router, K)
    return [x, routing.gates.detach(), routing.experts, w_in, w_out]


def gradients(parts, slots):
    x, gates, experts, w_in, w_out = parts
    leaves = [one.clone().requires_grad_() for one in (x, gates, w_in, w_out)]
    out = routed_experts(leaves[0], leaves[1], experts, leaves[2], leaves[3], slots)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    return [out.detach(), *torch.autograd.grad((out * probe).sum(), leaves)]


@pytest.mark.parametrize("slots", [-1, 16])
def test_the_operator_keeps_torchs_contract(parts, slots):
    leaves = [one.requires_grad_(one.is_floating_point()) for one in parts]
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.mixopt.experts, (*leaves, slots), test_utils=checks)


def test_it_is_traced_whole(parts):
    traced = torch.compile(routed_experts, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(traced(*parts), routed_experts(*parts))


def test_slots_for_all_change_nothing(parts):
    for own, reference in zip(gradients(parts, N), gradients(parts, None), strict=True):
        torch.testing.assert_close(own, reference)


def test_rows_without_a_slot_add_nothing_and_are_counted(parts):
    x, gates, experts, w_in, w_out = parts
    counts = torch.zeros(P, E).scatter_add_(1, experts.flatten(1), torch.ones(P, N * K))
    slots = 8
    left_out = padded_layout(experts, E, slots).place.view(P, N, K) == P * E * slots
    assert left_out.any()
    assert torch.equal(left_out.sum((1, 2)).float(), overflow(counts, slots))
    closed = torch.where(left_out, 0.0, gates)
    wanted = gradients([x, closed, experts, w_in, w_out], None)
    found = gradients(parts, slots)
    for index in (0, 1, 3, 4):
        torch.testing.assert_close(found[index], wanted[index])
    assert not found[2][left_out].any()


def test_earlier_tokens_have_the_slots():
    experts = torch.zeros(1, 12, 1, dtype=torch.int64)
    layout = padded_layout(experts, 2, 8)
    assert layout.assignment.tolist() == [*range(8), *[12] * 8]
    assert layout.place.tolist() == [*range(8), *[16] * 4]


def test_the_sorted_layout_holds_every_row_once(parts):
    layout = sorted_layout(parts[2], E)
    assert sorted(layout.assignment.tolist()) == list(range(P * N * K))
    assert torch.equal(layout.assignment[layout.place], torch.arange(P * N * K))
    assert layout.ends[-1] == P * N * K


def test_slots_are_whole_tiles_and_at_most_one_a_token():
    assert slots_for(100, 2, 8, 2.0) == 56
    assert slots_for(100, 8, 8, 2.0) == 104
