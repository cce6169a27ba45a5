"""Static: a controller that replays a schedule, and resumes anywhere in it exactly."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.online.base import Feedback
from mixopt.online.budget import Budget
from mixopt.online.static import Static
from mixopt.online.uniform import Uniform

A, B, C = np.eye(3)


def feedback(step, steps):
    return Feedback(step, steps, 32 * step, np.zeros(3), np.full(3, np.nan))


def replay(static, start, steps):
    """The mixtures of the steps from `start` on, by index of the domain."""
    chosen = []
    for step in range(start, steps):
        chosen.append(int(np.argmax(static.weights())))
        static.observe(feedback(step + 1, steps))
    return chosen


def test_a_mixture_never_moves():
    static = Static(((1.0, np.array([0.5, 0.3, 0.2])),))
    for step in range(10):
        np.testing.assert_array_equal(static.weights(), [0.5, 0.3, 0.2])
        static.observe(feedback(step + 1, 10))


def test_phases_change_where_their_fractions_say():
    static = Static(((0.5, A), (0.3, B), (0.2, C)))
    assert replay(static, 0, 10) == [0] * 5 + [1] * 3 + [2] * 2


@pytest.mark.parametrize("steps", [3, 7, 10, 100, 782])
def test_thirds_are_thirds_despite_rounding(steps):
    chosen = replay(Static(((1 / 3, A), (1 / 3, B), (1 / 3, C))), 0, steps)
    assert chosen == sorted(chosen)
    counts = np.bincount(chosen, minlength=3)
    assert counts.max() - counts.min() <= 1


def test_asking_twice_moves_nothing():
    static = Static(((0.5, A), (0.5, B)))
    static.observe(feedback(5, 10))
    assert static.weights() is static.weights()


@given(st.integers(0, 40))
def test_resuming_goes_on_exactly(stop):
    schedule = ((0.25, A), (0.5, B), (0.25, C))
    whole = replay(Static(schedule), 0, 40)
    first = Static(schedule)
    for step in range(stop):
        first.observe(feedback(step + 1, 40))
    state = json.loads(json.dumps(first.state()))
    assert replay(Static(schedule).restore(state), stop, 40) == whole[stop:]


def test_the_state_of_a_controller_that_moves_is_refused():
    with pytest.raises(DataError, match="expected a schedule"):
        Static(((1.0, A),)).restore(Uniform(Budget.of(["a", "b", "c"])).state())
