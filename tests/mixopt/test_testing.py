"""The public contracts: everything registered keeps them, and broken parts do not pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pytest

from mixopt.designs import DESIGNS, make_design
from mixopt.designs.base import Design
from mixopt.laws.ridge import Ridge
from mixopt.online import CONTROLLERS, make_controller
from mixopt.online.base import Controller, Feedback
from mixopt.problem import Problem
from mixopt.proposers import PROPOSERS
from mixopt.proposers.base import Proposer
from mixopt.registry import make
from mixopt.testing import (
    CONTROLLER_CHECKS,
    DESIGN_CHECKS,
    LAW_CHECKS,
    PROPOSER_CHECKS,
    check_controller_resume,
    check_controller_weights,
    check_design_points,
    check_design_repeats,
    check_inputs_are_not_written,
    check_proposal_is_good,
    check_proposals,
    check_state_round_trip,
)

SETTINGS = {
    "static": {"schedule": ((0.4, np.array([0.2, 0.8])), (0.6, np.array([0.5, 0.5])))},
}


@pytest.mark.parametrize("check", DESIGN_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_design_keeps_the_contract(name, check):
    check(make_design(name))


@pytest.mark.parametrize("check", PROPOSER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(PROPOSERS))
def test_proposer_keeps_the_contract(name, check):
    check(make(PROPOSERS, "proposer", name, {}))


@pytest.mark.parametrize("check", CONTROLLER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(CONTROLLERS))
def test_controller_keeps_the_contract(name, check):
    check(make_controller(name, SETTINGS.get(name, {})))


@pytest.mark.parametrize("checks", [LAW_CHECKS, DESIGN_CHECKS, PROPOSER_CHECKS, CONTROLLER_CHECKS])
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
