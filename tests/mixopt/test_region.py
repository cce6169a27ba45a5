"""The sampled region: whatever lies inside has the support of three runs, and limits still hold."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixopt.gain import support
from mixopt.region import held_back, sampled_region
from mixopt.space import Domain, Space

SPACE = Space([Domain(name) for name in "abcd"])


@given(seed=st.integers(0, 1000), concentration=st.floats(0.3, 10), runs=st.integers(3, 60))
def test_every_mixture_inside_is_supported(seed, concentration, runs):
    rng = np.random.default_rng(seed)
    train = rng.dirichlet(np.full(4, concentration), runs)
    region = sampled_region(SPACE, train)
    if region is None:  # the runs' own shares leave no room
        return
    rows = region.uniform(40, rng)
    assert SPACE.contains(rows).all()
    assert all(support(train, row) >= 3 for row in rows)


def test_a_domain_that_no_run_had_is_left_out():
    train = np.column_stack([np.random.default_rng(0).dirichlet(np.ones(3), 20), np.zeros(20)])
    region = sampled_region(SPACE, train)
    assert region is not None
    assert region.upper[3] == 0
    assert held_back(SPACE, region, np.array([0.4, 0.3, 0.3, 0.0])) == {"d": 0.0}


def test_two_runs_show_no_region():
    assert sampled_region(SPACE, np.full((2, 4), 0.25)) is None


def test_a_pick_away_from_the_bounds_is_not_held():
    train = np.random.default_rng(0).dirichlet(np.full(4, 20.0), 30)
    region = sampled_region(SPACE, train)
    assert region is not None
    assert held_back(SPACE, region, np.full(4, 0.25)) == {}
    edge = np.array([region.upper[0], *[(1 - region.upper[0]) / 3] * 3])
    assert list(held_back(SPACE, region, edge)) == ["a"]


def test_phases_are_bounded_by_the_tightest_of_them():
    space = Space([Domain("a"), Domain("b"), Domain("c")], phases=(0.8, 0.2))
    rng = np.random.default_rng(0)
    train = np.hstack([rng.dirichlet(np.ones(3), 40), rng.dirichlet(np.full(3, 10.0), 40)])
    region = sampled_region(space, train)
    assert region is not None
    assert all(support(train, row) >= 3 for row in region.uniform(50, rng))
