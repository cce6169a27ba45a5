"""exact: closed forms, faces, limits, invariance, and candidates that differ."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mixopt.errors import ConfigError, DataError
from mixopt.problem import Problem
from mixopt.proposers import PROPOSERS, propose
from mixopt.proposers.base import distance
from mixopt.proposers.exact import Exact
from mixopt.proposers.goal import Goal
from mixopt.registry import load, make
from mixopt.space import Constraint, Domain, Space

Array = NDArray[np.float64]
Plant = Callable[..., Problem]

TWO = np.array([2.0, 4.0])
THREE = np.array([1.0, 3.0, 0.5])
CENTRE = np.array([0.5, 0.3, 0.2, 0.0, 0.0, 0.0])
BY_LAW = sorted(name for name in PROPOSERS if load(PROPOSERS, "proposer", name).needs_law)
PUSH = np.array([0.0, 0.0, 0.0, 0.3, 0.4, 0.5])


def _exponential(w: Array) -> Array:
    return np.exp(-TWO * w).sum(axis=1, keepdims=True)


def _powers(w: Array) -> Array:
    return (THREE * np.maximum(w, 1e-9) ** -0.7).sum(axis=1, keepdims=True)


def _on_a_face(w: Array) -> Array:
    return ((w - CENTRE) ** 2).sum(axis=1, keepdims=True) + w @ PUSH[:, None]


def _crossed(w: Array) -> Array:
    """Three metrics, each best at a mixture of its own; metric 2 likes what metric 1 does not."""
    return (
        2.0
        + (
            0.1
            + np.sqrt(w + 1e-6)
            @ np.array([[2.0, 0.2, 0.1], [0.3, 1.5, 0.1], [0.1, 0.1, 1.0], [0.2, 0.2, 0.05]])
        )
        ** -0.8
    )


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("curve", "d", "expected"),
    [
        pytest.param(_exponential, 2, [0.55114, 0.44886], id="T1"),
        pytest.param(_powers, 3, [0.27984, 0.53403, 0.18614], id="T4"),
        pytest.param(_on_a_face, 6, CENTRE, id="face"),
    ],
)
def test_known_minima(plant: Plant, curve: Any, d: int, expected: Any) -> None:
    problem = plant(curve, d)
    solution = Exact().solve(problem, _rng())
    np.testing.assert_allclose(solution.row, expected, atol=2e-5)
    assert solution.certified
    assert solution.gap < 1e-6
    np.testing.assert_allclose(Exact().propose(problem, 1, _rng())[0], expected, atol=1.01e-4)


def test_shares_on_a_face_are_exactly_zero(plant: Plant) -> None:
    row = Exact().propose(plant(_on_a_face, 6), 1, _rng())[0]
    assert (row[3:] == 0).all()


def test_one_metric_fills_the_vertex_of_the_capped_simplex(plant: Plant) -> None:
    space = Space([Domain("a", maximum=0.3), Domain("b", maximum=0.5), Domain("c"), Domain("d")])
    cost = np.array([[0.0], [1.0], [2.0], [3.0]])
    row = Exact().propose(plant(lambda w: w @ cost, space), 1, _rng())[0]
    np.testing.assert_allclose(row, [0.3, 0.5, 0.2, 0.0], atol=1e-12)


@pytest.mark.parametrize("strength", [1e6, np.inf])
def test_a_strong_pull_gives_the_prior_inside_the_limits(plant: Plant, strength: float) -> None:
    space = Space(
        [Domain("a", maximum=0.4), Domain("b"), Domain("c")], prior={"a": 0.6, "b": 0.3, "c": 0.1}
    )
    row = Exact(strength=strength).propose(plant(_powers, space), 1, _rng())[0]
    np.testing.assert_allclose(row, space.reference, atol=2e-4)


def test_a_pull_moves_the_answer_towards_the_prior_step_by_step(plant: Plant) -> None:
    problem = plant(_on_a_face, 6)
    away = [
        distance(
            problem.space,
            Exact(strength=strength).solve(problem, _rng()).row[None],
            problem.space.reference,
        )[0]
        for strength in (0.0, 0.1, 1.0, 10.0)
    ]
    assert (np.diff(away) < 1e-6).all()
    assert away[0] > 4 * away[-1]


@pytest.mark.parametrize("method", BY_LAW)
def test_a_constant_objective_returns_the_prior(plant: Plant, method: str) -> None:
    space = Space([Domain("a"), Domain("b")], prior={"a": 0.7, "b": 0.3})
    problem = plant(lambda w: np.full((len(w), 2), 3.0), space)
    np.testing.assert_allclose(propose(method, problem, 1, _rng())[0], [0.7, 0.3], atol=1e-12)


def test_an_affine_rescale_of_the_metrics_changes_nothing(plant: Plant) -> None:
    one = plant(_crossed, 4)
    two = plant(lambda w: 50.0 + 1000.0 * _crossed(w), 4)
    for strength in (0.0, 0.5):
        proposer = Exact(strength=strength)
        np.testing.assert_allclose(
            proposer.solve(two, _rng()).row, proposer.solve(one, _rng()).row, atol=2e-5
        )


def test_relabelling_the_domains_relabels_the_answer(plant: Plant) -> None:
    order = [2, 0, 3, 1]
    back = np.argsort(order)
    one = Exact().solve(plant(_crossed, 4), _rng()).row
    two = Exact().solve(plant(lambda w: _crossed(w[:, back]), 4), _rng()).row
    np.testing.assert_allclose(two, one[order], atol=2e-5)


@pytest.mark.parametrize("kind", ["relative", "token", "worst", "absolute"])
def test_no_sample_is_better(plant: Plant, kind: str) -> None:
    space = Space([Domain(name) for name in "abcd"])
    problem = plant(_crossed, space, kind=kind)
    row = Exact().propose(problem, 1, _rng())
    dense = np.concatenate(
        [
            space.uniform(20_000, np.random.default_rng(1)),
            np.random.default_rng(2).dirichlet(np.full(4, 0.3), 20_000),
        ]
    )
    goal = Goal.of(problem)
    assert goal.values(row)[0] <= goal.values(dense).min() + 1e-3


def test_the_worst_metric_is_levelled_to_a_hundredth_of_a_spread(plant: Plant) -> None:
    problem = plant(lambda w: np.exp(np.stack([w[:, 0] - 0.7, 0.5 - w[:, 0]], axis=1)), 2, "worst")
    goal = Goal.of(problem)
    grid = np.linspace(0, 1, 100_001)
    best = goal.values(np.stack([grid, 1 - grid], axis=1)).min()
    found = Exact().propose(problem, 1, _rng())
    assert goal.values(found)[0] <= best + 0.01


def test_ceilings_are_kept(plant: Plant) -> None:
    free = plant(_crossed, 4)
    assert free.law is not None
    unbound = free.law.predict(Exact().propose(free, 1, _rng()))[0]
    ceilings = np.array([np.inf, np.inf, 0.99 * unbound[2]])
    bound = plant(_crossed, 4, ceilings=ceilings)
    found = Exact().propose(bound, 1, _rng())
    assert free.law.predict(found)[0, 2] <= ceilings[2] * (1 + 1e-4)
    dense = free.space.uniform(20_000, np.random.default_rng(1))
    assert Goal.of(bound).values(found)[0] <= Goal.of(bound).values(dense).min() + 0.01


LIMITED = Space(
    [
        Domain("a", tokens=5.0, minimum=0.0),
        Domain("b", tokens=100.0),
        Domain("c", tokens=40.0, maximum=0.35),
        Domain("d", tokens=0.0, minimum=0.0),
    ],
    target_tokens=100.0,
    constraints=[Constraint("pair", {"a": 1.0, "c": 1.0}, maximum=0.45)],
)
PHASED = Space(
    [Domain("a", tokens=5.0, minimum=0.0), Domain("b", tokens=100.0), Domain("c", tokens=40.0)],
    target_tokens=100.0,
    phases=(0.8, 0.2),
)


@pytest.mark.parametrize("method", BY_LAW)
@pytest.mark.parametrize("space", [LIMITED, PHASED], ids=["limits", "phases"])
def test_every_candidate_is_legal_rounded_and_its_own(
    plant: Plant, method: str, space: Space
) -> None:
    def curve(w: Array) -> Array:
        worth = 1.0 + np.arange(space.width) / space.width
        return (worth / (w + 0.05)).sum(axis=1, keepdims=True)

    proposer = make(PROPOSERS, "proposer", method, {"samples": 2000})
    rows = proposer.propose(plant(curve, space, sd=0.5), 4, _rng())
    assert len(rows) == 4
    assert space.contains(rows, tol=1e-8).all()
    phases = rows.reshape(len(rows), len(space.phases), space.d)
    np.testing.assert_allclose(phases.sum(axis=2), 1.0, atol=1e-9)
    np.testing.assert_allclose(rows * 1e4, np.round(rows * 1e4), atol=1e-6)
    for i, row in enumerate(rows[1:], start=1):
        assert distance(space, rows[:i], row).min() >= 0.1 - 1e-9


def test_the_best_candidate_comes_first(plant: Plant) -> None:
    problem = plant(_crossed, 4, sd=0.1)
    values = Goal.of(problem).values(Exact().propose(problem, 6, _rng()))
    assert list(values) == sorted(values)


def test_same_seed_same_answer(plant: Plant) -> None:
    problem = plant(_crossed, 4, sd=0.1)
    one, two = (Exact().propose(problem, 4, _rng()) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("method", BY_LAW)
def test_one_domain_leaves_one_mixture(plant: Plant, method: str) -> None:
    rows = propose(method, plant(lambda w: w + 1.0, 1), 3, _rng())
    np.testing.assert_array_equal(rows, [[1.0]])


def test_small_shares_that_matter_stay_and_floors_are_kept(plant: Plant) -> None:
    needed = np.array([1.0, 1.0, 1e-4])

    def curve(w: Array) -> Array:  # a little of the third domain is worth a lot
        return (needed / (w + 1e-6)).sum(axis=1, keepdims=True)

    space = Space([Domain("a"), Domain("b"), Domain("c", maximum=0.0015)])
    assert Exact().propose(plant(curve, space), 1, _rng())[0, 2] == pytest.approx(0.0015)
    floored = Space([Domain("a"), Domain("b"), Domain("c", minimum=0.001)])
    useless = plant(lambda w: (w[:, :1] - 0.5) ** 2 + w[:, 2:], floored)
    assert Exact().propose(useless, 1, _rng())[0, 2] == pytest.approx(0.001)


def test_a_small_share_that_hardly_matters_is_dropped(plant: Plant) -> None:
    centre = np.array([0.6, 0.3985, 0.0015])
    problem = plant(lambda w: ((w - centre) ** 2).sum(axis=1, keepdims=True), 3)
    row = Exact().solve(problem, _rng()).row
    assert row[2] == 0 or row[2] == pytest.approx(0.0015, abs=1e-5)
    far = plant(lambda w: ((w - centre) ** 2).sum(axis=1, keepdims=True), 3)
    assert Exact(samples=64).solve(far, _rng()).row[2] == 0


def test_a_law_of_steps_is_searched_by_samples_and_their_means(plant: Plant) -> None:
    centre = np.array([0.5, 0.3, 0.2, 0.0])

    def stairs(w: Array) -> Array:
        return np.ceil(20 * np.abs(w - centre).sum(axis=1, keepdims=True))

    problem = plant(stairs, 4)
    solution = Exact().solve(problem, _rng())
    assert np.isnan(solution.gap)
    assert not solution.certified
    rows = Exact().propose(problem, 3, _rng())
    samples = problem.space.uniform(4096, np.random.default_rng(1))
    assert stairs(rows[:1])[0, 0] <= stairs(samples).min() + 1
    assert np.abs(rows[0] - centre).sum() < 0.2


def test_mixtures_whose_losses_cannot_be_are_never_proposed(plant: Plant) -> None:
    def plunges(w: Array) -> Array:  # below zero where nothing was measured
        return 1.0 + 2.0 * w[:, :1] - 400.0 * np.maximum(w[:, 1:2] - 0.99, 0.0)

    problem = plant(plunges, 2, kind="relative")
    for method in BY_LAW:
        proposer = make(PROPOSERS, "proposer", method, {"samples": 2000})
        for row in proposer.propose(problem, 2, _rng()):
            assert plunges(row[None])[0, 0] > 0


def test_a_problem_without_a_law_says_what_to_run(plant: Plant) -> None:
    problem = plant(_crossed, 4)
    with pytest.raises(DataError, match="mixopt fit"):
        propose("exact", replace(problem, law=None), 1, _rng())
    with pytest.raises(DataError, match="objective"):
        propose("exact", replace(problem, objective=None), 1, _rng())
    with pytest.raises(DataError, match="got 0"):
        propose("exact", problem, 0, _rng())
    with pytest.raises(ConfigError, match="did you mean 'exact'"):
        propose("exakt", problem, 1, _rng())
