"""Axes: what the runs say of scale, and what they cannot be asked."""

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.laws.scales import Axes, same_scale, scale_groups

TWO = np.array([[1e6, 1e6, 1e9], [6e7, 6e7, 1e9]])
SPARSE = np.array([[8e6, 1e6, 1e8], [64e6, 4e6, 4e8]])


def test_coordinates_are_logarithms_from_the_middle_of_the_runs():
    at = Axes.of(TWO, None).at(TWO, 2)
    np.testing.assert_allclose(at[:, 0], [-np.log(60) / 2, np.log(60) / 2])
    np.testing.assert_array_equal(at[:, 1:], 0.0)


def test_units_of_parameters_and_tokens_do_not_matter():
    unit = np.array([1e-6, 1e-6, 1e-9])
    straight, other = Axes.of(SPARSE, None), Axes.of(SPARSE * unit, None)
    np.testing.assert_allclose(straight.at(SPARSE, 2), other.at(SPARSE * unit, 2), atol=1e-9)


def test_predictions_are_at_the_largest_scale_unless_told():
    most_flops_first = np.array([[2e6, 2e6, 8e9], [6e6, 6e6, 1e9]])
    axes = Axes.of(most_flops_first, None)
    np.testing.assert_array_equal(axes.at(None, 3), axes.at(most_flops_first[0], 3))
    chosen = Axes.of(most_flops_first, (6e6, 6e6, 8e9))
    np.testing.assert_array_equal(chosen.at(None, 1), axes.at((6e6, 6e6, 8e9), 1))


def test_what_no_run_varied_cannot_be_asked_for():
    axes = Axes.of(TWO, None)
    axes.at((1e9, 1e9, 1e9), 1)
    with pytest.raises(DataError, match="training tokens, so the law cannot predict"):
        axes.at((1e9, 1e9, 25e9), 1)
    alone = Axes.of(TWO[:1], None)
    alone.at(TWO[:1], 4)
    with pytest.raises(DataError, match="active parameters"):
        alone.at((2e6, 2e6, 1e9), 1)
    with pytest.raises(DataError, match="active parameters"):
        Axes.of(TWO[:1], (2e6, 2e6, 1e9))


def test_without_known_scales_nothing_can_be_asked_for():
    axes = Axes.of(None, None)
    np.testing.assert_array_equal(axes.at(None, 2), 0.0)
    with pytest.raises(DataError, match="no known scale"):
        axes.at((1e6, 1e6, 1e9), 1)
    with pytest.raises(DataError, match="setting `scale`"):
        Axes.of(None, (1e6, 1e6, 1e9))


def test_sparsity_plays_no_part_where_no_run_varied_it():
    axes = Axes.of(TWO, None)
    assert not axes.sparse
    np.testing.assert_array_equal(axes.at((6e8, 6e7, 1e9), 1), axes.at((6e7, 6e7, 1e9), 1))
    assert Axes.of(SPARSE, None).sparse


@pytest.mark.parametrize(
    "bad",
    [np.ones((2, 2)), np.array([[1e6, 1e6, 0.0]]), np.array([[1e6, np.nan, 1e9]]), np.ones(3)],
)
def test_scales_are_positive_and_known(bad):
    with pytest.raises(DataError, match="above 0"):
        Axes.of(bad, None)
    with pytest.raises(DataError, match="one scale or one a mixture"):
        Axes.of(TWO, None).at(TWO, 3)


def test_groups_are_numbered_from_small_to_large():
    np.testing.assert_array_equal(scale_groups(TWO[[1, 0, 1]], 3), [1, 0, 1])
    np.testing.assert_array_equal(scale_groups(None, 2), [0, 0])
    assert same_scale(TWO[0], TWO[0] * (1 + 1e-9))
    assert not same_scale(TWO[0], TWO[1])
