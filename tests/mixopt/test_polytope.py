"""Polytope: feasibility, a point strictly inside, and limits that leave no room made equalities."""

import numpy as np
import pytest

from mixopt.polytope import Polytope


def simplex(d, limit=(), limit_to=(), lower=0.0, upper=1.0):
    return Polytope(
        fractions=np.ones(1),
        lower=np.full(d, lower),
        upper=np.full(d, upper),
        equal=np.ones((1, d)),
        equal_to=np.ones(1),
        limit=np.reshape(np.array(limit, dtype=float), (-1, d)),
        limit_to=np.array(limit_to, dtype=float),
    )


@pytest.mark.parametrize(
    ("polytope", "feasible"),
    [
        (simplex(3), True),
        (simplex(3, upper=1 / 3), True),
        (simplex(3, upper=0.33), False),
        (simplex(3, lower=0.34), False),
        (simplex(3, [[1, 1, 0], [0, 0, 1]], [0.5, 0.5]), True),
        (simplex(3, [[1, 1, 0], [0, 0, 1]], [0.5, 0.49]), False),
    ],
)
def test_feasibility(polytope, feasible):
    assert polytope.is_feasible() == feasible


def test_excess_is_the_worst_violation():
    polytope = simplex(2, [[1, 0]], [0.4])
    rows = np.array([[0.4, 0.6], [0.7, 0.3], [0.2, 0.2], [-0.1, 1.1]])
    np.testing.assert_allclose(polytope.excess(rows), [0.0, 0.3, 0.6, 0.1])


def test_the_interior_is_strictly_inside():
    polytope = simplex(4, [[1, 1, 0, 0], [-1, 0, 2, 0]], [0.01, 0.05])
    row = polytope.interior
    assert row.sum() == pytest.approx(1.0)
    assert row.min() > 1e-4
    assert (polytope.limit @ row < polytope.limit_to - 1e-4).all()


def test_a_set_with_room_is_left_as_it_is():
    polytope = simplex(3, [[1, 1, 0]], [0.5])
    assert polytope.tightened() is polytope


def test_limits_without_room_become_equalities():
    """a + b <= .5 and -a - b <= -.5, and c <= .2: an equality, and a limit with room."""
    polytope = simplex(4, [[1, 1, 0, 0], [-1, -1, 0, 0], [0, 0, 1, 0]], [0.5, -0.5, 0.2])
    tight = polytope.tightened()
    assert tight.limit.tolist() == [[0, 0, 1, 0]]
    row = tight.interior
    assert row[:2].sum() == pytest.approx(0.5)
    assert row.min() > 0.01
    assert row[2] < 0.19


def test_shares_without_room_are_fixed():
    """a + b >= 1 leaves nothing to c, and b <= 0 nothing to b."""
    tight = simplex(3, [[-1, -1, 0], [0, 1, 0]], [-1.0, 0.0]).tightened()
    np.testing.assert_allclose(tight.lower[1:], tight.upper[1:])
    np.testing.assert_allclose(tight.interior, [1.0, 0.0, 0.0], atol=1e-9)
