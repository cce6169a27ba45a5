"""Objectives: known values, draws, gradients, floors, and the sentences for what cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.config import ObjectiveSpec
from mixopt.errors import ConfigError, DataError
from mixopt.objective import Objective, objective_for

METRICS = ("bpb/web", "bpb/code", "task/quiz")
KINDS = ("relative", "token", "worst", "absolute")
REFERENCE = np.array([1.0, 2.0, -0.5])


def two(kind, **settings):
    weights = np.array([1.0, 3.0, 0.0])
    return Objective("two", kind, METRICS, weights, scale=np.array([0.1, 0.2, 1.0]), **settings)


def losses(shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 3.0, (*shape, 3))


def test_known_values():
    at = np.array([[0.9, 2.2, np.nan]])
    one, other = np.log(0.9), np.log(1.1)
    assert two("relative").value(at, REFERENCE) == pytest.approx(0.25 * one + 0.75 * other)
    assert two("worst").value(at, REFERENCE) == pytest.approx(other)
    assert two("token").value(at, REFERENCE) == pytest.approx(np.log(1.875 / 1.75))
    assert two("absolute").value(at, REFERENCE) == pytest.approx(0.25 * -1.0 + 0.75 * 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_is_zero_and_less_is_better(kind):
    objective = two(kind)
    assert objective.value(REFERENCE[None], REFERENCE) == pytest.approx(0.0)
    better = REFERENCE * np.array([0.99, 0.99, 1.0])
    assert objective.value(better[None], REFERENCE)[0] < 0
    if kind != "absolute":
        assert objective.value(better[None], REFERENCE) == pytest.approx(-0.01, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_rows(kind):
    objective = two(kind, ceilings=np.array([1.0, np.inf, np.inf]))
    drawn = losses((5, 4))
    values = objective.value(drawn, REFERENCE)
    assert values.shape == (5, 4)
    np.testing.assert_array_equal(values[2], objective.value(drawn[2], REFERENCE))


@pytest.mark.parametrize("kind", ["relative", "worst"])
def test_units_of_a_metric_do_not_matter(kind):
    objective, units = two(kind), np.array([10.0, 0.3, 1.0])
    at = losses((6,))
    np.testing.assert_allclose(
        objective.value(at * units, REFERENCE * units), objective.value(at, REFERENCE)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_differences(kind):
    objective = two(kind, ceilings=np.array([1.2, 1.7, np.inf]))
    at, step = losses((20,)), 1e-7
    gradient = objective.gradient(at, REFERENCE)
    for i in range(3):
        shift = step * (np.arange(3) == i)
        change = objective.value(at + shift, REFERENCE) - objective.value(at - shift, REFERENCE)
        np.testing.assert_allclose(gradient[:, i], change / (2 * step), rtol=1e-4, atol=1e-6)


def test_metrics_without_weight_play_no_part():
    at = np.array([[0.9, 2.2, 7.0]])
    for objective in (two("relative"), two("worst").floored(at[0], 1.0)):
        other = objective.value(np.array([[0.9, 2.2, np.nan]]), REFERENCE)
        np.testing.assert_array_equal(objective.value(at, REFERENCE), other)


def test_a_missing_metric_is_missing():
    at = np.array([[0.9, np.nan, 1.0], [0.9, 2.0, 1.0]])
    for kind in KINDS:
        assert np.isnan(two(kind).value(at, REFERENCE)).tolist() == [True, False]


def test_floors_hold_as_a_penalty_on_draws():
    free = two("relative")
    held = free.floored(np.array([1.0, 2.0, -1.0]), percent=1.0)
    inside, outside = np.array([[1.0, 2.0, 0.0]]), np.array([[1.0302, 1.0, 0.0]])
    assert held.value(inside, REFERENCE) == free.value(inside, REFERENCE)
    excess = held.value(outside, REFERENCE) - free.value(outside, REFERENCE)
    assert excess == pytest.approx(100 * 0.02)


def test_floors_work_below_zero_too():
    held = Objective("task", "absolute", ("task/quiz",), np.ones(1), scale=np.ones(1)).floored(
        np.array([-0.5]), percent=10.0
    )
    at = np.array([[-0.46], [-0.4]])
    assert held.value(at, np.array([-0.5])).tolist() == pytest.approx([0.04, 0.1 + 100 / 9])


def test_weights_are_shares():
    objective = two("relative")
    assert objective.weights.tolist() == [0.25, 0.75, 0.0]
    assert objective.domains == ("web", "code")
    assert objective.shares == {"web": 0.25, "code": 0.75}


def test_on_test_text():
    assert two("relative").on_test().metrics == ("bpb@test/web", "bpb@test/code", "task/quiz")
    assert two("relative").on_test().shares == two("relative").shares


def test_logarithms_need_positive_metrics():
    weights = np.array([0.0, 1.0, 1.0])
    objective = Objective("all", "relative", METRICS, weights)
    with pytest.raises(DataError, match="'task/quiz' is not: use kind = \"absolute\""):
        objective.value(np.array([[1.0, 1.0, -0.5]]), REFERENCE)


def test_absolute_needs_a_scale():
    objective = replace(two("absolute"), scale=None)
    with pytest.raises(DataError, match="needs a scale"):
        objective.value(losses((1,)), REFERENCE)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0]])
def test_weights_that_mean_nothing(weights):
    with pytest.raises(DataError, match="expected 3 weights"):
        Objective("x", "relative", METRICS, np.array(weights))


MEASURED = ("bpb/web", "loss/web", "loss/code", "task/quiz", "bpb/readme")
DOMAINS = ("web", "code", "law", "readme")


def weights_of(**settings):
    objective = objective_for(ObjectiveSpec(**settings), "goal", MEASURED, DOMAINS)
    assert objective.metrics == MEASURED
    return dict(zip(MEASURED, objective.weights.round(3).tolist()))


def test_by_default_every_evaluated_domain_once():
    assert weights_of() == {
        "bpb/web": 0.333,
        "loss/web": 0.0,
        "loss/code": 0.333,
        "task/quiz": 0.0,
        "bpb/readme": 0.333,
    }


def test_over_names_domains_or_metrics():
    found = weights_of(over=["code", "loss/web", "task/quiz"], kind="absolute")
    assert [name for name, weight in found.items() if weight] == [
        "loss/web",
        "loss/code",
        "task/quiz",
    ]
    shares = weights_of(over=["code", "web"], weights={"web": 3.0, "code": 1.0})
    assert (shares["bpb/web"], shares["loss/code"]) == (0.75, 0.25)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"over": ["cod"]}, "'cod' is no domain and no metric.*did you mean 'code'"),
        ({"over": ["task/quis"]}, "did you mean 'task/quiz'"),
        ({"over": ["law"]}, "no run measured bpb/law or loss/law"),
        ({"over": ["web"], "weights": {"code": 1.0}}, "weights has 'code', over has not"),
        ({"over": ["web", "code"], "weights": {"code": 1.0}}, "leaves out 'web'"),
        ({"kind": "token"}, "kind 'token' needs weights"),
    ],
)
def test_a_wrong_objective_is_one_sentence(settings, words):
    with pytest.raises(ConfigError, match=words):
        weights_of(**settings)


def test_nothing_to_average_over():
    with pytest.raises(ConfigError, match=r"measured: task/quiz"):
        objective_for(ObjectiveSpec(), "goal", ["task/quiz"], DOMAINS)
