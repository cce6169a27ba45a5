"""Shares in other tokens: bytes stay where they are, and the way back is the way there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.tokens import conversion, convert_mixture, convert_shares

lengths = st.floats(0.2, 20.0)
cases = st.integers(1, 8).flatmap(
    lambda d: st.tuples(
        st.lists(st.floats(0.01, 1.0), min_size=d, max_size=d),
        st.lists(lengths, min_size=d, max_size=d),
        st.lists(lengths, min_size=d, max_size=d),
    )
)


@given(cases)
def test_the_way_back_is_the_inverse(case):
    raw, held, wanted = map(np.array, case)
    shares = raw / raw.sum()
    there = convert_shares(shares, held, wanted)
    assert there.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(convert_shares(there, wanted, held), shares, rtol=1e-9)


@given(cases)
def test_the_shares_of_bytes_stay(case):
    raw, held, wanted = map(np.array, case)
    shares = raw / raw.sum()
    before, after = shares * held, convert_shares(shares, held, wanted) * wanted
    np.testing.assert_allclose(after / after.sum(), before / before.sum(), rtol=1e-9)


@given(cases, lengths)
def test_a_tokenizer_that_is_longer_everywhere_changes_nothing(case, factor):
    raw, held, _ = map(np.array, case)
    shares = raw / raw.sum()
    np.testing.assert_allclose(convert_shares(shares, held, factor * held), shares, rtol=1e-9)


def test_rows_are_converted_one_by_one():
    rows = np.array([[0.5, 0.5], [1.0, 0.0]])
    found = convert_shares(rows, [4.0, 2.0], [2.0, 2.0])
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3], [1.0, 0.0]])
    np.testing.assert_array_equal(rows, [[0.5, 0.5], [1.0, 0.0]])


@pytest.mark.parametrize("unknown", [np.nan, 0.0, -1.0, np.inf])
def test_a_domain_without_a_share_needs_no_bytes_a_token(unknown):
    assert convert_shares([1.0, 0.0], [4.0, unknown], [3.0, 3.0]).tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match="positive bytes a token"):
        convert_shares([0.5, 0.5], [4.0, 4.0], [3.0, unknown])


def test_a_mixture_names_the_domain_that_nobody_measured():
    with pytest.raises(DataError, match="'law'"):
        convert_mixture({"web": 0.5, "law": 0.5}, {"web": 4.0, "law": 4.0}, {"web": 3.0})
    found = convert_mixture({"web": 1.0, "law": 0.0}, {"web": 4.0}, {"web": 3.0})
    assert found == {"web": 1.0, "law": 0.0}


def test_tokens_are_converted_by_the_same_factors():
    np.testing.assert_allclose(conversion([4.0, 3.0], [2.0, 6.0]), [2.0, 0.5])
