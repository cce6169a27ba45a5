"""The split: disjoint, by content, large enough, and stable when text is added elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.split import MINIMUM_BYTES, sample, split
from proxies.units import PIECE, pieces


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("ab é\n\r\u2028𝄞"), max_size=200), times=st.integers(1, 200))
def test_pieces_join_to_the_text(text, times):
    cut = list(pieces(text * times))
    assert "".join(cut) == text * times
    assert all(PIECE <= len(piece.encode()) <= 5 * PIECE for piece in cut[:-1])


@st.composite
def domains(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(3, 400))
    hashes = rng.choice(2**62, size=count, replace=False).astype(np.uint64)
    return hashes, rng.integers(1, draw(st.sampled_from([10, 5000, 100_000])), size=count)


@settings(max_examples=100, deadline=None)
@given(domain=domains(), train=st.booleans(), wanted=st.sampled_from([1000, 10**5, 10**7]))
def test_splits_are_disjoint_and_none_is_empty(domain, train, wanted):
    hashes, sizes = domain
    parts = split("x", hashes, sizes, wanted, train, seed=0)
    assert list(parts) == (["train"] if train else []) + ["validation", "test"]
    everything = np.concatenate(list(parts.values()))
    assert len(np.unique(everything)) == len(everything)
    assert all(len(numbers) for numbers in parts.values())
    if train:
        assert len(everything) == len(sizes)


@settings(max_examples=50, deadline=None)
@given(domain=domains(), seed=st.integers(0, 2**32))
def test_the_place_of_a_document_does_not_matter(domain, seed):
    hashes, sizes = domain
    order = np.random.default_rng(seed).permutation(len(hashes))
    here = split("x", hashes, sizes, 10**5, True, seed=0)
    there = split("x", hashes[order], sizes[order], 10**5, True, seed=0)
    for name, numbers in here.items():
        assert set(hashes[numbers]) == set(hashes[order][there[name]])


def test_held_out_text_is_as_large_as_asked_and_a_tenth_at_most():
    hashes = np.random.default_rng(0).choice(2**62, size=1000, replace=False).astype(np.uint64)
    for size, wanted, expected in [
        (1000, 30_000, 30_000),  # what is asked
        (1000, 10**9, 100_000),  # a tenth
        (400, 10**9, MINIMUM_BYTES),  # a tenth would be too little
        (90, 10**9, 30_000),  # a third where even that is too much
    ]:
        parts = split("x", hashes, np.full(1000, size), wanted, True, seed=0)
        for name in ("validation", "test"):
            assert expected <= len(parts[name]) * size < expected + size + 1


def test_an_unseen_domain_is_halved():
    hashes = np.arange(100, dtype=np.uint64)
    parts = split("x", hashes, np.full(100, 10), 10**6, False, seed=0)
    assert {name: len(numbers) for name, numbers in parts.items()} == {"validation": 50, "test": 50}


def test_documents_that_stay_keep_their_order_of_the_hash():
    hashes = np.random.default_rng(1).choice(2**62, size=500, replace=False).astype(np.uint64)
    few = split("x", hashes[:400], np.full(400, 1000), 20_000, True, seed=0)
    many = split("x", hashes, np.full(500, 1000), 20_000, True, seed=0)
    moved_in = set(many["validation"]) - set(few["validation"])
    assert all(number >= 400 for number in moved_in)  # only new documents push old ones out


def test_samples_are_nested():
    hashes = np.random.default_rng(2).choice(2**62, size=100, replace=False).astype(np.uint64)
    small = sample(hashes, np.full(100, 10), 200, 0, "pool")
    large = sample(hashes, np.full(100, 10), 500, 0, "pool")
    assert (len(small), len(large)) == (20, 50)
    assert set(small) < set(large)


def test_too_little_text_is_an_error():
    with pytest.raises(DataError, match="domain 'x' has only 20 bytes"):
        split("x", np.arange(2, dtype=np.uint64), np.array([10, 10]), 5, True, seed=0)
