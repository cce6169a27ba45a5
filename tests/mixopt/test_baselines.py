"""Baselines: what they are, that they stay inside the limits, and that equal ones appear once."""

import numpy as np
import pytest

from mixopt.baselines import baselines, named, unimax
from mixopt.errors import DataError
from mixopt.space import Constraint, Domain, Space


def three(**settings):
    domains = [Domain("web", tokens=10e6), Domain("code", tokens=4e6), Domain("law", tokens=1e6)]
    return Space(domains, **settings)


def test_unimax_published_example():  # methods.md T11
    np.testing.assert_allclose(unimax(np.array([1, 10, 10]) / 12), np.array([1, 5.5, 5.5]) / 12)


def test_unimax_does_not_depend_on_the_order():
    caps = np.array([0.05, 1.0, 0.2, 0.3, 0.02])
    order = [3, 1, 4, 0, 2]
    np.testing.assert_allclose(unimax(caps[order]), unimax(caps)[order])


def test_loose_limits_leave_the_plain_mixtures():
    rivals = baselines(three(), {"mine": np.array([0.2, 0.2, 0.6])})
    assert list(rivals) == ["mine", "natural", "uniform", "tempered"]
    np.testing.assert_allclose(rivals["natural"].row, np.array([10, 4, 1]) / 15)
    np.testing.assert_allclose(rivals["uniform"].row, 1 / 3)
    roots = np.sqrt([10, 4, 1])
    np.testing.assert_allclose(rivals["tempered"].row, roots / roots.sum())
    assert rivals["uniform"].aliases == ("unimax",)
    assert not any(item.projected for item in rivals.values())


def test_all_are_moved_into_the_limits_and_say_so():
    space = three(
        target_tokens=20e6, constraints=[Constraint("c", {"web": 1.0}, minimum=0.3, maximum=0.6)]
    )
    rivals = baselines(space, {"mine": np.array([0.7, 0.2, 0.1])}, ["law"])
    rows = np.stack([item.row for item in rivals.values()])
    assert space.contains(rows, tol=1e-9).all()
    assert [name for name, item in rivals.items() if item.projected] == [
        "mine",
        "natural",
        "uniform",
    ]
    np.testing.assert_allclose(rivals["natural"].row, space.reference, atol=1e-9)
    np.testing.assert_allclose(named(rivals, "objective_domains").row, [0.4, 0.4, 0.2], atol=1e-9)


def test_the_objectives_own_domains_in_equal_shares():
    space = three()
    own = baselines(space, {}, ["code", "law", "unseen"])["objective_domains"]
    assert own.row[0] == pytest.approx(space.lower[0])
    assert own.row[1] == pytest.approx(own.row[2])
    assert "objective_domains" not in baselines(space, {}, ["unseen"])
    assert "objective_domains" not in baselines(space, {}, ["web", "code", "law"])


def test_the_objectives_weights_as_a_mixture():
    rivals = baselines(three(), {}, (), {"web": 0.1, "law": 0.3, "unseen": 0.6})
    assert rivals["objective_shares"].row[2] > 0.7
    same = baselines(three(), {}, ["web", "law"], {"web": 0.5, "law": 0.5})
    assert same["objective_domains"].aliases == ("objective_shares",)


def test_equal_mixtures_appear_once_under_their_first_name():
    rivals = baselines(three(), {"mine": np.array([10.0, 4.0, 1.0]) / 15})
    assert rivals["mine"].aliases == ("natural",)
    assert "natural" not in rivals
    assert named(rivals, "natural") is rivals["mine"]
    assert named(rivals, "mine") is rivals["mine"]
    with pytest.raises(DataError, match="did you mean 'tempered'"):
        named(rivals, "temperd")


def test_nothing_is_called_natural_without_token_counts():
    rivals = baselines(Space([Domain("web"), Domain("code")]), {})
    assert list(rivals) == ["uniform"]
    assert rivals["uniform"].aliases == ("natural", "unimax", "tempered")


def test_natural_is_by_tokens_even_with_a_prior_of_the_users_own():
    space = three(prior={"web": 0.2, "code": 0.2, "law": 0.6})
    natural = baselines(space, {})["natural"].row
    np.testing.assert_allclose(natural, np.array([10, 4, 1]) / 15, atol=0.02)


def test_a_name_of_the_users_own_is_kept():
    rivals = baselines(three(), {"uniform": np.array([0.5, 0.25, 0.25])})
    assert rivals["uniform"].row.tolist() == [0.5, 0.25, 0.25]


def test_schedules_repeat_the_mixture():
    rivals = baselines(three(phases=[0.6, 0.4]), {})
    for item in rivals.values():
        np.testing.assert_allclose(item.row[:3], item.row[3:], atol=1e-9)
