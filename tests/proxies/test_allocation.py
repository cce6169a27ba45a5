"""Systematic allocation: close to the expectation at every step, by block alone, resumable."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.allocation import Allocation
from proxies.data import MixtureStream

NAMES = tuple(f"domain{i}" for i in range(40))


@st.composite
def shares(draw, rows: int = 1):
    d = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = rng.dirichlet(np.full(d, draw(st.sampled_from([0.02, 0.1, 0.5, 1.0, 5.0]))), rows)
    weights[weights < 1e-9] = 0.0
    return weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(weights=shares(rows=3), seed=st.integers(0, 1000))
def test_drawn_stays_within_two_sequences_of_the_expectation(weights, seed):
    d = weights.shape[1]
    columns = Allocation(NAMES[:d], [seed, seed + 1, seed]).next(weights, slots=600)
    drawn = (columns[:, :, None] == np.arange(d)).cumsum(axis=1)
    expected = weights[:, None, :] * np.arange(1, 601)[:, None]
    assert np.abs(drawn - expected).max() <= 2.0
    assert not drawn[:, -1][weights == 0].any()


@settings(max_examples=30, deadline=None)
@given(weights=shares(rows=4), seeds=st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_a_proxy_does_not_feel_its_neighbours(weights, seeds):
    names = NAMES[: weights.shape[1]]
    together = Allocation(names, seeds).next(weights, slots=50)
    for p, seed in enumerate(seeds):
        alone = Allocation(names, [seed]).next(weights[p : p + 1], slots=50)
        assert (alone[0] == together[p]).all()


@settings(max_examples=30, deadline=None)
@given(first=shares(), second=st.integers(0, 2**32), batch=st.integers(1, 7))
def test_resume_is_exact_where_the_mixture_moves(first, second, batch):
    d = first.shape[1]
    later = np.random.default_rng(second).dirichlet(np.ones(d), 1)
    running = Allocation(NAMES[:d], [3])
    running.next(first, slots=37)
    resumed = Allocation(NAMES[:d], [3])
    resumed.restore(0, json.loads(json.dumps(running.state(0))))
    for _ in range(5):
        assert (running.next(later, batch) == resumed.next(later, batch)).all()


def test_slots_do_not_depend_on_the_batch_size():
    weights = np.array([[0.2, 0.5, 0.3]])
    whole = Allocation(NAMES[:3], [0]).next(weights, slots=60)
    parts = Allocation(NAMES[:3], [0])
    assert (np.hstack([parts.next(weights, 5) for _ in range(12)]) == whole).all()


def test_the_order_of_the_domains_does_not_matter():
    weights = np.array([[0.2, 0.5, 0.3]])
    forward = Allocation(["a", "b", "c"], [0]).next(weights, slots=60)
    backward = Allocation(["c", "b", "a"], [0]).next(weights[:, ::-1], slots=60)
    assert (2 - backward == forward).all()


def test_blocks_differ():
    weights = np.full((2, 4), 0.25)
    columns = Allocation(NAMES[:4], [0, 1]).next(weights, slots=40)
    assert (columns[0] != columns[1]).any()


@pytest.mark.parametrize("bad", [[0.5, 0.6], [-0.1, 1.1], [np.nan, 1.0], [0.0, 0.0]])
def test_shares_that_are_none_are_an_error(bad):
    with pytest.raises(DataError, match="sum to 1"):
        Allocation(NAMES[:2], [0]).next(np.array([bad]), slots=1)


def test_shares_of_another_shape_are_an_error():
    with pytest.raises(DataError, match=r"expected shares of shape \(1, 2\)"):
        Allocation(NAMES[:2], [0]).next(np.ones((1, 3)) / 3, slots=1)


def test_arguments_are_not_written_to():
    weights = np.array([[0.25, 0.75]])
    weights.setflags(write=False)
    Allocation(NAMES[:2], [0]).next(weights, slots=3)


class Turns:
    """An allocator of one's own: the domains in turn."""

    def __init__(self, names, seeds):
        self.names, self.proxies, self.drawn = names, len(seeds), 0

    def next(self, weights, slots):
        row = (self.drawn + np.arange(slots)) % len(self.names)
        self.drawn += slots
        return np.tile(row, (self.proxies, 1))

    def state(self, p):
        return {"drawn": self.drawn}

    def restore(self, p, state):
        self.drawn = int(state["drawn"])


def test_a_stream_draws_by_the_allocator_that_it_is_given(toy_data):
    names, shares = ("sea", "web"), np.array([[0.9, 0.1]])
    stream = MixtureStream(toy_data, names, [0], 32, 4, [None], Turns)
    for _ in range(5):
        stream.next(shares)
    assert stream.drawn.tolist() == [[10, 10]]
    again = MixtureStream(toy_data, names, [0], 32, 4, [None], Turns)
    again.restore(0, json.loads(json.dumps(stream.state(0))))
    assert all((a == b).all() for a, b in zip(stream.next(shares), again.next(shares)))
