"""The model of P proxies: initial weights, causality, parameter counts, independence of members."""

from dataclasses import replace
from math import log

import pytest
import torch

from proxies.config import resolve
from proxies.kernels.cross_entropy import token_nats
from proxies.kernels.norm import norm
from proxies.kernels.rope import rotate, rotation
from proxies.model import forward, initial, shapes, stack
from proxies.presets import PRESETS

CPU = torch.device("cpu")
CONFIG = resolve(
    {"preset": "tiny", "tokens": 1000, "sizes": {"width": 32, "hidden": 16, "context": 24}}, 60
)


def swarm(seeds, config=CONFIG):
    return stack([initial(config, seed) for seed in seeds], CPU)


def batch(proxies, sequences=2, length=24):
    make = torch.Generator().manual_seed(1)
    return torch.randint(60, (proxies, sequences, length), generator=make)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_counted_parameters_agree_with_the_formula(name):
    sizes = PRESETS[name]
    own = shapes(sizes, 100)
    counted = sum(torch.Size(shape).numel() for shape in own.values())
    assert counted - 100 * sizes.width == sizes.parameters()
    fewer = replace(sizes, experts=sizes.active)  # then every expert is active
    unused = sizes.layers * sizes.width * (sizes.experts - sizes.active)  # of the router
    assert sizes.active_parameters() == fewer.parameters() + unused


def test_initial_weights_depend_on_seed_and_name_alone():
    first, again, other = initial(CONFIG, 1), initial(CONFIG, 1), initial(CONFIG, 2)
    more = replace(CONFIG, sizes=replace(CONFIG.sizes, experts=16))
    for name, weight in initial(more, 1).items():
        assert torch.equal(first[name], again[name])
        if not name.rpartition(".")[2].startswith(("router", "in", "out")) or "attention" in name:
            assert torch.equal(weight, first[name])
    assert not torch.equal(first["embedding"], other["embedding"])
    assert not torch.equal(first["0.attention.qkv"], first["1.attention.qkv"])
    assert not torch.equal(first["0.moe.in"][0], first["0.moe.in"][1])


def test_first_loss_is_that_of_guessing():
    config = resolve({"preset": "tiny", "tokens": 1000}, 2048)
    weights = swarm([0, 1], config)
    tokens = torch.randint(2048, (2, 2, 129), generator=torch.Generator().manual_seed(0))
    output = forward(weights, config, tokens[..., :-1])
    nats = token_nats(output.hidden, weights["embedding"], tokens[..., 1:].flatten(1))
    assert nats.mean(1).tolist() == pytest.approx([log(2048)] * 2, rel=0.05)
    for routing in output.routing:
        load = routing.counts()
        assert (load.max(-1).values / load.mean(-1) < 2.0).all()


def test_the_future_is_not_seen():
    weights, tokens = swarm([0]), batch(1)
    changed = tokens.clone()
    changed[:, 0, 15] = (changed[:, 0, 15] + 1) % 60
    before = forward(weights, CONFIG, tokens).hidden.view(2, 24, -1)
    after = forward(weights, CONFIG, changed).hidden.view(2, 24, -1)
    torch.testing.assert_close(after[0, :15], before[0, :15], rtol=0, atol=1e-5)
    assert not torch.allclose(after[0, 15:], before[0, 15:], atol=1e-3)
    torch.testing.assert_close(after[1], before[1], rtol=0, atol=1e-5)  # another sequence


def test_members_are_the_same_alone_and_together():
    tokens = batch(3)
    together = forward(swarm([4, 5, 6]), CONFIG, tokens).hidden
    for index, seed in enumerate([4, 5, 6]):
        alone = forward(swarm([seed]), CONFIG, tokens[index : index + 1]).hidden
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=1e-5)


def test_attention_depends_on_distance_not_on_place():
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    both = torch.stack([query, key]).expand(12, 2, 8)  # at each of 12 places
    queries, keys = rotate(both, rotation(12, 8, CPU)).unbind(1)
    products = [queries[place + 3] @ keys[place] for place in range(8)]
    assert [p.item() for p in products] == pytest.approx([products[0].item()] * 8, abs=1e-4)
    assert products[0].item() != pytest.approx((query @ key).item(), abs=1e-3)


def test_norm_has_rms_of_its_gain():
    x = 7.0 * torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    gain = torch.tensor([[2.0], [3.0]]).expand(2, 16)
    found = norm(x, gain).square().mean(-1).sqrt()
    torch.testing.assert_close(found, gain[:, :5], rtol=1e-4, atol=1e-5)


def test_norm_gradients():
    make = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, generator=make, dtype=torch.float64, requires_grad=True)
    gain = torch.randn(2, 4, generator=make, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(norm, (x, gain))


@pytest.mark.parametrize("shared", [0, 2])
def test_shared_experts_may_be_none_or_several(shared):
    config = replace(CONFIG, sizes=replace(CONFIG.sizes, shared=shared))
    output = forward(swarm([0], config), config, batch(1))
    assert torch.isfinite(output.hidden).all()
