"""Mixing: a controller in somebody else's loop - what it hears, what is logged, exact restarts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError, DataError
from mixopt.online import make_controller
from mixopt.online.base import Feedback
from mixopt.online.budget import Budget
from mixopt.online.mixing import Mixing
from mixopt.online.schedule import few_phases
from mixopt.online.static import Static

NAMES = ("web", "law", "code")
SIZES = dict(zip(NAMES, (400, 30, 90)))


def mixing(name="odm", *, steps=20, batch=8, budget=None, evidence=None, log=None, **settings_):
    controller = make_controller(name, {"budget": budget or Budget.of(NAMES), **settings_})
    return Mixing(controller, SIZES, 16, batch=batch, steps=steps, evidence=evidence or {}, log=log)


def train(run, steps, ahead=0):
    """Steps of a loop whose loader reads `ahead` batches; what each step was trained on."""
    batches, queue = [], list(run.ahead)
    for _ in range(steps):
        while len(queue) <= ahead:
            queue.append(run.draw())
        batch = queue.pop(0)
        batches.append(batch)
        sequences = np.bincount(batch[:, 0], minlength=3)
        losses = np.array([2.0, 5.0, 3.0]) / (1 + 0.05 * run.step)
        run.add(sequences * 16 * losses, sequences * 16, sequences)
        run.finish_step()
    return batches


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 19), st.integers(0, 3), st.sampled_from(["odm", "ado", "uniform"]))
def test_a_resumed_loop_reads_what_the_whole_one_reads(stop, ahead, name):
    whole = mixing(name, every=3)
    expected = train(whole, 20, ahead)
    first = mixing(name, every=3)
    train(first, stop, ahead)
    second = mixing(name, every=3).load_state_dict(json.loads(json.dumps(first.state_dict())))
    rest = train(second, 20 - stop, ahead)
    np.testing.assert_array_equal(np.reshape(rest, (-1, 2)), np.reshape(expected[stop:], (-1, 2)))
    assert second.state_dict() == whole.state_dict()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 39))
def test_a_restart_in_the_middle_of_a_learning_phase_goes_on_exactly(stop):
    def begun():
        told: dict[str, Mixing] = {}
        evidence = {"eval_loss": lambda: np.array([2.0, 3.0, 4.0]) / (1 + 0.1 * told["run"].step)}
        options = {"learning": "run", "refresh": 8, "rounds": 1}
        told["run"] = mixing("aioli", steps=40, evidence=evidence, **options)
        return told["run"]

    whole, first, second = begun(), begun(), begun()
    expected = train(whole, 40, ahead=1)
    train(first, stop, ahead=1)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    np.testing.assert_array_equal(
        np.reshape(train(second, 40 - stop, ahead=1), (-1, 2)), np.reshape(expected[stop:], (-1, 2))
    )
    assert second.state_dict() == whole.state_dict()


def test_thousands_of_domains_are_drawn():
    names = [f"d{i}" for i in range(3000)]
    controller = make_controller("odm", {"budget": Budget.of(names)})
    run = Mixing(controller, dict.fromkeys(names, 10), 16, batch=256, steps=3)
    for _ in range(3):
        sequences = np.bincount(run.draw()[:, 0], minlength=3000)
        run.add(sequences * 32.0, sequences * 16, sequences)
        run.finish_step()
    assert sum(run.consumed.values()) == 3 * 256 * 16


def test_the_controller_hears_of_the_losses_since_its_last_turn():
    told: list[Feedback] = []

    class Listener(Static):
        every = 2

        def observe(self, feedback):
            told.append(feedback)

    shares = np.array([0.5, 0.5, 0.0])
    run = Mixing(Listener(((1.0, shares),)), SIZES, 16, batch=4, steps=4)
    for nats in (2.0, 4.0):
        run.draw()
        run.add(np.array([32 * nats, np.nan, 0.0]), np.array([32.0, 32, 0]), np.array([2, 2, 0]))
        run.finish_step()
    (heard,) = told
    np.testing.assert_array_equal(heard.train_loss, [3.0, np.nan, np.nan])
    np.testing.assert_array_equal(heard.drawn, [64, 64, 0])
    assert (heard.step, heard.steps, heard.tokens) == (2, 4, 128)


def test_tokens_and_epochs_are_of_what_was_trained_on():
    run = mixing("uniform")
    train(run, 3, ahead=2)
    assert sum(run.consumed.values()) == 3 * 8 * 16
    told = {name: run.consumed[name] / (16 * size) for name, size in SIZES.items()}
    assert run.epochs == pytest.approx(told, abs=1e-6)


def test_a_domain_that_runs_out_is_not_read_beyond_its_epochs():
    tokens = {name: 16.0 * size for name, size in SIZES.items()}
    budget = Budget.of(NAMES, tokens=tokens, run_tokens=60 * 8 * 16, max_epochs={"law": 1.0})
    run = mixing("odm", steps=60, budget=budget)
    train(run, 60)
    assert 28 / 30 <= run.epochs["law"] <= 32 / 30  # within 2 sequences, as any allocation is


def test_an_empty_domain_needs_no_text():
    budget = Budget.of(["web", "void"], tokens={"web": 1600.0, "void": 0.0}, run_tokens=800)
    controller = make_controller("uniform", {"budget": budget})
    run = Mixing(controller, {"web": 100, "void": 0}, 16, batch=4, steps=12)
    assert {int(column) for _ in range(12) for column in run.draw()[:, 0]} == {0}


def test_the_log_says_what_was_drawn_and_why(tmp_path):
    path = tmp_path / "mixture.jsonl"
    run = mixing("odm", log=path, every=5)
    train(run, 20)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    assert set(lines[0]["weights"]) == set(NAMES)
    assert {"loss", "epochs", "rewards", "remarks"} <= set(lines[0]["why"])
    assert lines[0]["why"]["loss"]["law"] > lines[-1]["why"]["loss"]["law"]


def test_the_schedule_has_the_tokens_of_the_run_in_few_phases_too():
    run = mixing("odm", every=1)
    train(run, 20)
    for phases in (run.schedule(), few_phases(run.schedule(), 3)):
        shares = {name: sum(part * mix[name] for part, mix in phases) for name in NAMES}
        told = {name: share * 20 * 8 * 16 for name, share in shares.items()}
        assert told == pytest.approx(run.consumed, rel=1e-6)


def test_evidence_is_measured_only_when_it_is_due():
    calls = []

    def held_out():
        calls.append(1)
        return np.array([2.0, 3.0, 4.0])

    run = mixing("aioli", evidence={"eval_loss": held_out}, learning="run", steps=24, refresh=12)
    train(run, 4)
    assert len(calls) == 1
    with pytest.raises(ConfigError, match="needs eval_loss: give a function"):
        mixing("aioli", learning="run")
    with pytest.raises(ConfigError, match="eval_loss, probe_loss: choose another"):
        mixing("aioli", learning="forks")


def test_what_does_not_fit_is_refused():
    controller = make_controller("odm", {"budget": Budget.of(["law", "web", "code"])})
    with pytest.raises(ConfigError, match="in its order"):
        Mixing(controller, SIZES, 16, batch=8, steps=4)
    with pytest.raises(ConfigError, match="batch of 1 or more"):
        mixing(batch=0)
    with pytest.raises(DataError, match="no batch was drawn"):
        mixing().finish_step()


def test_losses_of_other_sequences_than_were_drawn_are_refused():
    run = mixing("uniform", batch=6)
    run.draw()
    run.add(np.ones(3), np.ones(3), np.array([4, 4, 4]))
    with pytest.raises(DataError, match=r"losses of 4 sequences of 'web'.* expected 2"):
        run.finish_step()


def test_a_checkpoint_of_another_run_is_refused():
    state = mixing("odm").state_dict()
    with pytest.raises(DataError, match="with plan"):
        mixing("odm", batch=4).load_state_dict(state)
    with pytest.raises(DataError, match="controller"):
        mixing("uniform").load_state_dict(state)
    other = {**state, "sizes": {"web": 1}}
    with pytest.raises(DataError, match="with sizes"):
        mixing("odm").load_state_dict(other)
