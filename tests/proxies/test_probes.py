"""Evidence of controllers: it is what it says, costs what it says, and leaves the member alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mixopt.errors import DataError
from mixopt.online import make_controller
from mixopt.online.budget import Budget
from mixopt.online.static import Static
from proxies.config import resolve
from proxies.evidence_cost import look_flops
from proxies.probes import curvature, forked, influence
from proxies.trainer import Member, Trainer

CPU = torch.device("cpu")
SIZES = {"width": 32, "hidden": 16, "experts": 4, "context": 32}
COSTLY = {
    "skillit": {"every": 6, "steps": 2},
    "aioli": {"refresh": 6, "steps": 1, "rounds": 2},
    "doge": {"every": 5},
    "rb": {"every": 5},
    "tikmix": {"every": 6, "form": "regression", "runs": 4, "steps": 1},
    "doremi": {"every": 3},
}


@pytest.fixture(scope="module")
def config(toy_data):
    return resolve({"preset": "tiny", "tokens": 64 * 40, "sizes": SIZES}, toy_data.vocabulary)


def controlled(name, data, settings=None):
    budget = Budget.of(data.names)
    given = COSTLY.get(name, {}) if settings is None else settings
    controller = make_controller(name, {"budget": budget, **given})
    return Member(name, 3, controller, reference=dict.fromkeys(data.names, 4.0))


def static(seed=4):
    return Member("static", seed, Static(((1.0, np.array([0.5, 0.5])),)))


def trainer(config, data, members, steps=0):
    own = Trainer(config, data, data.names, members, CPU)
    for _ in range(steps):
        own.advance()
    return own


def assert_same_bits(one, other, row=0):
    for name, tensor in one._stacked().items():
        if name != "since":  # what is told to a controller waits for its turn
            assert torch.equal(tensor[row], other._stacked()[name][row]), name


@pytest.mark.parametrize("name", COSTLY)
def test_every_costly_controller_trains_and_moves(config, toy_data, name):
    own = trainer(config, toy_data, [controlled(name, toy_data)], 20)
    moved = [line["shares"]["sea"] for line in own.trail(0).lines()]
    assert np.abs(np.array(moved) - 0.5).max() > 1e-6
    assert (own.evidence_flops[0] > 0) == (name != "doremi")
    assert own.trail(0).mean() == pytest.approx(dict(zip(toy_data.names, (moved_mean(own)))))


def moved_mean(own):
    lines, done, total = own.trail(0).lines(), 0, np.zeros(2)
    for line in lines:
        total += (line["step"] - done) * np.array(list(line["shares"].values()))
        done = line["step"]
    return total / done


@pytest.mark.parametrize("name", ["aioli", "tikmix", "doge"])
def test_measuring_leaves_the_member_and_its_neighbours_alone(config, toy_data, name):
    """A controller that is held at equal shares trains what `Static` does, to the bit."""
    held = controlled(
        name, toy_data, {**COSTLY[name]} | ({"rate": 0.0} if name != "tikmix" else {})
    )
    if name == "tikmix":
        held.controller._learn = lambda feedback: None
    member = static(3)
    one = trainer(config, toy_data, [held, static()], 13)
    other = trainer(config, toy_data, [member, static()], 13)
    assert one.evidence_flops[0] > 0
    assert_same_bits(one, other)
    assert_same_bits(one, other, 1)


@pytest.mark.parametrize("name", ["aioli", "skillit", "tikmix", "rb"])
def test_evidence_resumes_to_the_bit(config, toy_data, name, tmp_path):
    whole = trainer(config, toy_data, [controlled(name, toy_data)], 20)
    trainer(config, toy_data, [controlled(name, toy_data)], 8).save(tmp_path)
    check_resumed(config, toy_data, lambda: controlled(name, toy_data), whole, 12, tmp_path)


@pytest.mark.parametrize("stop", [3, 4, 7, 10, 11])
def test_aioli_resumes_in_the_middle_of_its_learning_phase(config, toy_data, stop, tmp_path):
    settings = {"learning": "run", "steps": 2, "rounds": 2, "refresh": 6}

    def make():
        return controlled("aioli", toy_data, settings)

    whole = trainer(config, toy_data, [make()], 20)
    trainer(config, toy_data, [make()], stop).save(tmp_path)
    check_resumed(config, toy_data, make, whole, 20 - stop, tmp_path)


def check_resumed(config, data, make, whole, steps, folder):
    again = Trainer.resume(config, data, data.names, [make()], CPU, folder)
    for _ in range(steps):
        again.advance()
    assert_same_bits(whole, again)
    assert whole.trail(0).lines() == again.trail(0).lines()
    assert whole.evidence_flops == again.evidence_flops
    np.testing.assert_array_equal(whole.drawn, again.drawn)


def test_a_fork_is_a_run_under_that_mixture(config, toy_data):
    """Forks end where runs of the same seed end that change to the mixture at that step."""
    rows, steps = np.array([[0.9, 0.1], [0.2, 0.8]]), 5
    own = trainer(config, toy_data, [static()], 10)
    losses = own._probes.fork_losses(rows, steps, own._learner, own._stream, 0)
    for row, found in zip(rows, losses, strict=True):
        turn = 10 / config.steps
        schedule = ((turn, np.array([0.5, 0.5])), (1.0 - turn, row))
        changed = trainer(config, toy_data, [replace(static(), controller=Static(schedule))], 15)
        weights = changed._learner.optimiser.weights
        (expected,) = own._probes.held_out_loss(weights)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(losses[0] - losses[1]).max() > 1e-3


def test_gradients_by_domain_are_those_of_one_domain_at_a_time(config, toy_data):
    own = trainer(config, toy_data, [static(), static(9)], 5)
    probes, learner, text = own._probes, own._learner, own._stream
    together = probes.domain_gradients(learner, text, 1)
    batches = np.stack([text.examples(1, j, 3, np.random.default_rng(j)) for j in range(2)])
    stacked = probes._gradients(learner, 1, batches)
    for j in range(2):
        alone = probes._gradients(learner, 1, batches[j : j + 1])
        torch.testing.assert_close(stacked[j : j + 1], alone, rtol=1e-3, atol=1e-6)
    assert together.shape == stacked.shape
    cosine = torch.nn.functional.cosine_similarity(stacked[0], stacked[1], dim=0)
    assert cosine < 0.9  # the domains have little in common


def test_influence_is_what_a_small_step_does_to_the_loss(config, toy_data):
    own = trainer(config, toy_data, [static()], 8)
    probes, learner = own._probes, own._learner
    targets = probes.target_gradients(learner, 0)
    inverse = curvature(learner, 0)
    promised = influence(targets, targets, inverse)
    context = config.sizes.context
    questions = toy_data.evaluation("validation", context, 4)
    size = 3e-3 / promised.max()
    for j in range(2):
        ahead, back = (forked(learner, 0, 1, CPU) for _ in range(2))
        _move(ahead, size * inverse * targets[j])
        _move(back, -size * inverse * targets[j])
        gap = _losses(back, config, questions) - _losses(ahead, config, questions)
        change = gap / (2 * size)
        np.testing.assert_allclose(change, promised[:, j], rtol=0.05, atol=0.04 * promised.max())


def _losses(learner, config, questions):
    from proxies.kernels.cross_entropy import token_nats
    from proxies.model import forward

    tokens = torch.from_numpy(questions.tokens)[None]
    weights = learner.optimiser.weights
    output = forward(weights, config, tokens[..., :-1])
    nats = token_nats(output.hidden, weights["embedding"], tokens[..., 1:].flatten(1))[0]
    by_window = nats.unflatten(0, (len(questions.tokens), -1)).mean(1).numpy()
    return np.array([by_window[questions.domain == i].mean() for i in range(2)])


def _move(learner, change):
    start = 0
    for name in learner.weights:
        weight = learner.optimiser.weights[name]
        size = weight[0].numel()
        weight[0] -= change[start : start + size].view_as(weight[0])
        start += size


def test_costs_are_counted(config, toy_data):
    """Forks cost what training them costs, and their evaluation."""
    own = trainer(config, toy_data, [controlled("aioli", toy_data)], 6)
    forks = 2 * 2 * config.step_tokens * config.sizes.flops_per_token(config.vocabulary)
    evaluations = 3 * look_flops(config, frozenset({"eval_loss"}), None, 2, 2)
    assert own.evidence_flops[0] == pytest.approx(forks + evaluations)


def test_caps_hold_in_sequences(config, toy_data):
    """What is drawn stays within two sequences of what the budget allows."""
    run = float(config.steps * config.step_tokens)
    budget = Budget.of(toy_data.names, tokens={"sea": 0.05 * run}, run_tokens=run)
    controller = make_controller("odm", {"budget": budget})
    own = trainer(config, toy_data, [Member("o", 3, controller)], config.steps)
    drawn = own.drawn[0] * config.sizes.context
    sea = toy_data.names.index("sea")
    assert drawn[sea] <= budget.allowed[sea] + 2 * config.sizes.context
    assert drawn[sea] >= 0.5 * budget.allowed[sea]


def test_a_reference_that_is_missing_is_refused(config, toy_data):
    member = replace(controlled("doremi", toy_data), reference=None)
    with pytest.raises(DataError, match="losses of a reference run"):
        trainer(config, toy_data, [member])
