"""AdamW over stacked proxies: against torch's own, clipping, isolation, schedule and average."""

from dataclasses import replace

import pytest
import torch

from proxies.config import resolve
from proxies.optimiser import Optimiser, gradient_norms
from proxies.pace import learning_rate

CONFIG = resolve({"preset": "tiny", "tokens": 25600}, 60)  # 100 steps
NAMES = {"embedding": (6, 4), "0.moe.in": (3, 4, 2), "norm": (4,)}


def tensors(proxies, seed):
    make = torch.Generator().manual_seed(seed)
    return {name: torch.randn(proxies, *shape, generator=make) for name, shape in NAMES.items()}


def test_each_proxy_follows_torchs_adamw_with_its_own_clipping():
    weights = tensors(3, 0)
    ours = Optimiser(weights, CONFIG)
    start = {name: weight.clone() for name, weight in weights.items()}
    steps = [{n: g * (1 + 9 * (p == 1)) for n, g in tensors(3, 1 + p).items()} for p in range(4)]
    for gradients in steps:
        ours.update({name: one.clone() for name, one in gradients.items()}, torch.ones(3))
    for p in range(3):
        own = {name: weight[p].clone().requires_grad_() for name, weight in start.items()}
        theirs = torch.optim.AdamW(
            [
                {"params": [own["embedding"], own["0.moe.in"]]},
                {"params": [own["norm"]], "weight_decay": 0.0},
            ],
            betas=(0.9, CONFIG.beta2),
            weight_decay=CONFIG.weight_decay,
        )
        for step, gradients in enumerate(steps):
            for name, parameter in own.items():
                parameter.grad = gradients[name][p].clone()
            torch.nn.utils.clip_grad_norm_(list(own.values()), CONFIG.clip)
            for group in theirs.param_groups:
                group["lr"] = learning_rate(CONFIG, step)
            theirs.step()
        for name, parameter in own.items():
            torch.testing.assert_close(ours.weights[name][p], parameter.detach())


def test_gradient_norms_are_of_each_proxy():
    gradients = tensors(2, 0)
    expected = [
        torch.cat([one[p].flatten() for one in gradients.values()]).norm() for p in range(2)
    ]
    torch.testing.assert_close(gradient_norms(gradients), torch.stack(expected))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["gradient", "loss"])
def test_a_dead_proxy_stops_and_its_neighbours_keep_their_bits(bad, place):
    runs = []
    for sick in (False, True):
        ours = Optimiser(tensors(3, 0), CONFIG)
        for step in range(5):
            gradients, losses = tensors(3, 1 + step), torch.ones(3)
            if sick and step == 2:
                target = gradients["norm"][1] if place == "gradient" else losses[1:2]
                target[0] = bad
            ours.update(gradients, losses)
            if step == 1:
                frozen = {name: weight[1].clone() for name, weight in ours.weights.items()}
        runs.append(ours)
    clean, sick = runs
    assert sick.alive.tolist() == [True, False, True]
    assert clean.alive.all()
    for kind in ("weights", "first", "second", "average"):
        for name, tensor in getattr(sick, kind).items():
            assert torch.equal(tensor[::2], getattr(clean, kind)[name][::2])
            assert torch.isfinite(tensor).all()
    for name, weight in frozen.items():
        assert torch.equal(sick.weights[name][1], weight)


def test_the_rate_rises_stays_and_falls():
    config = replace(CONFIG, learning_rate=2.0, warmup_steps=10, decay=0.2)
    rates = [learning_rate(config, step) for step in range(config.steps)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9:81] == [2.0] * 72
    assert rates[90] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1)
    assert learning_rate(config, config.steps) == 0.0


def test_the_rate_is_constant_without_warm_up_and_decay():
    config = replace(CONFIG, warmup_steps=0, decay=0.0)
    assert {learning_rate(config, step) for step in range(config.steps)} == {config.learning_rate}


def test_the_average_weighs_step_t_by_a_power_of_t():
    config = replace(CONFIG, average=3.0)
    ours = Optimiser(tensors(1, 0), config)
    path = []
    for step in range(400):
        ours.update(tensors(1, step), torch.ones(1))
        path.append(ours.weights["norm"].clone())
    powers = torch.arange(1.0, 401.0) ** 3
    expected = (torch.stack(path) * (powers / powers.sum()).view(-1, 1, 1)).sum(0)
    torch.testing.assert_close(ours.average["norm"], expected, rtol=0.02, atol=0.01)


def test_a_huge_power_keeps_the_last_weights():
    ours = Optimiser(tensors(1, 0), replace(CONFIG, average=1e9))
    for step in range(3):
        ours.update(tensors(1, step), torch.ones(1))
    for name, average in ours.average.items():
        assert torch.equal(average, ours.weights[name])
