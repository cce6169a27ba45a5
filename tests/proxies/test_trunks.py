"""Trunks: what begins alike is found, whatever begins otherwise is kept apart, and costs add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.online.static import Static
from proxies.trunks import Stage, Way, part_of, stages, work

MIXTURES = [np.array(row) for row in ([1.0, 0.0], [0.5, 0.5], [0.0, 1.0])]


def way(*phases, seed=1, pools=None, steps=100):
    """Of (fraction, number of a mixture) pairs."""
    return Way.of((seed, pools), phases, steps)


def test_runs_that_part_once_share_what_is_before():
    runs = [way((0.7, 0), (0.3, last)) for last in (0, 1, 2)]
    assert stages(runs, 100) == (
        Stage(0, 70, ((0, 1, 2),)),
        Stage(70, 100, ((0,), (1,), (2,))),
    )


def test_they_part_again_and_again():
    runs = [way((0.5, 0), (0.3, 1), (0.2, 0)), way((0.5, 0), (0.3, 1), (0.2, 2)), way((1.0, 0))]
    heirs = [one.heirs for one in stages(runs, 100)]
    assert heirs == [((0, 1, 2),), ((0, 1), (2,)), ((0,), (1,), (2,))]
    assert [(one.start, one.end) for one in stages(runs, 100)] == [(0, 50), (50, 80), (80, 100)]


def test_a_boundary_between_equal_mixtures_is_none():
    runs = [way((0.5, 0), (0.3, 0), (0.2, 1)), way((0.8, 0), (0.2, 2))]
    assert [(one.start, one.end) for one in stages(runs, 100)] == [(0, 80), (80, 100)]


@pytest.mark.parametrize("other", [{"seed": 2}, {"pools": "half of it"}])
def test_another_seed_or_text_is_another_run(other):
    runs = [way((0.7, 0), (0.3, 1)), way((0.7, 0), (0.3, 2), **other)]
    assert not any(one.shared for one in stages(runs, 100))


def test_a_run_whose_mixture_moves_is_alone():
    found = stages([None, None, way((0.5, 0), (0.5, 1)), way((0.5, 0), (0.5, 2))], 100)
    assert found[0].heirs == ((0,), (1,), (2, 3))


@given(st.integers(1, 97), st.floats(0.01, 0.99))
def test_a_trunk_ends_where_the_schedule_changes(steps, fraction):
    ways = [((fraction, 0), (1 - fraction, last)) for last in (1, 2)]
    first, other = (Static(tuple((part, MIXTURES[i]) for part, i in one)) for one in ways)
    plan = stages([way(*one, steps=steps) for one in ways], steps)
    parted = steps
    for step in reversed(range(steps)):
        first._progress = other._progress = step / steps
        if not np.array_equal(first.weights(), other.weights()):
            parted = step
    assert plan[0].shared == (0 < parted < steps)
    assert not plan[0].shared or plan[0].end == parted


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.integers(0, 2), min_size=3, max_size=3)),
        min_size=1,
        max_size=8,
    ),
    st.integers(3, 60),
)
def test_parts_add_up_to_the_work(runs, steps):
    fractions = (0.5, 0.3, 0.2)
    ways = [way(*zip(fractions, own), seed=seed, steps=steps) for seed, own in runs]
    plan = stages(ways, steps)
    assert [one.start for one in plan[1:]] == [one.end for one in plan[:-1]]
    assert plan[-1].heirs == tuple((index,) for index in range(len(runs)))
    for one in plan:
        assert sorted(index for heirs in one.heirs for index in heirs) == list(range(len(runs)))
    total = sum(part_of(plan, index) for index in range(len(runs))) * steps
    assert total == pytest.approx(work(plan, steps))
    assert work(plan, steps) <= len(runs) * steps
