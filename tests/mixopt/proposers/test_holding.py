"""holding: the best of fewer phases is the optimum of the law where phases are tied."""

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.laws import make_law
from mixopt.proposers import make_proposer
from mixopt.proposers.exact import Exact
from mixopt.proposers.holding import Held, Holding
from mixopt.space import Domain, Space

SPACE = Space([Domain("a"), Domain("b"), Domain("c")], phases=[0.5, 0.3, 0.2])
WISHES = np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7]])
"""What each phase would best be."""


def bowl(w):
    return (((w.reshape(-1, 3, 3) - WISHES) ** 2).sum(axis=2) @ SPACE.phases)[:, None]


def test_it_finds_the_tied_optimum(plant):
    problem, rng = plant(bowl, SPACE), np.random.default_rng(0)
    still = Holding(Exact(), 1).propose(problem, 1, rng)[0].reshape(3, 3)
    np.testing.assert_allclose(still, np.tile(SPACE.phases @ WISHES, (3, 1)), atol=2e-3)
    free = Holding(Exact(), 3).propose(problem, 1, rng)[0].reshape(3, 3)
    np.testing.assert_allclose(free, WISHES, atol=5e-3)


def test_it_chooses_which_phases_to_merge(plant):
    problem = plant(bowl, SPACE)
    two = Holding(Exact(), 2).propose(problem, 1, np.random.default_rng(0))[0].reshape(3, 3)
    np.testing.assert_array_equal(two[0], two[1])  # the two that wish for the same
    np.testing.assert_allclose(two, WISHES, atol=5e-3)


def test_fewer_phases_are_never_better(plant):
    problem, rng = plant(bowl, SPACE), np.random.default_rng(0)
    values = [bowl(Holding(Exact(), p).propose(problem, 1, rng))[0, 0] for p in (1, 2, 3)]
    assert values[0] > values[1] > values[2] - 1e-4


def test_candidates_stay_inside_the_limits_of_the_whole(plant):
    domains = [Domain("a", tokens=8e6), Domain("b", tokens=4e6), Domain("c", tokens=1e6)]
    space = Space(domains, phases=[0.5, 0.3, 0.2], target_tokens=20e6)
    for phases in (1, 2, 3):
        rows = Holding(Exact(), phases).propose(plant(bowl, space), 3, np.random.default_rng(0))
        assert space.contains(rows, tol=1e-6).all()
        assert (space.epochs(rows) <= 4.0 + 1e-6).all()


@pytest.mark.parametrize("phases", [0, 4])
def test_more_phases_than_there_are_is_an_error(plant, phases):
    with pytest.raises(ConfigError, match=r"1 to 3 phases, as many as \[target\]"):
        Holding(make_proposer("exact"), phases).propose(
            plant(bowl, SPACE), 1, np.random.default_rng(0)
        )


def test_a_held_law_says_what_the_law_says_of_repeated_mixtures():
    rng = np.random.default_rng(1)
    rows = np.hstack([rng.dirichlet(np.ones(3), 60) for _ in range(2)])
    losses = np.log(0.2 + rows[:, [1]]) * -0.5 + rows[:, [3]] + 0.01 * rng.standard_normal((60, 1))
    law = make_law("edl").fit(rows, losses)
    columns = np.array([0, 1, 2, 0, 1, 2])
    held = Held.of(law, columns)
    some = rng.dirichlet(np.ones(3), 5)
    for own, other in zip(
        held.predict(some, return_std=True), law.predict(some[:, columns], return_std=True)
    ):
        np.testing.assert_array_equal(own, other)
    numeric = np.stack(
        [
            (held.predict(some + step) - held.predict(some - step)) / 2e-6
            for step in 1e-6 * np.eye(3)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(held.gradient(some), numeric, rtol=1e-4, atol=1e-6)
    draws = held.sample(some, 3, np.random.default_rng(2))
    np.testing.assert_array_equal(draws, law.sample(some[:, columns], 3, np.random.default_rng(2)))
    assert held.train_weights_.shape == (60, 3)
