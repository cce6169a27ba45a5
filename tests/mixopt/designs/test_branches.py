"""branched: legal schedules on few trunks, whose last phases still cover what the design covers."""

import numpy as np
import pytest

from mixopt.designs import make_design
from mixopt.designs.blocks import plan_swarm
from mixopt.designs.branches import branched
from mixopt.errors import ConfigError
from mixopt.problem import Problem
from mixopt.space import Constraint, Domain, Space

TOKENS = {"a": 30e6, "b": 10e6, "c": 4e6, "d": 1e6}


def space_of(**settings):
    domains = [Domain(name, tokens=count) for name, count in TOKENS.items()]
    return Space(domains, phases=[0.5, 0.3, 0.2], **settings)


SPACES = {
    "loose": space_of(),
    "capped": space_of(target_tokens=100e6),
    "grouped": space_of(constraints=[Constraint("g", {"a": 1.0, "b": 1.0}, maximum=0.6)]),
    "fixed": space_of(constraints=[Constraint("g", {"a": 1.0}, minimum=0.3, maximum=0.3)]),
}


def planned(space, count=24):
    return make_design("sobol").plan(Problem(space), count, np.random.default_rng(0))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
@pytest.mark.parametrize("branches", [1, 2, 3, 5])
def test_branches_are_legal_and_differ_in_the_last_phase_alone(space, branches):
    rows = planned(space)
    points, trunk = branched(space, rows, branches)
    assert space.contains(points, tol=1e-8).all()
    lead = points[:, : -space.d]
    for index, own in enumerate(trunk):
        np.testing.assert_array_equal(lead[index], rows[own, : -space.d])
        if index != own:
            assert np.abs(points[index] - points[own]).sum() > 1e-3
    assert len(np.unique(np.round(points, 9), axis=0)) == len(points)
    if branches == 1:
        np.testing.assert_array_equal(points, rows)


def test_without_limits_there_are_as_few_trunks_as_asked_for():
    points, trunk = branched(SPACES["loose"], planned(SPACES["loose"]), 3)
    assert np.bincount(trunk).tolist() == [3] * 8
    wanted = planned(SPACES["loose"])[:, -4:]
    np.testing.assert_allclose(points[:, -4:], wanted, atol=1e-12)  # last phases are the design's


def test_what_is_fixed_over_all_phases_leaves_no_branches():
    _, trunk = branched(SPACES["fixed"], planned(SPACES["fixed"]), 3)
    assert trunk.tolist() == list(range(24))


def test_points_of_a_trunk_are_trained_under_one_seed():
    space = SPACES["capped"]
    points, trunk = branched(space, planned(space), 3)
    rng = np.random.default_rng(0)
    runs = plan_swarm(points, space.reference, [1, 2, 3, 4], rng, trunk)
    block = {run.index: run.block for run in runs if run.role == "design"}
    assert all(block[index] == block[own] for index, own in enumerate(trunk))
    assert len(set(block.values())) == 4


def test_mixtures_of_one_phase_have_no_branches():
    space = Space([Domain("a"), Domain("b")])
    with pytest.raises(ConfigError, match=r"set phases under \[target\]"):
        branched(space, space.uniform(4, np.random.default_rng(0)), 2)
