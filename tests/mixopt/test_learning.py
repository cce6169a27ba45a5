"""Learning curves: planted ones are found, flat ones are out of reach."""

import numpy as np
import pytest

from mixopt.laws import make_law
from mixopt.learning import learning_curve, learning_predictions
from mixopt.score import cross_validate, grouped_folds
from mixopt.testing import planted_table

FOLDS = np.repeat(np.arange(8), 6)


def squared(sizes, a, b, c, rng, spread=0.1):
    """Squared errors (s, n) around a + b n^-c."""
    expected = a + b * sizes[:, None] ** -c
    return expected * (1 + spread * rng.standard_normal((1, len(FOLDS))))


@pytest.mark.parametrize("c", [0.7, 1.0, 1.5])
def test_a_planted_curve_is_found_and_carried_on(c):
    sizes = np.array([16.0, 24.0, 40.0])
    errors = squared(sizes, 0.2, 8.0, c, np.random.default_rng(0), spread=0.01)
    curve = learning_curve(sizes, errors, FOLDS, floor=0.2)
    assert curve.at(80) == pytest.approx(0.2 + 8.0 * 80**-c, rel=0.15)


def test_runs_needed_halve_the_error_where_it_falls_as_one_over_n():
    sizes = np.array([16.0, 24.0, 40.0])
    rng = np.random.default_rng(1)
    errors = squared(sizes, 0.0, 8.0, 1.0, rng)
    curve = learning_curve(sizes, errors, FOLDS, floor=0.0)
    more = curve.more(40, 0.5, rng)
    assert more.runs is not None
    assert more.low is not None
    assert 25 <= more.runs <= 60
    assert more.low <= more.runs <= (more.high or np.inf)
    assert curve.more(40, 1.0, rng).runs == 0


def test_a_flat_curve_is_out_of_reach():
    sizes = np.array([16.0, 24.0, 40.0])
    rng = np.random.default_rng(2)
    curve = learning_curve(sizes, squared(sizes, 1.0, 0.0, 1.0, rng), FOLDS, floor=0.0)
    assert curve.more(40, 0.5, rng).runs is None


def test_the_largest_part_is_the_whole_training_side():
    rng = np.random.default_rng(3)
    table = planted_table(24, 3, rng)
    folds = grouped_folds(table, 4, rng)
    sizes, predicted = learning_predictions(make_law("ridge"), table, folds, rng)
    np.testing.assert_allclose(sizes, [9, 12.5, 18], atol=1)
    np.testing.assert_allclose(
        predicted[-1], cross_validate(make_law("ridge"), table, folds), rtol=1e-9
    )


def test_a_law_learns():
    rng = np.random.default_rng(4)
    table = planted_table(48, 5, rng, noise=0.01)
    folds = grouped_folds(table, 4, rng)
    sizes, predicted = learning_predictions(make_law("ridge"), table, folds, rng)
    errors = ((predicted - table.losses) ** 2 / table.losses.var(axis=0)).mean(axis=2)
    curve = learning_curve(sizes, errors, folds, floor=0.0)
    assert curve.at(96) < curve.at(24)
