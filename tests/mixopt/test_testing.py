"""The public contracts: everything registered keeps them, and broken parts do not pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixopt.designs import DESIGNS, make_design
from mixopt.designs.base import Design
from mixopt.laws.ridge import Ridge
from mixopt.online import CONTROLLERS, make_controller
from mixopt.online.base import Controller, Feedback
from mixopt.online.budget import Budget
from mixopt.online.uniform import Uniform
from mixopt.problem import Problem
from mixopt.proposers import PROPOSERS
from mixopt.proposers.base import Proposer
from mixopt.registry import make
from mixopt.testing import (
    BUDGET_CHECKS,
    CONTROLLER_CHECKS,
    DESIGN_CHECKS,
    LAW_CHECKS,
    PROPOSER_CHECKS,
    check_controller_caps,
    check_controller_foreign_state,
    check_controller_resume,
    check_controller_scarce,
    check_controller_weights,
    check_design_points,
    check_design_repeats,
    check_inputs_are_not_written,
    check_proposal_is_good,
    check_proposals,
    check_state_round_trip,
    follow,
)

BUDGET = Budget.of(["web", "law", "new"], prior={"web": 0.6, "law": 0.3, "new": 0.1})
STATIC = {"schedule": ((0.4, np.array([0.2, 0.8])), (0.6, np.array([0.5, 0.5])))}
VARIANTS = {
    "schedule": [{"phases": [[0.5, {"DOMAIN": 1.0}], [0.5, {"DOMAIN": 1.0}]]}],
    "odm": [{}, {"form": "published"}, {"form": "cumulative"}],
    "doge": [{}, {"toward": "targets"}, {"self_term": False}],
    "aioli": [{}, {"learning": "run", "rounds": 1, "refresh": 12}, {"average": 0.1}],
    "tikmix": [{}, {"form": "regression", "runs": 5}],
}
"""Settings of controllers with several forms."""
ONLINE = [
    (name, settings)
    for name in sorted(CONTROLLERS)
    if name != "static"
    for settings in VARIANTS.get(name, [{}])
]


def controller_of(name, settings, budget):
    """A controller for a budget; a schedule begins with the first domain and ends with the last."""
    if name == "schedule":
        ends = (budget.names[0], budget.names[-1])
        settings = {"phases": [[0.5, {ends[0]: 1.0}], [0.5, {ends[1]: 1.0}]]}
    return make_controller(name, {"budget": budget, **settings})


@pytest.mark.parametrize("check", DESIGN_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_design_keeps_the_contract(name, check):
    check(make_design(name))


@pytest.mark.parametrize("check", PROPOSER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(PROPOSERS))
def test_proposer_keeps_the_contract(name, check):
    check(make(PROPOSERS, "proposer", name, {}))


@pytest.mark.parametrize("check", CONTROLLER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "settings"), ONLINE)
def test_controller_keeps_the_contract(name, settings, check):
    check(controller_of(name, settings, BUDGET))


@pytest.mark.parametrize("check", CONTROLLER_CHECKS, ids=lambda check: check.__name__)
def test_static_keeps_the_contract(check):
    check(make_controller("static", STATIC))


@pytest.mark.parametrize("check", BUDGET_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "settings"), ONLINE)
def test_controller_keeps_to_its_budget(name, settings, check):
    check(lambda budget: controller_of(name, settings, budget))


@pytest.mark.parametrize(("name", "settings"), ONLINE)
@settings_(max_examples=12)
@given(losses=arrays(np.float64, (4, 3), elements=st.floats(width=32)))
def test_controller_stays_on_the_simplex(name, settings, losses):
    follow(controller_of(name, settings, BUDGET), losses)


@pytest.mark.parametrize(
    "checks", [LAW_CHECKS, DESIGN_CHECKS, PROPOSER_CHECKS, CONTROLLER_CHECKS, BUDGET_CHECKS]
)
def test_every_check_says_what_it_checks(checks):
    assert all(check.__name__.startswith("check_") and check.__doc__ for check in checks)


@dataclass
class _Careless(Ridge):
    """Writes to the losses it was given."""

    def fit(self, weights, losses, info=None):
        losses -= 0.0
        return super().fit(weights, losses, info)


@dataclass
class _Forgetful(Ridge):
    """Leaves its scale out of its state."""

    def state(self) -> dict[str, Any]:
        return {**super().state(), "spread_": np.ones(3)}


@dataclass
class _Lawless(Design):
    """Ignores caps and repeats itself only by chance."""

    def _plan(self, space, count, rng):
        return np.random.default_rng().dirichlet(np.ones(space.width), count)


@dataclass
class _Monotonous(Proposer):
    """The reference, again and again."""

    def _propose(self, problem: Problem, count, rng):
        return np.tile(problem.space.reference, (count, 1))


@dataclass
class _Drifting(Controller):
    """Adds up losses, NaN too, and restores none of it."""

    total: float = 0.0

    def weights(self):
        return np.array([0.5, 0.5 + self.total])

    def observe(self, feedback: Feedback) -> None:
        self.total += float(feedback.train_loss[0])

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> Self:
        return self


class _Spendthrift(Uniform):
    """Draws equal shares, whatever there is left."""

    def weights(self):
        return np.full(self.d, 1.0 / self.d)


class _Trusting(Uniform):
    """Goes on from the state of anyone."""

    def restore(self, state):
        return self


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (check_controller_caps, _Spendthrift),
        (check_controller_scarce, _Spendthrift),
        (check_controller_foreign_state, _Trusting),
    ],
)
def test_a_broken_controller_does_not_pass(check, broken):
    with pytest.raises(AssertionError):
        check(broken)


@pytest.mark.parametrize(
    ("check", "part"),
    [
        (check_inputs_are_not_written, _Careless()),
        (check_state_round_trip, _Forgetful()),
        (check_design_points, _Lawless()),
        (check_design_repeats, _Lawless()),
        (check_proposals, _Monotonous()),
        (check_proposal_is_good, _Monotonous()),
        (check_controller_weights, _Drifting()),
        (check_controller_resume, _Drifting()),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_broken_part_does_not_pass(check, part):
    with pytest.raises((AssertionError, ValueError)):
        check(part)
