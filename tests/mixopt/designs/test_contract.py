"""Every registered design keeps the contract: legal, distinct, repeatable points of any space."""

import numpy as np
import pytest

from mixopt.designs import DESIGNS, make_design
from mixopt.errors import ConfigError, DataError
from mixopt.problem import Problem
from mixopt.space import Constraint, Domain, Space

TOKENS = (30e6, 20e6, 10e6, 4e6, 1e6, 0.5e6, 0.3e6, 0.2e6)
FAST = {
    "spacefill": {"pool": 400, "targets": 200},
    "doptimal": {"pool": 200, "exchanges": 1},
    **{
        name: {"first": "sobol"}  # without a table a search covers the space
        for name in ("auto", "bo", "edl_gp_ts", "edl_greedy", "edl_ts", "mfbo", "verify")
    },
}


def eight(**settings):
    return Space([Domain(f"d{j}", tokens=count) for j, count in enumerate(TOKENS)], **settings)


SPACES = {
    "loose": eight(),
    "capped": eight(target_tokens=60e6).widened(2.0),
    "tight": eight(target_tokens=260e6),
    "groups": eight(
        target_tokens=60e6,
        constraints=[Constraint("g", {"d0": 1.0, "d3": 1.0}, minimum=0.5, maximum=0.6)],
    ),
    "phases": eight(target_tokens=60e6, phases=[0.8, 0.2]),
    "unknown": Space([Domain("a"), Domain("b"), Domain("c")]),
    "two": Space([Domain("a"), Domain("b", maximum=0.2)]),
}


@pytest.fixture(params=sorted(DESIGNS))
def design(request):
    return make_design(request.param, FAST.get(request.param, {}))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
@pytest.mark.parametrize("count", [1, 2, 33])
def test_points_are_legal_and_distinct(design, space, count):
    points = design.plan(Problem(space), count, np.random.default_rng(0))
    assert points.shape == (count, space.width)
    assert (points >= 0).all()
    sums = points.reshape(count, len(space.phases), space.d).sum(axis=2)
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)
    assert space.contains(points, tol=1e-8).all()
    apart = np.abs(points[:, None] - points[None]).sum(axis=2) + 2 * np.eye(count)
    assert apart.min() > 1e-6


def test_the_same_generator_gives_the_same_points(design):
    space = SPACES["capped"]
    one, other, third = (
        design.plan(Problem(space), 9, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - third).max() > 0.01


def test_one_domain_leaves_one_point(design):
    points = design.plan(Problem(Space([Domain("only")])), 3, np.random.default_rng(0))
    assert points.tolist() == [[1.0], [1.0], [1.0]]


def test_every_domain_is_moved(design):
    """No column of a design is constant: a law could not learn what it does."""
    points = design.plan(Problem(SPACES["loose"]), 32, np.random.default_rng(1))
    assert (np.ptp(np.sqrt(points), axis=0) > 0.2).all()


def test_no_point_is_no_plan(design):
    with pytest.raises(DataError, match="count of 1 or more"):
        design.plan(Problem(SPACES["two"]), 0, np.random.default_rng(0))


def test_unknown_names_and_settings():
    with pytest.raises(ConfigError, match="did you mean 'sobol'"):
        make_design("sobel")
    with pytest.raises(ConfigError, match="did you mean 'temper'"):
        make_design("dirichlet", {"tempre": 1.0})
