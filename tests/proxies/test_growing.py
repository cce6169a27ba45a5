"""Growing: a trunk gives what whole runs give, cheaper; a stop anywhere loses nothing."""

import numpy as np
import pytest
import torch

from mixopt.online.static import Static
from proxies.config import resolve
from proxies.growing import Growing
from proxies.restarts import Restarts
from proxies.trainer import Member

SMALL = {"width": 16, "hidden": 16, "experts": 4, "context": 32}
CPU = torch.device("cpu")
WAYS = [(0.2, 0.9), (0.2, 0.5), (0.2, 0.2), (0.8, 0.1), (0.8, 0.7)]
"""Shares of `sea` in the first 75 % and in the rest."""


def members(ways=WAYS):
    found = []
    for number, shares in enumerate(ways):
        first, last = (np.array([share, 1.0 - share]) for share in shares)
        controller = Static(((0.75, first), (0.25, last)))
        found.append(Member(f"{number:016x}", 7, controller, {"sea": 900, "web": 4000}))
    return found


@pytest.fixture
def grow(toy_data, tmp_path):
    config = resolve({"preset": "tiny", "tokens": 64 * 16, "sizes": SMALL}, toy_data.vocabulary)

    def make(own, folder="a"):
        restarts = Restarts(tmp_path / folder)
        return Growing(config, toy_data, toy_data.names, own, CPU, restarts)

    return make


def to_the_end(group):
    while group.done < 1.0:
        group.advance()
    return group


def assert_same_bits(one, other):
    tensors = other.trainer._stacked()
    for name, own in one.trainer._stacked().items():
        assert bool((own == tensors[name]).all()), name
    np.testing.assert_array_equal(one.trainer.train_loss, other.trainer.train_loss)


def test_an_heir_learns_what_it_would_alone(grow):
    together = to_the_end(grow(members()))
    assert [own.run_id for own in together.trainer.members] == [one.run_id for one in members()]
    alone = [to_the_end(grow([one], one.run_id)) for one in members()]
    losses = np.concatenate([one.trainer.train_loss for one in alone], axis=1)
    np.testing.assert_allclose(together.trainer.train_loss, losses, atol=1e-4)
    assert np.ptp(losses[-1]) > 0.01  # schedules that end otherwise are other runs
    drawn = np.concatenate([one.trainer.drawn for one in alone])
    np.testing.assert_array_equal(together.trainer.drawn, drawn)


def test_it_trains_a_trunk_once(grow):
    group, widths = grow(members()), []
    while group.done < 1.0:
        widths.append(len(group.trainer.members))
        group.advance()
    steps = group.trainer.steps
    assert widths == [2] * (3 * steps // 4) + [5] * (steps // 4)
    flops = [group.flops(index) for index in range(5)]
    assert sum(flops) == pytest.approx((2 * 0.75 + 5 * 0.25) * group.trainer.config.flops)
    assert flops[0] == pytest.approx((0.75 / 3 + 0.25) * group.trainer.config.flops)


@pytest.mark.parametrize("stop", [0, 5, 12, 13])
def test_it_goes_on_from_any_step(grow, stop):
    whole = to_the_end(grow(members()))
    group = grow(members(), "cut")
    for _ in range(stop):
        group.advance()
    group.save()
    again = grow(members(), "cut")
    assert (again.trainer.step, again.done, again.done_here) == (stop, group.done, 0.0)
    assert_same_bits(to_the_end(again), whole)


def test_a_kill_while_runs_part_leaves_the_trunk(grow, tmp_path, monkeypatch):
    group = grow(members())
    for _ in range(9):
        group.advance()
    group.save()
    written = []

    def torn(self, trainer, heirs):
        trainer.save_as(self._slots[0], *heirs[0])
        written.append(heirs[0][1])
        raise KeyboardInterrupt

    monkeypatch.setattr(Restarts, "branch", torn)
    with pytest.raises(KeyboardInterrupt):
        to_the_end(group)
    monkeypatch.undo()
    again = grow(members())
    assert (written, again.trainer.step) == ([members()[0].run_id], 9)
    whole = to_the_end(grow(members(), "whole"))
    assert_same_bits(to_the_end(again), whole)


def test_an_heir_of_a_dead_trunk_is_dead(grow):
    group = grow(members())
    group.advance()
    group.trainer._learner.optimiser.alive[0] = False
    assert group.alive.tolist() == [False, False, False, True, True]
    to_the_end(group)
    assert group.alive.tolist() == [False, False, False, True, True]
