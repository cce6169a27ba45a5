"""Simulated epoching: the part of each domain that a shorter run may read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxies.pools import pool_tokens, simulated_pools


@given(
    tokens=st.dictionaries(st.sampled_from("abcdef"), st.floats(1e3, 1e12), min_size=1),
    run=st.floats(1e5, 1e9),
    longer=st.floats(1, 1e4),
    share=st.floats(0.01, 1),
)
def test_epochs_are_those_of_the_target(tokens, run, longer, share):
    target = run * longer
    for name, pool in simulated_pools(tokens, run, target).items():
        epochs = share * run / pool
        rounding = epochs * 0.5 / pool
        assert (
            abs(epochs - share * target / tokens[name]) <= 0.01 * epochs + 2 * rounding or pool == 1
        )


def test_domains_without_a_count_are_free_and_a_long_run_reads_all():
    assert simulated_pools({"a": None, "b": float("nan"), "c": 10.0}, 5, 10) == {"c": 5}
    assert simulated_pools({"c": 10.0}, 20, 10) == {"c": 10}


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(0, 5))
def test_pools_begin_with_the_smaller_ones_and_hold_whole_documents_but_one(seed, size, block):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 40, size=30)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    documents = rng.choice(2**62, size=30, replace=False).astype(np.uint64)
    tokens = np.repeat(np.arange(30, dtype=np.uint16), lengths)
    size = min(size, len(tokens))
    pool = pool_tokens(tokens, offsets, documents, block, "a", size)
    assert len(pool) == size
    smaller = pool_tokens(tokens, offsets, documents, block, "a", (size + 1) // 2)
    assert (pool[: len(smaller)] == smaller).all()
    found, counts = np.unique(pool, return_counts=True)
    assert (counts < lengths[found]).sum() <= 1
    assert (counts <= lengths[found]).all()


def test_a_document_s_place_does_not_matter():
    lengths = np.array([3, 5, 2, 4])
    documents = np.array([11, 22, 33, 44], dtype=np.uint64)
    pools = []
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        tokens = np.repeat(np.arange(4, dtype=np.uint16)[order], lengths[order])
        offsets = np.concatenate([[0], np.cumsum(lengths[order])])
        pools.append(pool_tokens(tokens, offsets, documents[order], 7, "a", 8).tolist())
    assert pools[0] == pools[1]
