"""simulate: RegMix's answer near known optima, and what a mean does near a corner."""

from collections.abc import Callable

import numpy as np
import pytest

from mixopt.problem import Problem
from mixopt.proposers.exact import Exact
from mixopt.proposers.simulate import Simulate, dirichlet_rows
from mixopt.space import Domain, Space

Plant = Callable[..., Problem]


def _bowl(centre: list[float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda w: 1.0 + ((w - np.array(centre)) ** 2).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("centre", "within"), [([0.4, 0.3, 0.15, 0.1, 0.05], 0.15), ([1.0, 0, 0, 0, 0], 0.3)]
)
def test_the_mean_of_the_best_is_near_the_optimum(
    plant: Plant, centre: list[float], within: float
) -> None:
    row = Simulate().propose(plant(_bowl(centre), 5), 1, np.random.default_rng(0))[0]
    assert np.abs(row - centre).sum() < within


def test_near_a_face_the_exact_answer_is_better(plant: Plant) -> None:
    centre = np.array([0.7, 0.3, 0, 0, 0, 0, 0, 0, 0, 0])
    problem = plant(_bowl(centre.tolist()), 10)
    mean = Simulate(samples=5000).propose(problem, 1, np.random.default_rng(0))[0]
    exact = Exact().propose(problem, 1, np.random.default_rng(0))[0]
    assert np.abs(exact - centre).sum() < np.abs(mean - centre).sum() / 10


def test_samples_are_legal_and_reach_from_the_prior_to_the_faces() -> None:
    space = Space([Domain("a", maximum=0.6), *(Domain(f"d{j}") for j in range(5))])
    rows = dirichlet_rows(space, 2000, np.random.default_rng(0))
    assert space.contains(rows).all()
    near = np.abs(rows - space.reference).sum(axis=1)
    assert near.min() < 0.5
    assert (rows.max(axis=1) > 0.95).any()
