"""Balance over training: averaged counts, the bias of a step, and what ends in a checkpoint."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from proxies.balance import Balance
from proxies.config import resolve
from proxies.pace import bias_step, pace
from proxies.router import Routing, balance_loss, z_loss
from proxies.styles import STYLES

CPU = torch.device("cpu")
P, N, E, K, LAYERS = 2, 12, 8, 2, 2


def config(style, **training):
    proxy = {"preset": "tiny", "style": style, "tokens": 256 * 2000, "training": training}
    return resolve(proxy, 300)


START = pace(config("deepseek"), 0)  # the only one whose bias moves


def routings(seed):
    make = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(LAYERS):
        logits = torch.randn(P, N, E, generator=make)
        probabilities = torch.softmax(logits, dim=-1)
        kept = probabilities.topk(K)
        found.append(Routing(logits, probabilities, kept.values, kept.indices))
    return found


def shares_of(layers):
    return torch.stack([layer.counts() / (N * K) for layer in layers])


def test_the_loss_is_the_mean_over_layers_of_its_closed_forms():
    layers = routings(0)
    balance = Balance(config("default"), P, CPU)
    expected = torch.stack(
        [
            1e-2 * balance_loss(layer.probabilities, shares) + 1e-3 * z_loss(layer.logits)
            for layer, shares in zip(layers, shares_of(layers), strict=True)
        ]
    ).mean(0)
    torch.testing.assert_close(balance.loss(layers, 2, START), expected)
    coarse = Balance(config("default", z_loss=0.0), P, CPU).loss(layers, 2, START)
    torch.testing.assert_close(
        expected - coarse, 1e-3 * torch.stack([z_loss(layer.logits) for layer in layers]).mean(0)
    )
    nothing = Balance(config("deepseek"), P, CPU).loss(layers, 2, START)
    assert nothing.tolist() == [0.0] * P
    within = Balance(config("deepseek", sequence_balance=1e-4), P, CPU).loss(layers, 2, START)
    assert (within > 1e-4).all()  # at least 1 at balance, and 6 tokens are not balanced


def test_shares_are_those_of_the_last_steps():
    settings = config("default", count_smoothing=4)
    balance = Balance(settings, P, CPU)
    first, second = routings(0), routings(1)
    balance.loss(first, 2, START)
    torch.testing.assert_close(balance.shares, shares_of(first))
    balance.loss(second, 2, pace(settings, 1))
    torch.testing.assert_close(balance.shares, (shares_of(first) + shares_of(second)) / 2)
    for step in range(2, 60):
        balance.loss(second, 2, pace(settings, step))
    torch.testing.assert_close(balance.shares, shares_of(second), rtol=0, atol=1e-5)


def test_only_styles_with_a_bias_move_it():
    for name in STYLES:
        balance = Balance(config(name), P, CPU)
        balance.loss(routings(0), 2, START)
        assert not balance.bias.any()
        balance.update(START)
        assert balance.bias.any() == (name == "deepseek")
        assert len(balance.biases(balance.bias)) == (LAYERS if name == "deepseek" else 0)


def test_the_bias_rises_where_tokens_are_few_and_its_average_follows():
    balance, layers = Balance(config("deepseek"), P, CPU), routings(0)
    for step in range(20):
        now = pace(balance.config, step)
        balance.loss(layers, 2, now)
        balance.update(now)
    below = shares_of(layers) < 1 / E
    above = shares_of(layers) > 1 / E
    assert balance.bias[below].min() > balance.bias[above].max()
    torch.testing.assert_close(balance.bias.mean(-1), torch.zeros(LAYERS, P), rtol=0, atol=1e-7)
    between = balance.average / balance.bias
    assert ((0.5 < between) & (between < 1.0))[balance.bias != 0].all()


def test_short_runs_take_larger_steps_that_fall_at_the_end():
    long, short = config("deepseek"), replace(config("deepseek"), tokens=256 * 500)
    assert (long.steps, short.steps) == (2000, 500)
    assert {bias_step(long, step) for step in (0, 1000, 1999)} == {1e-3}
    sizes = [bias_step(short, step) for step in range(500)]
    assert sizes[:401] == [pytest.approx(5e-3)] * 401
    assert (np.diff(sizes[400:]) < 0).all()
    assert sizes[-1] == pytest.approx(1e-3, rel=0.05)


def test_the_state_is_written_through_views():
    balance = Balance(config("deepseek"), P, CPU)
    for name, tensor in balance.tensors().items():
        assert tensor.shape == (P, LAYERS, E), name
        tensor[1] = 3.0
    for own in (balance.shares, balance.bias, balance.average):
        assert (own[:, 1] == 3.0).all()
        assert not own[:, 0].any()
