"""Space: names and columns, shares by name, limits in words, copies, and what space.toml means."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from mixopt.config import SpaceFile
from mixopt.errors import ConfigError, DataError, InfeasibleError
from mixopt.space import Constraint, Domain, Space, space_from


def three(**settings):
    domains = [Domain("web", tokens=6e6), Domain("code", tokens=3e6), Domain("law", tokens=1e6)]
    return Space(domains, **settings)


def test_prior_follows_tokens_and_gives_default_floors():
    space = three(target_tokens=20e6)
    np.testing.assert_allclose(space.prior, [0.6, 0.3, 0.1])
    np.testing.assert_allclose(space.caps, [1.0, 0.6, 0.2])
    np.testing.assert_allclose(space.lower, [0.06, 0.03, 0.01])


def test_a_default_floor_is_a_tenth_of_the_cap_where_that_is_smaller_than_the_prior():
    space = three(target_tokens=20e6, prior={"web": 0.2, "code": 0.2, "law": 0.6})
    np.testing.assert_allclose(space.floors, [0.02, 0.02, 0.02])


def test_minimum_zero_removes_the_floor_by_name():
    space = Space([Domain("web", tokens=9.0, minimum=0.0), Domain("code", tokens=1.0)])
    np.testing.assert_allclose(space.lower, [0.0, 0.01])


def test_without_tokens_no_caps_no_floors_and_an_equal_prior():
    space = Space([Domain("web", tokens=5.0), Domain("code")], target_tokens=100.0)
    assert not space.has_prior
    np.testing.assert_allclose(space.prior, [0.5, 0.5])
    assert space.lower.tolist() == [0.0, 0.0]
    assert math.isnan(space.tokens[1])


def test_a_domain_without_any_token_gets_no_share():
    space = Space([Domain("web", tokens=9e6), Domain("gone", tokens=0.0)], target_tokens=9e6)
    np.testing.assert_allclose(space.project(np.array([[0.3, 0.7]])), [[1.0, 0.0]])


def test_reference_is_the_prior_inside_the_limits():
    space = Space(
        [Domain("web", tokens=9e6), Domain("code", tokens=1e6, max_epochs=1)],
        target_tokens=10e6,
        prior={"web": 0.5, "code": 0.5},
    )
    np.testing.assert_allclose(space.reference, [0.9, 0.1])
    assert space.contains(space.reference[None]).all()


def test_shares_by_name_are_put_in_order_and_renormalised():
    np.testing.assert_allclose(
        three().row({"law": 0.1, "web": 0.604, "code": 0.3}), np.array([0.604, 0.3, 0.1]) / 1.004
    )


def test_a_domain_left_out_of_a_complete_mixture_has_share_zero():
    assert three().row({"web": 0.5, "law": 0.5}).tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"web": 0.5, "cod": 0.5}, "no domain is called 'cod', did you mean 'code'"),
        ({"web": 0.5, "code": 0.3}, r"sum of 0.8 \('law' left out\)"),
        ({"web": 0.6, "code": 0.6, "law": -0.2}, "got -0.2 for 'law'"),
        ({"web": 0.6, "code": float("nan"), "law": 0.4}, "got nan for 'code'"),
        ({"web": 0.6, "code": 0.3, "law": 0.112}, "sum of 1.012"),
    ],
)
def test_a_wrong_mixture_is_one_sentence(mixture, words):
    with pytest.raises(DataError, match=words):
        three().row(mixture)


def test_frames_are_read_by_name():
    space = three()
    rows = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    shuffled = space.frame(rows)[["law", "web", "code"]]
    np.testing.assert_array_equal(space.rows(shuffled), rows)
    np.testing.assert_array_equal(space.rows([space.mapping(row) for row in rows]), rows)


def test_frames_with_other_columns_are_refused():
    frame = three().frame(np.array([[0.2, 0.3, 0.5]]))
    with pytest.raises(DataError, match="no column 'law', did you mean 'laws'"):
        three().rows(frame.rename(columns={"law": "laws"}))
    with pytest.raises(DataError, match="no domain is called 'loss'"):
        three().rows(frame.assign(loss=1.0))


def test_reading_shares_twice_changes_nothing():
    space = three()
    for row in np.random.default_rng(0).dirichlet(np.ones(3), 50):
        once = space.row(space.mapping(row))
        assert (space.row(space.mapping(once)) == once).all()


def test_phases_make_wide_rows_that_return_as_schedules():
    space = three(phases=[0.75, 0.25])
    row = np.array([0.2, 0.3, 0.5, 0.6, 0.4, 0.0])
    schedule = space.schedule(row)
    assert schedule[1] == (0.25, {"web": 0.6, "code": 0.4, "law": 0.0})
    np.testing.assert_array_equal(space.schedule_row(schedule), row)
    np.testing.assert_allclose(space.mean_shares(row[None]), [[0.3, 0.325, 0.375]])
    np.testing.assert_array_equal(space.rows(space.frame(row[None])), row[None])
    assert space.row({"web": 1.0}).tolist() == [1, 0, 0, 1, 0, 0]
    with pytest.raises(DataError, match=r"phases \[0.75, 0.25\], got \[0.5, 0.5\]"):
        space.schedule_row([(0.5, {"web": 1.0}), (0.5, {"web": 1.0})])


def test_caps_bind_the_mean_over_phases_and_bounds_each_phase():
    space = Space(
        [Domain("web"), Domain("code", tokens=1e6, maximum=0.5)],
        target_tokens=20e6,
        phases=[0.5, 0.5],
    )
    assert space.contains(np.array([[1.0, 0.0, 0.6, 0.4]])).all()
    assert not space.contains(np.array([[0.7, 0.3, 0.8, 0.2]])).any()
    assert not space.contains(np.array([[0.4, 0.6, 1.0, 0.0]])).any()


def test_epochs_are_tokens_read_by_tokens_there_are():
    space = Space([Domain("web"), Domain("code", tokens=2e6)], target_tokens=10e6)
    epochs = space.epochs(np.array([[0.4, 0.6]]))
    assert math.isnan(epochs[0, 0])
    assert epochs[0, 1] == pytest.approx(3.0)


def test_violations_name_the_limit_and_are_empty_inside():
    space = three(
        target_tokens=20e6, constraints=[Constraint("prose", {"web": 1, "law": 1}, maximum=0.8)]
    )
    assert space.violations(space.reference) == []
    words = " | ".join(space.violations(np.array([0.3, 0.0, 0.7])))
    assert "code has 0, its limits are 0.03 to 1" in words
    assert "law has 0.7, its cap is 0.2" in words
    assert "prose has 1, its limits are -inf to 0.8" in words
    assert "sum to 0.9" in space.violations(np.array([0.5, 0.3, 0.1]))[0]


def test_widened_moves_caps_only():
    space = three(
        target_tokens=20e6, constraints=[Constraint("prose", {"web": 1, "law": 1}, maximum=0.8)]
    )
    wide = space.widened(2.0)
    np.testing.assert_allclose(wide.caps, [1.0, 1.0, 0.4])
    np.testing.assert_array_equal(wide.lower, space.lower)
    assert wide.widened(0.5).to_json() == space.to_json()
    assert wide.violations(np.array([0.6, 0.05, 0.35])) == [
        "prose has 0.95, its limits are -inf to 0.8"
    ]


def test_relabelling_permutes_everything():
    space = three(target_tokens=20e6, constraints=[Constraint("c", {"web": 2, "law": 1}, 0.4, 1.1)])
    order = [2, 0, 1]
    other = space.relabelled(order)
    assert other.names == ("law", "web", "code")
    for name in ("prior", "lower", "upper", "caps", "tokens"):
        np.testing.assert_array_equal(getattr(other, name), getattr(space, name)[order])
    np.testing.assert_allclose(other.reference, space.reference[order], atol=1e-9)


def test_json_round_trip():
    space = three(
        target_tokens=20e6,
        prior={"web": 0.5, "code": 0.25, "law": 0.25},
        constraints=[Constraint("c", {"web": 1.0}, minimum=0.1)],
        phases=[0.9, 0.1],
        cap_factor=2.0,
    )
    values = json.loads(json.dumps(space.to_json(), allow_nan=False))
    again = Space.from_json(values)
    assert again.to_json() == space.to_json()
    np.testing.assert_array_equal(again.reference, space.reference)


def test_arrays_are_read_only():
    space = three()
    with pytest.raises(ValueError, match="read-only"):
        space.prior[0] = 1.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Domain("Web"), "a domain's name of a-z"),
        (lambda: Domain("web", minimum=0.5, maximum=0.4), "0 <= min <= max <= 1"),
        (lambda: Domain("web", tokens=-1.0), "tokens of 0 or more"),
        (lambda: Domain("web", max_epochs=0.0), "max_epochs above 0"),
        (lambda: Space([]), "one domain or more"),
        (lambda: Space([Domain("web"), Domain("web")]), "'web' is named twice"),
        (lambda: three(phases=[0.5, 0.6]), "phases above 0 that sum to 1"),
        (lambda: three(target_tokens=0.0), "target tokens above 0"),
        (lambda: three(constraints=[Constraint("c", {"cod": 1})]), "did you mean 'code'"),
    ],
)
def test_contradictions_are_config_errors(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_rows_of_another_width_are_refused():
    with pytest.raises(DataError, match=r"shape \(k, 3\), got \(1, 2\)"):
        three().project(np.array([[0.5, 0.5]]))
    with pytest.raises(DataError, match="negative"):
        three().project(np.array([[0.5, 0.7, -0.2]]))


SPEC = {
    "domain": {
        "web": {"group": "prose", "max": 0.9},
        "code": {"tokens": 5e6, "min": 0.0, "max_epochs": 2.0},
        "law": {"group": "prose"},
        "unseen": {"train": False},
    },
    "groups": {"prose": {"max": 0.7}},
    "constraint": [{"name": "balance", "coefficients": {"web": 1.0, "code": -1.0}, "min": 0.0}],
    "target": {"tokens": 20e6},
}


def test_space_of_a_file():
    space = space_from(SpaceFile.model_validate(SPEC), {"web": 30e6, "code": 1.0, "law": 1e6})
    assert space.names == ("web", "code", "law")
    assert space.tokens.tolist() == [30e6, 5e6, 1e6]
    np.testing.assert_allclose(space.caps, [1.0, 0.5, 0.2])
    assert space.lower[1] == 0.0
    assert space.violations(np.array([0.3, 0.5, 0.2])) == [
        "balance has -0.2, its limits are 0 to inf"
    ]
    assert space.violations(np.array([0.6, 0.2, 0.2])) == [
        "group prose has 0.8, its limits are 0 to 0.7"
    ]


def test_space_of_a_file_that_cannot_be_met():
    spec = SpaceFile.model_validate({**SPEC, "target": {"tokens": 200e6}})
    with pytest.raises(InfeasibleError, match="the caps admit at most"):
        space_from(spec, {"web": 3e6, "law": 1e6})


def test_a_frame_may_hold_other_number_types():
    frame = pd.DataFrame({"web": [1], "code": [0], "law": [0]})
    assert three().rows(frame).tolist() == [[1.0, 0.0, 0.0]]
