"""The training loop: it learns, members are independent, and it goes on exactly after a stop."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from mixopt.errors import DataError
from mixopt.online.base import Controller
from mixopt.online.static import Static
from proxies import checkpoint
from proxies.config import resolve
from proxies.data import Data
from proxies.plateau import unigram_bpb
from proxies.trainer import Member, Trainer

CPU = torch.device("cpu")
SIZES = {"width": 32, "hidden": 16, "experts": 4, "context": 32}
MIXTURES = {"a": (0.5, 0.5), "b": (0.9, 0.1), "c": (0.0, 1.0), "d": (0.3, 0.7)}


@pytest.fixture(scope="module")
def config(toy_data):
    return resolve({"preset": "tiny", "tokens": 64 * 40, "sizes": SIZES}, toy_data.vocabulary)


def member(name, mixture=None):
    shares = np.array(mixture or MIXTURES[name])
    return Member(name, 10 + ord(name), Static(((1.0, shares),)), {"sea": 900, "web": 4000})


def trainer(config, data, names):
    return Trainer(config, data, data.names, [member(name) for name in names], CPU)


def train(own, steps):
    for _ in range(steps):
        own.advance()
    return own


def assert_same_bits(one, other, rows=slice(None)):
    """Two trainers hold the same tensors for the members `rows`."""
    for name, tensor in one._stacked().items():
        assert torch.equal(tensor[rows], other._stacked()[name][rows]), name
    np.testing.assert_array_equal(one.train_loss[:, rows], other.train_loss[:, rows])


def test_it_learns_more_than_byte_frequencies(toy_data):
    proxy = {"preset": "tiny", "tokens": 64 * 300, "sizes": SIZES}
    own = trainer(resolve(proxy, toy_data.vocabulary), toy_data, ["a"])
    train(own, own.steps)
    assert own.train_loss[-20:].mean() < 0.6 * own.train_loss[:5].mean()
    (found,) = own.evaluate("validation", 20)
    (levels,) = unigram_bpb(toy_data, toy_data.names, np.array([[0.5, 0.5]]), 32, 20)
    for name, level in zip(toy_data.evaluation_names, levels):
        assert found.metrics[f"bpb/{name}"] < 0.8 * level


def test_a_member_learns_the_same_alone_and_in_a_swarm(config, toy_data):
    together = train(trainer(config, toy_data, "abcd"), 30)
    found = together.evaluate("validation", 10)
    for index, name in enumerate("abcd"):
        alone = train(trainer(config, toy_data, [name]), 30)
        difference = together.train_loss[:, index] - alone.train_loss[:, 0]
        assert np.abs(difference).max() < 1e-4
        (own,) = alone.evaluate("validation", 10)
        assert found[index].metrics == pytest.approx(own.metrics, abs=1e-4)
    assert together.train_loss[-1].max() < together.train_loss[0].min() - 1.0  # it was learning


def test_the_same_seed_gives_the_same_curve(config, toy_data):
    assert_same_bits(*(train(trainer(config, toy_data, "ab"), 5) for _ in range(2)))


def test_one_block_shares_first_weights_and_text_across_mixtures(config, toy_data):
    pair = [replace(member("a"), run_id=name) for name in ("x", "y")]
    pair[1] = replace(pair[1], controller=Static(((1.0, np.array([0.5, 0.5])),)))
    own = train(Trainer(config, toy_data, toy_data.names, pair, CPU), 3)
    np.testing.assert_allclose(own.train_loss[:, 0], own.train_loss[:, 1], rtol=0, atol=1e-5)


def test_a_diverged_member_leaves_its_neighbours_bit_identical(config, toy_data):
    clean, sick = (train(trainer(config, toy_data, "abc"), 3) for _ in range(2))
    with torch.no_grad():
        sick._learner.weights["0.moe.router"][1, 0, 0] = torch.nan
    train(clean, 5)
    train(sick, 5)
    assert clean.alive.all()
    assert sick.alive.tolist() == [True, False, True]
    assert_same_bits(clean, sick, [0, 2])
    found = sick.evaluate("validation", 5)
    assert found[1] is None
    assert [found[i].metrics == clean.evaluate("validation", 5)[i].metrics for i in (0, 2)]


def test_resume_is_bitwise(config, toy_data, tmp_path):
    whole = train(trainer(config, toy_data, "ab"), 20)
    train(trainer(config, toy_data, "ab"), 10).save(tmp_path)
    again = resume(config, toy_data, "ab", tmp_path)
    assert again.step == 10
    train(again, 10)
    assert_same_bits(whole, again)
    assert whole.evaluate("validation", 5)[0].metrics == again.evaluate("validation", 5)[0].metrics


def test_members_go_on_in_another_grouping(config, toy_data, tmp_path):
    whole = train(trainer(config, toy_data, "abcd"), 20)
    for group in ("ab", "cd"):
        train(trainer(config, toy_data, group), 10).save(tmp_path)
    for group in ("da", "bc"):
        again = train(resume(config, toy_data, group, tmp_path), 10)
        rows = ["abcd".index(name) for name in group]
        difference = again.train_loss - whole.train_loss[:, rows]
        assert np.abs(difference).max() < 1e-4
        np.testing.assert_array_equal(again.drawn, whole.drawn[rows])


def test_a_diverged_member_stays_so_after_a_resume(config, toy_data, tmp_path):
    sick = train(trainer(config, toy_data, "ab"), 2)
    with torch.no_grad():
        sick._learner.weights["norm"][0, 0] = torch.inf
    train(sick, 1).save(tmp_path)
    again = train(resume(config, toy_data, "ab", tmp_path), 1)
    assert again.alive.tolist() == [False, True]


def resume(config, data, names, folder):
    members = [member(name) for name in names]
    return Trainer.resume(config, data, data.names, members, CPU, folder)


def test_a_foreign_checkpoint_is_refused(config, toy_data, tmp_path):
    train(trainer(config, toy_data, "ab"), 1).save(tmp_path)
    other = replace(config, learning_rate=1e-4)
    with pytest.raises(DataError, match="run a has config"):
        resume(other, toy_data, "ab", tmp_path)
    train(resume(config, toy_data, "b", tmp_path), 1).save(tmp_path)
    with pytest.raises(DataError, match="run b has step 2, expected 1"):
        resume(config, toy_data, "ab", tmp_path)
    wrong = replace(member("a"), seed=0)
    with pytest.raises(DataError, match="run a has seed"):
        Trainer.resume(config, toy_data, toy_data.names, [wrong], CPU, tmp_path)
    with pytest.raises(DataError, match="not a checkpoint"):
        resume(config, toy_data, "c", tmp_path)
    assert checkpoint.read_state(tmp_path, "b")["step"] == 2


def test_a_corpus_of_another_vocabulary_is_refused(config, toy_data):
    with pytest.raises(DataError, match="the corpus has 257"):
        Trainer(replace(config, vocabulary=99), toy_data, toy_data.names, [member("a")], CPU)


@dataclass
class Recorder(Controller):
    """Alternates between two mixtures and keeps what it was told."""

    every: int = 3

    def __post_init__(self):
        self.seen = []

    def weights(self):
        return np.array([1.0, 0.0]) if len(self.seen) % 2 == 0 else np.array([0.0, 1.0])

    def observe(self, feedback):
        self.seen.append(feedback)

    def state(self):
        return {"seen": len(self.seen)}

    def restore(self, state):
        self.seen = [None] * state["seen"]
        return self


def recorded(config, data, controller):
    return Trainer(config, data, data.names, [member("b"), Member("r", 1, controller)], CPU)


def test_a_controller_moves_the_mixture_and_hears_the_losses(config, toy_data):
    controller = Recorder()
    own = train(recorded(config, toy_data, controller), 7)
    first, second = controller.seen
    assert (first.step, second.step, first.steps) == (3, 6, config.steps)
    assert first.drawn.tolist() == [3 * config.step_tokens, 0]
    assert second.drawn.tolist() == [3 * config.step_tokens] * 2
    assert np.isnan(first.train_loss[1])
    assert np.isnan(second.train_loss[0])
    assert first.train_loss[0] == pytest.approx(own.train_loss[:3, 1].mean(), rel=1e-5)
    assert second.train_loss[1] == pytest.approx(own.train_loss[3:6, 1].mean(), rel=1e-5)


def test_a_controller_is_resumed_between_two_feedbacks(config, toy_data, tmp_path):
    whole = Recorder()
    train(recorded(config, toy_data, whole), 8)
    train(recorded(config, toy_data, Recorder()), 4).save(tmp_path)
    again = Recorder()
    members = [member("b"), Member("r", 1, again)]
    own = Trainer.resume(config, toy_data, toy_data.names, members, CPU, tmp_path)
    train(own, 4)
    assert again.seen[1].train_loss[1] == whole.seen[1].train_loss[1]
    assert again.seen[1].drawn.tolist() == whole.seen[1].drawn.tolist()


def test_a_controller_that_needs_more_is_refused(config, toy_data):
    class Greedy(Recorder):
        needs = frozenset({"hessian"})

    with pytest.raises(DataError, match="needs \\['hessian'\\]"):
        recorded(config, toy_data, Greedy())


def test_a_schedule_changes_the_mixture_on_the_way(config, toy_data):
    schedule = ((0.5, np.array([1.0, 0.0])), (0.5, np.array([0.0, 1.0])))
    own = Trainer(config, toy_data, toy_data.names, [Member("s", 1, Static(schedule))], CPU)
    train(own, config.steps)
    np.testing.assert_array_equal(own.drawn, [[config.steps, config.steps]])  # 2 sequences a step


def test_overfits_a_few_windows(toy_data):
    proxy = {"preset": "tiny", "tokens": 64 * 250, "sizes": SIZES, "training": {"weight_decay": 0}}
    settings = resolve(proxy, toy_data.vocabulary)
    few = Member("o", 1, Static(((1.0, np.array([1.0, 0.0])),)), {"sea": 2 * 32 + 1, "web": 65})
    own = Trainer(settings, toy_data, toy_data.names, [few], CPU)
    train(own, own.steps)
    assert own.train_loss[-1, 0] < 0.05


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_follows_the_cpu(config, toy_data: Data):
    members = [member(name) for name in "ab"]
    there = Trainer(config, toy_data, toy_data.names, members, torch.device("cuda"))
    here = trainer(config, toy_data, "ab")
    train(there, 30)
    train(here, 30)
    np.testing.assert_allclose(there.train_loss, here.train_loss, rtol=0, atol=0.05)
