"""The solver: known minima, feasibility of every step, and a gap that bounds the error."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from mixopt.proposers.solver import frank_wolfe_gap, mirror_descent, polished
from mixopt.space import Constraint, Domain, Space

Array = NDArray[np.float64]


class _Bowl:
    """|x - centre|^2, the nearest legal row to a centre."""

    def __init__(self, centre: list[float]) -> None:
        self.centre = np.array(centre)
        self.asked: list[Array] = []

    def values(self, rows: Array) -> Array:
        self.asked.append(rows)
        return ((rows - self.centre) ** 2).sum(axis=1)

    def gradients(self, rows: Array) -> Array:
        return 2 * (rows - self.centre)


class _Steep:
    """sum_j a_j / (x_j + 1e-6)^.5 on the first shares only: slopes of a thousand near zero."""

    worth = np.array([1.0, 3.0, 0.5, 1e-4, 0.0, 0.0])

    def values(self, rows: Array) -> Array:
        return (self.worth / np.sqrt(rows + 1e-6)).sum(axis=1)

    def gradients(self, rows: Array) -> Array:
        return -0.5 * self.worth / (rows + 1e-6) ** 1.5


LIMITED = Space(
    [Domain("a", maximum=0.5), Domain("b"), Domain("c", minimum=0.05), Domain("d")],
    constraints=[Constraint("pair", {"b": 1.0, "d": 1.0}, maximum=0.4)],
)


def _starts(space: Space, count: int = 5) -> Array:
    return space.uniform(count, np.random.default_rng(0))


@pytest.mark.parametrize(
    "centre", [[0.3, 0.2, 0.3, 0.2], [0.9, 0.3, -0.2, 0.0], [0.0, 1.0, 0.0, 1.0]]
)
def test_the_nearest_legal_row_is_found(centre: list[float]) -> None:
    bowl, polytope = _Bowl(centre), LIMITED.polytope
    rows = mirror_descent(bowl, polytope, _starts(LIMITED))
    found = polished(bowl, polytope, rows[0])
    oracle = minimize(
        lambda x: ((x - bowl.centre) ** 2).sum(),
        LIMITED.polytope.interior,
        bounds=list(zip(LIMITED.lower, LIMITED.upper, strict=True)),
        constraints=[
            {"type": "eq", "fun": lambda x: x.sum() - 1},
            {"type": "ineq", "fun": lambda x: 0.4 - x[1] - x[3]},
        ],
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(found, oracle.x, atol=1e-5)
    assert frank_wolfe_gap(polytope, found, bowl.gradients(found[None])[0]) < 1e-6


def test_every_row_that_is_asked_is_legal() -> None:
    bowl = _Bowl([0.9, 0.3, -0.2, 0.0])
    rows = mirror_descent(bowl, LIMITED.polytope, _starts(LIMITED))
    polished(bowl, LIMITED.polytope, rows[0])
    asked = np.concatenate(bowl.asked)
    assert LIMITED.contains(asked, tol=1e-7).all()


def test_no_row_is_worse_than_its_start() -> None:
    steep, space = _Steep(), Space([Domain(f"d{j}") for j in range(6)])
    starts = np.concatenate([_starts(space), np.eye(6)])
    rows = mirror_descent(steep, space.polytope, starts, steps=3)
    inside = 0.999 * starts + 0.001 * space.polytope.interior
    assert (steep.values(rows) <= steep.values(inside) + 1e-9).all()
    better = polished(steep, space.polytope, rows[0])
    assert steep.values(better[None])[0] <= steep.values(rows[:1])[0]


def test_steep_slopes_near_zero_do_not_stop_it() -> None:
    steep, space = _Steep(), Space([Domain(f"d{j}") for j in range(6)])
    rows = mirror_descent(steep, space.polytope, _starts(space))
    found = polished(steep, space.polytope, rows[np.argmin(steep.values(rows))])
    gap = frank_wolfe_gap(space.polytope, found, steep.gradients(found[None])[0])
    assert gap < 1e-6 * steep.values(_starts(space)).std()
    assert found[3] > 10 * found[4]


def test_the_gap_bounds_how_much_better_any_row_is() -> None:
    bowl, rng = _Bowl([0.3, 0.2, 0.3, 0.2]), np.random.default_rng(1)
    best = bowl.values(mirror_descent(bowl, LIMITED.polytope, _starts(LIMITED, 1)))[0]
    for row in LIMITED.uniform(20, rng):
        gap = frank_wolfe_gap(LIMITED.polytope, row, bowl.gradients(row[None])[0])
        assert bowl.values(row[None])[0] - best <= gap + 1e-9


def test_starts_are_not_written() -> None:
    starts = _starts(LIMITED)
    starts.flags.writeable = False
    mirror_descent(_Bowl([1, 0, 0, 0]), LIMITED.polytope, starts)
    polished(_Bowl([1, 0, 0, 0]), LIMITED.polytope, starts[0])
