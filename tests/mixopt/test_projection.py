"""KL projection: exact by bounds, optimal under any limits, and a projection at all."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixopt.errors import InfeasibleError
from mixopt.space import Constraint, Domain, Space

QUIET = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)


@st.composite
def spaces(draw, constraints=3, phases=True):
    """Spaces of 1 to 6 domains with caps, floors, constraints and phases, as far as feasible."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = draw(st.integers(1, 6))
    tokens = rng.lognormal(0, 1, d) * 1e6
    domains = [
        Domain(f"d{j}", tokens=tokens[j], minimum=None if rng.random() < 0.5 else 0.0)
        for j in range(d)
    ]
    rules = []
    for c in range(draw(st.integers(0, constraints))):
        low, high = np.sort(rng.uniform(-0.2, 1.0, 2))
        if draw(st.booleans()):
            low = high if rng.random() < 0.3 else -np.inf
        line = rng.choice([-1.0, 0.0, 1.0, 1.0, 2.0], d)
        rules.append(Constraint(f"c{c}", dict(zip([f"d{j}" for j in range(d)], line)), low, high))
    fractions = draw(st.sampled_from([[1.0], [0.7, 0.3], [0.5, 0.3, 0.2]])) if phases else [1.0]
    target = tokens.sum() * draw(st.sampled_from([0.5, 2.0, 3.5]))
    try:
        return Space(domains, target_tokens=target, constraints=rules, phases=fractions)
    except InfeasibleError:
        assume(False)


def points(space, count, seed, smallest=0.0):
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.full(space.d, 0.5), (count, len(space.phases)))
    drawn = np.where(drawn < smallest, 0.0, drawn)
    drawn = drawn + (drawn.sum(axis=2, keepdims=True) == 0)
    return (drawn / drawn.sum(axis=2, keepdims=True)).reshape(count, -1)


def divergence(space, rows, q):
    part = np.repeat(space.phases, space.d)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rows > 0, part * rows * np.log(rows / q), 0.0).sum(axis=-1)


def test_published_example():  # methods.md T3
    space = Space([Domain(name, maximum=cap) for name, cap in zip("abc", (0.3, 0.6, 0.6))])
    x = space.project(np.array([[0.7, 0.2, 0.1]]))
    np.testing.assert_allclose(x, [[0.3, 1.4 / 3, 0.7 / 3]], atol=1e-12)


@QUIET
@given(space=spaces(), seed=st.integers(0, 99), smallest=st.sampled_from([0.0, 0.2]))
def test_the_result_is_legal_and_stays_where_it_is(space, seed, smallest):
    q = points(space, 8, seed, smallest)
    q.setflags(write=False)
    x = space.project(q)
    assert (x >= 0).all()
    assert space.polytope.excess(x).max() <= 1e-9
    np.testing.assert_allclose(
        x.reshape(8, len(space.phases), space.d).sum(axis=2), 1.0, atol=1e-12
    )
    np.testing.assert_allclose(space.project(x), x, atol=1e-9)


@QUIET
@given(space=spaces(), seed=st.integers(0, 99))
def test_no_legal_row_is_nearer(space, seed):
    """A general solver finds nothing better, and neither do legal rows at random."""
    q = np.maximum(points(space, 1, seed), 1e-6)
    q = (q.reshape(len(space.phases), -1).T / q.reshape(len(space.phases), -1).sum(1)).T.ravel()
    x = space.project(q[None])[0]
    ours = divergence(space, x, q)
    others = space.uniform(50, np.random.default_rng(seed))
    assert ours <= divergence(space, others, q).min() + 1e-9
    rival = _by_slsqp(space, q)
    if space.polytope.excess(rival[None])[0] < 1e-8:
        assert ours <= divergence(space, rival, q) + 1e-7


def _by_slsqp(space, q):
    limits, part = space.polytope, np.repeat(space.phases, space.d)
    conditions = [{"type": "eq", "fun": lambda x: limits.equal @ x - limits.equal_to}]
    if len(limits.limit):
        conditions.append({"type": "ineq", "fun": lambda x: limits.limit_to - limits.limit @ x})
    return minimize(
        lambda x: (part * x * np.log(np.maximum(x, 1e-300) / q)).sum(),
        limits.interior,
        jac=lambda x: part * (np.log(np.maximum(x, 1e-300) / q) + 1.0),
        bounds=list(zip(limits.lower, limits.upper)),
        constraints=conditions,
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 300},
    ).x


@QUIET
@given(space=spaces(phases=False), seed=st.integers(0, 99))
def test_relabelled_domains_get_relabelled_rows(space, seed):
    order = np.random.default_rng(seed).permutation(space.d)
    q = points(space, 4, seed)
    there = space.relabelled(order.tolist()).project(q[:, order])
    np.testing.assert_allclose(there, space.project(q)[:, order], atol=1e-7)


def test_legal_rows_come_back_untouched_zeros_included():
    space = Space(
        [Domain("a"), Domain("b"), Domain("c")],
        constraints=[Constraint("c", {"a": 1}, maximum=0.5)],
    )
    rows = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.1, 0.2, 0.7]])
    assert (space.project(rows) == rows).all()


def test_shares_of_zero_stay_zero_where_the_limits_allow_it():
    box = Space([Domain("a", maximum=0.5), Domain("b"), Domain("c")])
    rules = Space(
        [Domain("a"), Domain("b"), Domain("c")],
        constraints=[Constraint("c", {"a": 1}, maximum=0.5)],
    )
    for space in (box, rules):
        x = space.project(np.array([[0.9, 0.1, 0.0]]))
        np.testing.assert_allclose(x, [[0.5, 0.5, 0.0]], atol=1e-9)
        assert x[0, 2] == 0.0


def test_shares_of_zero_are_lifted_where_nothing_else_has_room():
    box = Space([Domain("a", maximum=0.5), Domain("b", maximum=0.2), Domain("c"), Domain("e")])
    rules = Space(
        [Domain(name) for name in "abce"],
        constraints=[
            Constraint("1", {"a": 1}, maximum=0.5),
            Constraint("2", {"b": 1}, maximum=0.2),
        ],
    )
    for space in (box, rules):
        x = space.project(np.array([[0.6, 0.4, 0.0, 0.0]]))
        np.testing.assert_allclose(x, [[0.5, 0.2, 0.15, 0.15]], atol=1e-8)


def test_a_set_that_is_a_single_point():
    space = Space(
        [Domain("a"), Domain("b")], constraints=[Constraint("half", {"a": 1.0}, 0.5, 0.5)]
    )
    np.testing.assert_allclose(space.project(np.array([[0.9, 0.1]])), [[0.5, 0.5]], atol=1e-9)


def test_limits_that_force_a_domain_out():
    space = Space(
        [Domain("a"), Domain("b"), Domain("c")],
        constraints=[Constraint("most", {"a": 1.0, "b": 1.0}, minimum=1.0)],
    )
    x = space.project(np.array([[0.2, 0.2, 0.6], [0.1, 0.3, 0.6]]))
    np.testing.assert_allclose(x, [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]], atol=1e-8)


@pytest.mark.parametrize("d", [1, 2, 300])
def test_many_rows_at_once_equal_rows_one_by_one(d):
    rng = np.random.default_rng(0)
    space = Space(
        [Domain(f"d{j}", tokens=float(rng.lognormal(0, 2))) for j in range(d)],
        target_tokens=1.0,
    )
    q = rng.dirichlet(np.full(d, 0.3), 20)
    together = space.project(q)
    np.testing.assert_allclose(
        together, np.concatenate([space.project(row[None]) for row in q]), atol=1e-14
    )
