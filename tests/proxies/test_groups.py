"""Groups: every run in exactly one, as even as can be, within what one process can train."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxies.config import resolve
from proxies.groups import group_size, largest_group, plan_groups


@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 9), st.integers(1, 16))
def test_every_run_is_in_one_group_and_groups_are_even(small, large, workers, most):
    kinds = {"s": [f"s{k}" for k in range(small)], "l": [f"l{k}" for k in range(large)]}
    groups = plan_groups(kinds, {"s": most, "l": 1}, workers)
    assert [run for group in groups for run in group] == kinds["s"] + kinds["l"]
    sizes = [len(group) for group in groups if group[0].startswith("s")]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == group_size(small, workers, most) <= most
    assert len(sizes) % workers == 0 or len(sizes) == small
    assert all(len(group) == 1 for group in groups if group[0].startswith("l"))


@pytest.mark.parametrize(
    ("preset", "vocabulary", "most"),
    [("tiny", 4096, 16), ("tiny", 257, 16), ("pico", 16384, 4), ("nano", 65536, 1)],
)
def test_large_models_and_large_batches_train_in_small_groups(preset, vocabulary, most):
    config = resolve({"preset": preset, "tokens": 10**8}, vocabulary)
    assert largest_group(config, "cpu") <= most
    assert largest_group(config, "cuda:0") * config.sizes.experts <= 1023
