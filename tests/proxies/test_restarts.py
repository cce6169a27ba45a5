"""Restarts: a group has one complete step at any moment, even when it is saved and dies within."""

import numpy as np
import pytest
import torch

from mixopt.errors import DataError
from mixopt.online.static import Static
from proxies.config import resolve
from proxies.restarts import Restarts
from proxies.trainer import Member, Trainer

NAMES = ("sea", "web")
SIZES = {"layers": 1, "width": 16, "heads": 2, "experts": 4, "hidden": 16, "context": 32}


@pytest.fixture
def trainer(toy_data):
    config = resolve({"preset": "tiny", "tokens": 4096, "sizes": SIZES}, toy_data.vocabulary)
    members = [Member(name, 1, Static(((1.0, np.array([0.5, 0.5])),))) for name in "abc"]
    return Trainer(config, toy_data, NAMES, members, torch.device("cpu"))


@pytest.fixture
def restarts(tmp_path):
    return Restarts(tmp_path)


def advance(trainer, steps):
    for _ in range(steps):
        trainer.advance()


def test_nothing_saved_is_the_beginning(restarts):
    assert restarts.slot(["a", "b"]) is None
    assert restarts.latest("a") == 0
    assert restarts.alike(["a", "b"]) == [["a", "b"]]


def test_the_later_step_is_the_one_and_the_older_files_go(trainer, restarts, tmp_path):
    for step in (2, 4, 6):
        advance(trainer, 2)
        restarts.save(trainer)
        assert restarts.latest("b") == step
        assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    for name in "abc":
        restarts.clear(name)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("written", [0, 1, 2])
def test_death_within_a_save_leaves_the_step_before(trainer, restarts, monkeypatch, written):
    advance(trainer, 2)
    restarts.save(trainer)
    before = restarts.slot("abc")
    advance(trainer, 2)

    def save_some(folder):
        """The first members only, as when the process is killed then."""
        whole, trainer.members = trainer.members, trainer.members[:written]
        Trainer.save(trainer, folder)
        trainer.members = whole
        raise DataError("killed here")

    monkeypatch.setattr(trainer, "save", save_some)
    with pytest.raises(DataError):
        restarts.save(trainer)
    assert restarts.slot("abc") == before
    assert restarts.alike("abc") == [list("abc")]
    monkeypatch.undo()
    restarts.save(trainer)
    assert restarts.slot("abc") != before
    assert restarts.latest("c") == 4


def test_runs_at_different_steps_go_on_apart(trainer, restarts):
    advance(trainer, 2)
    restarts.save(trainer)
    assert restarts.alike(["a", "new", "b"]) == [["a", "b"], ["new"]]
