"""Closed forms of proposers: the tests T1-T5, T11, T18, T21-T23 of the methods' catalogue.

T18 (reuse) is in test_reuse.py, next to what it is about.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from mixopt.errors import InfeasibleError
from mixopt.laws.base import Info, Law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.projection import project
from mixopt.proposers import PROPOSERS, propose
from mixopt.proposers.exact import Exact
from mixopt.proposers.experts import Experts
from mixopt.proposers.utilimax import UtiliMax
from mixopt.registry import load
from mixopt.space import Domain, Space
from mixopt.testing import table_of

BY_LAW = sorted(name for name in PROPOSERS if load(PROPOSERS, "proposer", name).needs_law)


class Known(Law):
    """A function of the weights that needs no fit."""

    convex = True

    def __init__(self, curve: Callable, slopes: Callable | None = None) -> None:
        self._curve, self._slopes = curve, slopes

    def _fit(self, weights: np.ndarray, losses: np.ndarray, info: Info) -> None:
        self.noise_ = np.zeros(losses.shape[1])

    def _predict(self, weights, scales):
        mean = self._curve(weights)
        return mean, np.zeros_like(mean)

    def gradient(self, weights):
        return super().gradient(weights) if self._slopes is None else self._slopes(weights)

    def sample(self, weights, draws, rng, scales=None):
        return np.repeat(self._curve(weights)[None], draws, axis=0)


def rng():
    return np.random.default_rng(0)


def problem_of(curve, space, slopes=None):
    weights = space.uniform(40, rng())
    losses = curve(weights)
    law = Known(curve, slopes).fit(weights, losses)
    m = losses.shape[1]
    table = table_of(weights, losses)
    return Problem(
        space, table, law, Objective("j", "absolute", table.metrics, np.ones(m), np.ones(m))
    )


def space_of(d, **limits):
    return Space([Domain(f"d{j}", **{k: v[j] for k, v in limits.items()}) for j in range(d)])


def exponentials(w):
    return np.exp(-np.array([2.0, 4.0]) * w)


def powers(w):
    return np.array([1.0, 3.0, 0.5]) * np.maximum(w, 1e-9) ** -0.7


def diagonal(slope):
    return lambda w: slope(w)[:, :, None] * np.eye(w.shape[1])


def test_t1_two_exponentials():
    slopes = diagonal(lambda w: -np.array([2.0, 4.0]) * exponentials(w))
    solution = Exact().solve(problem_of(exponentials, space_of(2), slopes), rng())
    log_price = (math.log(2) - 1) / 0.75
    expected = [(math.log(a) - log_price) / a for a in (2.0, 4.0)]
    np.testing.assert_allclose(expected, [0.55114, 0.44886], atol=1e-5)
    np.testing.assert_allclose(solution.row, expected, atol=1e-5)
    assert solution.certified
    assert solution.gap < 1e-6


def test_t2_no_pull_fills_the_best_domain_and_an_endless_one_gives_the_prior_inside():
    space = Space(
        [Domain("a", maximum=0.3), Domain("b"), Domain("c")], prior={"a": 0.6, "b": 0.3, "c": 0.1}
    )
    cost = np.array([[0.0], [1.0], [2.0]])
    problem = problem_of(lambda w: w @ cost, space, lambda w: np.tile(cost.T, (len(w), 1, 1)))
    np.testing.assert_allclose(Exact().propose(problem, 1, rng())[0], [0.3, 0.69, 0.01], atol=1e-9)
    pulled = Exact(strength=math.inf).propose(problem, 1, rng())[0]
    np.testing.assert_allclose(pulled, [0.3, 0.525, 0.175], atol=1e-4)


def test_t3_projection_by_divergence():
    space = space_of(3, maximum=(0.3, 0.6, 0.6))
    found = project(space.polytope, np.array([[0.7, 0.2, 0.1]]))[0]
    np.testing.assert_allclose(found, [0.3, 0.7 * 2 / 3, 0.7 / 3], atol=1e-12)


def test_t4_three_powers():
    slopes = diagonal(lambda w: -0.7 * powers(w) / np.maximum(w, 1e-9))
    row = Exact().solve(problem_of(powers, space_of(3), slopes), rng()).row
    roots = np.array([1.0, 3.0, 0.5]) ** (1 / 1.7)
    np.testing.assert_allclose(roots / roots.sum(), [0.27984, 0.53403, 0.18614], atol=1e-5)
    np.testing.assert_allclose(row, roots / roots.sum(), atol=1e-5)


@pytest.mark.parametrize("method", ["mixmin", "mixmin_token"])
def test_t5_coins(method):
    heads, tails = np.log([0.9, 0.1]), np.log([0.1, 0.9])
    says = np.stack([heads] * 7 + [tails] * 3)
    problem = Problem(space_of(2), experts=Experts(says, np.arange(10), np.ones(10)))
    np.testing.assert_allclose(propose(method, problem, 1, rng())[0], [0.75, 0.25], atol=1e-9)


def test_whole_sequences_go_to_one_proxy_and_tokens_to_several():
    heads, tails = np.log([0.9, 0.1]), np.log([0.1, 0.9])
    says = np.stack(([heads] * 7 + [tails] * 3) * 20)
    long = Experts(says, np.zeros(200, dtype=np.int64), np.ones(200))
    by_token, whole = (
        propose(name, Problem(space_of(2), experts=long), 1, rng())[0]
        for name in ("mixmin_token", "mixmin")
    )
    np.testing.assert_allclose(by_token, [0.75, 0.25], atol=1e-4)
    assert whole[0] > 0.999


def test_a_target_that_is_one_domain_and_proxies_that_are_alike():
    says = np.log(np.tile([0.5, 0.1, 0.2], (30, 1)))
    space = Space([Domain(name) for name in "abc"], prior={"a": 0.2, "b": 0.3, "c": 0.5})
    floor = space.lower
    one = propose(
        "mixmin", Problem(space, experts=Experts(says, np.arange(30), np.ones(30))), 1, rng()
    )
    np.testing.assert_allclose(one[0, 1:], floor[1:], atol=1e-4)
    alike = Experts(np.full((30, 3), -1.0), np.arange(30), np.ones(30))
    np.testing.assert_allclose(
        propose("mixmin", Problem(space, experts=alike), 1, rng())[0], [0.2, 0.3, 0.5], atol=1e-9
    )


def alone(losses):
    """A problem whose runs are of one domain each."""
    d, m = losses.shape
    table = table_of(np.eye(d), losses)
    return Problem(space_of(d), table, None, Objective("j", "relative", table.metrics, np.ones(m)))


def test_utilities_of_one_metric_each_are_spread_evenly():
    row = UtiliMax().propose(alone(2.0 - np.eye(4)), 1, rng())[0]
    np.testing.assert_allclose(row, 0.25, atol=1e-4)


def test_a_dominated_domain_gets_nothing_where_concentration_is_free():
    losses = np.array([[1.0, 2.0], [2.0, 1.0], [1.9, 1.9]])
    row = UtiliMax(concentration=0.0).propose(alone(losses), 1, rng())[0]
    np.testing.assert_allclose(row, [0.5, 0.5, 0.0], atol=1e-3)
    assert UtiliMax(concentration=5.0).propose(alone(losses), 1, rng())[0][2] > 0.2


def test_t11_unimax():
    domains = [
        Domain(name, tokens=size, max_epochs=1.0) for name, size in zip("abc", (1.0, 10.0, 10.0))
    ]
    row = propose("unimax", Problem(Space(domains, target_tokens=12.0)), 1, rng())[0]
    np.testing.assert_allclose(row, np.array([1, 5.5, 5.5]) / 12, atol=1e-4)


def test_t21_caps_that_leave_no_mixture_name_the_fewest_epochs():
    sizes = (1.0, 2.0, 3.0)  # six epochs of 6 tokens are 36, the target reads 48
    domains = [Domain(name, tokens=size, max_epochs=6.0) for name, size in zip("abc", sizes)]
    with pytest.raises(InfeasibleError, match=r"lower \[target\] tokens to 36 or .*epochs to 8$"):
        Space(domains, target_tokens=48.0)
    enough = [Domain(name, tokens=size, max_epochs=8.0) for name, size in zip("abc", sizes)]
    np.testing.assert_allclose(Space(enough, target_tokens=48.0).reference, np.array(sizes) / 6)


@pytest.mark.parametrize("method", BY_LAW)
def test_t22_a_constant_objective_gives_the_prior_inside_the_limits(method):
    space = Space([Domain("a", maximum=0.5), Domain("b")], prior={"a": 0.7, "b": 0.3})
    problem = problem_of(lambda w: np.full((len(w), 2), 3.0), space)
    np.testing.assert_allclose(propose(method, problem, 1, rng())[0], [0.5, 0.5], atol=1e-9)


def test_t23_other_units_and_another_order_change_nothing():
    d, order = 4, [2, 0, 3, 1]
    back = np.argsort(order)
    worth = np.array([[2.0, 0.2], [0.3, 1.5], [0.1, 0.1], [0.2, 0.2]])

    def curve(w):
        return (0.1 + np.sqrt(w + 1e-6) @ worth) ** -0.8

    def solved(one, unit=1.0):
        problem = problem_of(one, space_of(d))
        objective, scale = problem.objective, unit * np.array([0.3, 0.2])
        goal = Objective("j", "absolute", objective.metrics, np.ones(2), scale)
        return Exact().solve(Problem(problem.space, problem.table, problem.law, goal), rng()).row

    plain = solved(curve)
    np.testing.assert_allclose(solved(lambda w: 5 + 300 * curve(w), 300.0), plain, atol=1e-5)
    np.testing.assert_allclose(solved(lambda w: curve(w[:, back])), plain[order], atol=1e-5)
