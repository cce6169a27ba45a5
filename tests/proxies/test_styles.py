"""Every style as a model that trains: first loss, causality, overfitting, sizes, exact resume."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from mixopt.online.static import Static
from proxies.config import resolve
from proxies.kernels.cross_entropy import token_nats
from proxies.model import forward, initial, shapes, stack
from proxies.pace import bias_step
from proxies.presets import PRESETS
from proxies.styles import STYLES
from proxies.trainer import Member, Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SIZES = {"width": 32, "hidden": 16, "context": 64}
EVERY_STYLE = pytest.mark.parametrize("name", sorted(STYLES))


def config(name, vocabulary, steps=250, sequences=4, sizes=SIZES, **training):
    proxy = {
        "preset": "tiny",
        "style": name,
        "tokens": steps * sequences * sizes.get("context", 128),
        "sizes": sizes,
        "training": {"sequences": sequences, **training},
    }
    return resolve(proxy, vocabulary)


def trainer(settings, data, shares=((0.5, 0.5), (0.9, 0.1)), pools=None):
    members = [
        Member(f"r{index}", index, Static(((1.0, np.array(mixture)),)), pools)
        for index, mixture in enumerate(shares)
    ]
    return Trainer(settings, data, data.names, members, CPU)


def train(own, steps):
    for _ in range(steps):
        own.advance()
    return own


@EVERY_STYLE
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_active_parameters_stay_those_of_the_preset(name, preset):
    sizes, own = PRESETS[preset], STYLES[name].sized(PRESETS[preset])
    assert own.active_parameters() == sizes.active_parameters()
    assert own.active + own.shared == sizes.active + sizes.shared
    counted = sum(torch.Size(shape).numel() for shape in shapes(own, 10, STYLES[name]).values())
    biases = own.layers * own.experts if STYLES[name].router_bias else 0
    assert counted - 10 * own.width - biases == own.parameters()


@EVERY_STYLE
def test_the_first_loss_is_that_of_guessing(name):
    settings = config(name, 2048, sizes={})
    weights = stack([initial(settings, seed) for seed in (0, 1)], CPU)
    tokens = torch.randint(2048, (2, 2, 129), generator=torch.Generator().manual_seed(0))
    output = forward(weights, settings, tokens[..., :-1])
    nats = token_nats(output.hidden, weights["embedding"], tokens[..., 1:].flatten(1))
    assert nats.mean(1).tolist() == pytest.approx([log(2048)] * 2, rel=0.05)
    for routing in output.routing:
        load = routing.counts()
        assert (load.max(-1).values / load.mean(-1) < 2.0).all()


@EVERY_STYLE
def test_the_future_is_not_seen(name):
    settings = config(name, 60)
    weights = stack([initial(settings, 0)], CPU)
    biases = {f"{layer}.moe.selection_bias": torch.linspace(-1, 1, 8)[None] for layer in range(2)}
    tokens = torch.randint(60, (1, 2, 24), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[:, 0, 15] = (changed[:, 0, 15] + 1) % 60
    before, after = (
        forward({**weights, **biases}, settings, own).hidden.view(2, 24, -1)
        for own in (tokens, changed)
    )
    torch.testing.assert_close(after[0, :15], before[0, :15], rtol=0, atol=1e-5)
    assert not torch.allclose(after[0, 15:], before[0, 15:], atol=1e-3)
    torch.testing.assert_close(after[1], before[1], rtol=0, atol=1e-5)


@EVERY_STYLE
def test_overfits_four_windows(toy_data, name):
    settings = config(name, toy_data.vocabulary, learning_rate=1e-2)
    assert settings.steps < 300
    own = trainer(settings, toy_data, [(1.0, 0.0)], {"sea": 4 * 64 + 1, "web": 65})
    train(own, own.steps)
    assert own.train_loss[-1, 0] < 0.05


@EVERY_STYLE
def test_resume_is_bitwise(toy_data, name, tmp_path):
    settings = config(name, toy_data.vocabulary, steps=20, sequences=2)
    whole = train(trainer(settings, toy_data), 20)
    train(trainer(settings, toy_data), 10).save(tmp_path)
    members = trainer(settings, toy_data).members
    again = Trainer.resume(settings, toy_data, toy_data.names, members, CPU, tmp_path)
    train(again, 10)
    for key, tensor in whole._stacked().items():
        assert torch.equal(tensor, again._stacked()[key]), key
    np.testing.assert_array_equal(whole.train_loss, again.train_loss)
    first, second = (own.evaluate("validation", 5) for own in (whole, again))
    assert first[0].metrics == second[0].metrics


def test_a_decay_changes_nothing_before_it_begins(toy_data):
    """So a run with a decay is a branch of the stable one."""
    settings = config("default", toy_data.vocabulary, steps=20, sequences=2, decay=0.2)
    constant = replace(settings, decay=0.0)
    branch, stable = (train(trainer(own, toy_data), 16) for own in (settings, constant))
    for key, tensor in branch._stacked().items():
        assert torch.equal(tensor, stable._stacked()[key]), key
    train(branch, 4)
    train(stable, 4)
    assert not torch.equal(
        branch._stacked()["weight/embedding"], stable._stacked()["weight/embedding"]
    )


def test_evaluation_moves_neither_counts_nor_bias(toy_data):
    own = train(trainer(config("deepseek", toy_data.vocabulary), toy_data), 5)
    assert own._learner.balance.bias.any()
    before = {key: tensor.clone() for key, tensor in own._learner.balance.tensors().items()}
    own.evaluate("validation", 5)
    for key, tensor in own._learner.balance.tensors().items():
        assert torch.equal(tensor, before[key]), key


def test_the_bias_has_neither_gradient_nor_decay(toy_data):
    own = train(trainer(config("deepseek", toy_data.vocabulary), toy_data), 1)
    assert not any("selection_bias" in name for name in own._learner.weights)
    apart = (own._learner.balance.bias.diff(dim=-1)) / bias_step(own.config, 0)
    torch.testing.assert_close(apart, apart.round(), rtol=0, atol=1e-4)  # signs, and nothing else
    assert apart.any()


def test_the_learned_bias_is_trained_and_starts_at_zero(toy_data):
    settings = config("gptoss", toy_data.vocabulary)
    assert not initial(settings, 0)["0.moe.router_bias"].any()
    own = train(trainer(settings, toy_data), 3)
    assert own._learner.weights["0.moe.router_bias"].any()


def test_the_bias_balances_a_model_in_training(toy_data):
    settings = config("deepseek", toy_data.vocabulary, steps=120)
    still = replace(settings, bias_step=0.0)
    found = {}
    for label, own_config in (("moved", settings), ("still", still)):
        own = train(trainer(own_config, toy_data, [(0.5, 0.5)]), 120)
        (score,) = own.evaluate("validation", 20)
        found[label] = score.metrics["router/maxvio"]
    assert found["moved"] < 0.6 * found["still"]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@EVERY_STYLE
def test_cuda_follows_the_cpu(toy_data, name):
    settings = config(name, toy_data.vocabulary, steps=30)
    here = train(trainer(settings, toy_data), 30)
    there = Trainer(settings, toy_data, toy_data.names, trainer(settings, toy_data).members, CUDA)
    train(there, 30)
    np.testing.assert_allclose(there.train_loss, here.train_loss, rtol=0, atol=0.1)
    if STYLES[name].bias_step:
        assert there._learner.balance.bias.any()
