"""Draws: systematic over domains, every sequence once an epoch, exact restarts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.online.draws import Draws, permuted


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 99))
def test_shares_are_kept_and_epochs_are_whole(sizes, seed):
    rng = np.random.default_rng(seed)
    draws, expected = Draws(sizes, seed), np.zeros(len(sizes))
    seen: list[list[int]] = [[] for _ in sizes]
    for _ in range(12):
        shares = rng.dirichlet(np.ones(len(sizes)))
        for column, place in draws.next(shares, 8):
            seen[column].append(place)
        expected += 8 * shares
        assert np.abs(draws.drawn - expected).max() <= 2.0
    for size, places in zip(sizes, seen):
        for start in range(0, len(places), size):
            epoch = places[start : start + size]
            assert len(set(epoch)) == len(epoch)
            assert max(epoch) < size


@given(st.integers(0, 10), st.integers(0, 9))
def test_resuming_goes_on_exactly(stop, seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3), 12)
    whole = Draws([5, 50, 7], seed)
    batches = [whole.next(row, 6) for row in shares]
    first = Draws([5, 50, 7], seed)
    for row in shares[:stop]:
        first.next(row, 6)
    state = json.loads(json.dumps(first.state()))
    second = Draws([5, 50, 7], seed).restore(state)
    for row, batch in zip(shares[stop:], batches[stop:], strict=True):
        np.testing.assert_array_equal(second.next(row, 6), batch)


def test_every_slot_of_a_batch_sees_every_domain():
    draws, seen = Draws([1000, 1000], 0), np.zeros((4, 2))
    for _ in range(200):
        seen[np.arange(4), draws.next(np.array([0.5, 0.5]), 4)[:, 0]] += 1
    assert seen.min() > 60  # without the shuffle, slots would alternate


def test_an_empty_domain_is_never_drawn():
    assert not Draws([0, 5], 0).next(np.array([0.0, 1.0]), 9)[:, 0].min() == 0
    with pytest.raises(DataError, match="column 0, which holds no sequence"):
        Draws([0, 5], 0).next(np.array([0.5, 0.5]), 2)


@given(st.integers(1, 3000), st.integers(0, 2**32))
def test_an_order_is_an_order(size, seed):
    keys = np.random.SeedSequence(seed).generate_state(6, np.uint64)
    found = permuted(np.arange(size), size, keys)
    assert sorted(found.tolist()) == list(range(size))


def test_orders_differ_and_lean_nowhere():
    orders = np.stack(
        [
            permuted(np.arange(20), 20, np.random.SeedSequence(seed).generate_state(6, np.uint64))
            for seed in range(2000)
        ]
    )
    assert len({tuple(order) for order in orders.tolist()}) == 2000
    counts = np.stack([np.bincount(column, minlength=20) for column in orders.T])
    expected = 2000 / 20
    chi = ((counts - expected) ** 2 / expected).sum()  # 19 * 19 degrees of freedom: sd 27
    assert abs(chi - 361) < 4 * 27
    pairs = np.corrcoef(orders[:, :2].T)[0, 1]
    assert abs(pairs + 1 / 19) < 4 / np.sqrt(2000)
