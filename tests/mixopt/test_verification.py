"""Verification: which mixtures are trained to find out whether a law's claims hold."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.laws.edl_gp import EDLGP
from mixopt.proposers import propose
from mixopt.proposers.base import APART, distance
from mixopt.space import Domain, Space
from mixopt.testing import planted_problem
from mixopt.verification import verification_picks


@pytest.fixture(scope="module")
def problem():
    return planted_problem(4, np.random.default_rng(0))


@pytest.fixture(scope="module")
def picks(problem):
    return verification_picks(problem, 4, np.random.default_rng(1))


def test_picks_are_legal_and_apart(problem, picks):
    assert picks.shape == (4, problem.space.width)
    assert problem.space.contains(picks).all()
    for i, row in enumerate(picks[:-1]):
        assert distance(problem.space, picks[i + 1 :], row).min() >= APART


def test_the_optimum_of_every_law_is_near_a_pick(problem, picks):
    table = problem.table
    mean = EDLGP().fit(table.weights, table.losses, table.info)
    for law in (mean, *mean.parts().values()):
        optimum = propose("exact", replace(problem, law=law), 1, np.random.default_rng(2))[0]
        assert distance(problem.space, picks, optimum).min() < APART + 0.01


def test_the_first_pick_is_the_optimum_of_both_laws_together(problem, picks):
    table = problem.table
    mean = EDLGP().fit(table.weights, table.losses, table.info)
    asked = replace(problem, law=mean)
    values = problem.objective.value(mean.predict(picks), mean.predict(picks)[0])
    assert values[0] == values.min()
    best = propose("exact", asked, 1, np.random.default_rng(2))[0]
    assert distance(problem.space, picks[:1], best)[0] < 0.02


def test_the_law_at_hand_is_not_asked(problem, picks):
    again = verification_picks(replace(problem, law=None), 4, np.random.default_rng(1))
    np.testing.assert_array_equal(again, picks)


def test_one_pick_is_the_first(problem, picks):
    one = verification_picks(problem, 1, np.random.default_rng(1))
    assert one.shape == (1, problem.space.width)
    assert distance(problem.space, one, picks[0])[0] < 0.02


def test_fewer_come_where_the_limits_leave_no_room(problem):
    narrow = Space(
        [Domain(name, minimum=0.24, maximum=0.26) for name in problem.space.names],
    )
    picks = verification_picks(replace(problem, space=narrow), 4, np.random.default_rng(1))
    assert 1 <= len(picks) < 4
    assert narrow.contains(picks).all()


@pytest.mark.parametrize(
    ("change", "count", "words"),
    [
        ({"table": None}, 4, "nothing to verify"),
        ({"objective": None}, 4, "no objective"),
        ({}, 0, "expected a count of 1 or more"),
    ],
)
def test_what_cannot_be_verified_is_refused(problem, change, count, words):
    with pytest.raises(DataError, match=words):
        verification_picks(replace(problem, **change), count, np.random.default_rng(1))
