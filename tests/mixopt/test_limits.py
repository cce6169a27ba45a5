"""Limits: what is said when no mixture meets them, and that the advice works."""

import re

import pytest

from mixopt.errors import InfeasibleError
from mixopt.space import Constraint, Domain, Space


def reason(domains, **settings):
    with pytest.raises(InfeasibleError) as caught:
        Space(domains, **settings)
    return str(caught.value)


def test_caps_name_the_smallest_budget_and_epoch_count():
    domains = [Domain("web", tokens=1e6), Domain("code", tokens=0.55e6)]
    assert reason(domains, target_tokens=10e6) == (
        "the caps admit at most 62 % of the target's 10M tokens: "
        "lower [target] tokens to 6.2M or raise max_epochs to 6.5"
    )


def test_the_advice_is_enough_and_hardly_more_than_enough():
    tokens = {"web": 1.234e6, "code": 0.517e6, "law": 0.0711e6}

    def space(target, epochs=4.0):
        domains = [Domain(name, tokens=count, max_epochs=epochs) for name, count in tokens.items()]
        return Space(domains, target_tokens=target)

    with pytest.raises(InfeasibleError) as caught:
        space(13e6)
    found = re.search(r"tokens to ([\d.]+)M or raise max_epochs to ([\d.]+)", str(caught.value))
    assert found is not None
    target, epochs = float(found[1]) * 1e6, float(found[2])
    space(target)
    space(13e6, epochs)
    with pytest.raises(InfeasibleError):
        space(target * 1.01)
    with pytest.raises(InfeasibleError):
        space(13e6, epochs - 0.1)


def test_different_epoch_counts_are_raised_by_a_factor():
    domains = [Domain("web", tokens=1e6), Domain("code", tokens=1e6, max_epochs=1.0)]
    assert "raise every max_epochs by a factor of 2" in reason(domains, target_tokens=10e6)


def test_a_minimum_above_a_cap_is_a_matter_of_caps():
    domains = [Domain("web"), Domain("code", tokens=1e6, minimum=0.8)]
    assert "lower [target] tokens to 5M" in reason(domains, target_tokens=10e6)


def test_caps_over_phases_are_counted_once():
    domains = [Domain("web", tokens=1e6), Domain("code", tokens=0.55e6)]
    words = reason(domains, target_tokens=10e6, phases=[0.5, 0.3, 0.2])
    assert "lower [target] tokens to 6.2M" in words


def test_bounds_that_contradict_each_other():
    assert "smallest shares add up to 1.1" in reason(
        [Domain("web", minimum=0.5), Domain("code", minimum=0.6)]
    )
    assert "largest shares add up to 0.5" in reason(
        [Domain("web", maximum=0.2), Domain("code", maximum=0.3)]
    )


def test_default_floors_that_are_in_the_way():
    words = reason(
        [Domain("web", tokens=9.0), Domain("code", tokens=1.0)],
        constraints=[Constraint("no web", {"web": 1.0}, maximum=0.05)],
    )
    assert "set min = 0" in words


def test_constraints_that_are_in_the_way_are_named():
    domains = [Domain("web"), Domain("code"), Domain("law", maximum=0.2)]
    bound = [
        Constraint("little web", {"web": 1.0}, maximum=0.1),
        Constraint("little code", {"code": 1.0}, maximum=0.5),
        Constraint("harmless", {"law": 1.0}, maximum=0.15),
    ]
    assert reason(domains, constraints=bound) == (
        "no mixture meets all limits: loosen 'little web' or 'little code'"
    )
