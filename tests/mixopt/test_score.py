"""The judge of laws: folds that do not leak, tests that do not cry wolf."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.laws import make_law
from mixopt.objective import Objective
from mixopt.score import (
    ceiling,
    choose,
    compare_laws,
    corrected_test,
    cross_validate,
    grouped_folds,
    holm,
    objective_values,
    predicted_values,
    quality,
    reference_losses,
    runs_short,
)
from mixopt.testing import planted_losses, planted_table, table_of


def mean_of(table):
    return {"mean": Objective("mean", "relative", table.metrics, np.ones(len(table.metrics)))}


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 60), st.integers(2, 6), st.integers(2, 8), st.integers(0, 1000))
def test_folds_are_even_and_keep_replicates_together(n, d, count, seed):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(d), n)
    weights[1::3] = weights[::3][: len(weights[1::3])]
    table = table_of(weights, planted_losses(weights), np.arange(n) % 4)
    folds = grouped_folds(table, count, rng)
    apart = np.abs(weights[:, None] - weights[None]).sum(axis=2)
    same = folds[:, None] == folds[None]
    assert same[apart < 1e-9].all()
    sizes = np.bincount(folds)
    assert len(sizes) <= count
    assert sizes.min() >= 1


def test_folds_of_a_swarm_are_balanced_over_blocks():
    rng = np.random.default_rng(0)
    table = planted_table(64, 8, rng)
    folds = grouped_folds(table, 8, rng)
    held = np.zeros((8, 4))
    np.add.at(held, (folds, table.seed_block), 1)
    assert held.min() >= 1
    assert held.max() <= 3


def test_one_mixture_alone_cannot_be_held_out():
    table = table_of(np.full((5, 2), 0.5), np.ones((5, 1)))
    with pytest.raises(DataError, match="nothing can be held out"):
        grouped_folds(table, 4, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["edl", "ridge"])
def test_a_prediction_never_sees_its_own_loss(name):
    rng = np.random.default_rng(1)
    table = planted_table(24, 3, rng)
    folds = grouped_folds(table, 4, rng)
    losses = table.losses.copy()
    losses[folds == 2] += 100.0
    moved = dataclasses.replace(table, losses=losses)
    held = folds == 2
    before, after = (cross_validate(make_law(name), one, folds) for one in (table, moved))
    np.testing.assert_array_equal(before[held], after[held])
    assert np.abs(before[~held] - after[~held]).max() > 1


def test_a_metric_measured_in_one_fold_only_is_predicted_nowhere_else():
    rng = np.random.default_rng(2)
    table = planted_table(24, 3, rng)
    folds = grouped_folds(table, 4, rng)
    table.losses[folds != 1, 2] = np.nan
    predicted = cross_validate(make_law("ridge"), table, folds)
    np.testing.assert_array_equal(np.isnan(predicted[:, 2]), folds == 1)
    assert np.isfinite(predicted[:, :2]).all()


def test_quality_of_a_perfect_and_of_a_useless_prediction():
    values = np.random.default_rng(3).standard_normal(50)
    assert quality(values, 2 * values + 1).spearman == pytest.approx(1.0)
    assert quality(values, np.full(50, values.mean())).r2 == pytest.approx(0.0)
    assert np.isnan(quality(np.ones(5), values[:5]).spearman)


def test_ceiling_is_the_correlation_of_truth_and_measurement():
    rng = np.random.default_rng(4)
    truth = rng.standard_normal(20000)
    measured = truth + 0.5 * rng.standard_normal(20000)
    assert ceiling(measured, 0.5) == pytest.approx(np.corrcoef(truth, measured)[0, 1], abs=0.01)
    assert ceiling(measured, 10.0) == 0.0


def test_the_right_law_wins_and_the_mean_loses():
    rng = np.random.default_rng(5)
    table = planted_table(32, 4, rng)
    scores = {one.name: one for one in compare_laws(["edl", "mean"], table, mean_of(table), rng)}
    assert scores["edl"].objectives["mean"].spearman > 0.95
    assert scores["mean"].objectives["mean"].r2 <= 0.05
    assert choose(list(scores.values())) == "edl"
    assert choose(list(scores.values()), default="mean") == "edl"


def test_too_few_runs_are_refused_with_their_number():
    table = planted_table(7, 5, np.random.default_rng(6))
    assert runs_short(table) == 2
    with pytest.raises(DataError, match="run 2 more, or take the best run seen"):
        compare_laws(["ridge"], table, mean_of(table), np.random.default_rng(0))


def test_corrected_test_is_the_published_formula():
    folds = np.repeat(np.arange(4), 2)
    errors = np.array([1.0, 1.2, 0.8, 1.0, 0.7, 0.9, 1.1, 0.9])
    rival = np.full(8, 1.5)
    means = (errors - rival).reshape(4, 2).mean(axis=1)
    statistic = means.mean() / np.sqrt((1 / 4 + 1 / 3) * means.var(ddof=1))
    from scipy.stats import t

    assert corrected_test(errors, rival, folds) == pytest.approx(t.cdf(statistic, 3))
    assert corrected_test(rival, errors, folds) == pytest.approx(1 - t.cdf(statistic, 3))


def test_equal_laws_rarely_replace_the_default():
    rng = np.random.default_rng(7)
    folds = np.repeat(np.arange(8), 4)
    wrong = [
        min(holm([corrected_test(*rng.chisquare(1, (2, 32)), folds) for _ in range(3)])) < 0.05
        for _ in range(400)
    ]
    assert np.mean(wrong) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)


def test_holm_is_between_the_raw_chances_and_bonferroni():
    chances = [0.04, 0.01, 0.03]
    assert holm(chances) == pytest.approx([0.06, 0.03, 0.06])


def test_reference_is_the_mean_of_its_replicates():
    rng = np.random.default_rng(8)
    table = planted_table(20, 3, rng)
    row = np.array([0.2, 0.3, 0.5])
    table.weights[4] = table.weights[9] = row
    table.losses[9, 2] = np.nan
    law = make_law("ridge").fit(table.weights, table.losses)
    found = reference_losses(table, law, row)
    np.testing.assert_allclose(found[:2], table.losses[[4, 9], :2].mean(axis=0))
    assert found[2] == table.losses[4, 2]
    other = rng.dirichlet(np.ones(3))
    np.testing.assert_array_equal(reference_losses(table, law, other), law.predict(other[None])[0])


def test_an_objective_is_unknown_where_a_metric_of_it_is():
    table = planted_table(6, 3, np.random.default_rng(9))
    table.losses[2, 0] = np.nan
    objective = Objective("two", "relative", table.metrics, np.array([1.0, 1.0, 0.0]))
    values = objective_values(objective, table.losses, np.ones(3))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(values)), [2])


def test_a_prediction_below_zero_does_not_stop_a_comparison_of_ratios():
    objective = Objective("mean", "relative", ("loss/a",), np.ones(1))
    reference = np.array([2.0])
    found = predicted_values(objective, np.array([[-0.5], [1.0], [np.nan]]), reference)
    np.testing.assert_allclose(found[:2], np.log([0.01, 0.5]))
    with pytest.raises(DataError, match="above 0"):
        objective_values(objective, np.array([[-0.5]]), reference)
