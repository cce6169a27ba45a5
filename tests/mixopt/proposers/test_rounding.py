"""Rounding: multiples of 1e-4 inside the limits, as near as such multiples can be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.proposers.rounding import rounded
from mixopt.space import Constraint, Domain, Space


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Spaces of 1 to 7 domains with bounds, caps, perhaps a group and two phases."""
    d = draw(st.integers(1, 7))
    low = [draw(st.floats(0, 0.9 / d)) for _ in range(d)]
    high = [draw(st.floats(min(1.0, 1.2 / d), 1.0)) for _ in range(d)]
    domains = [
        Domain(f"d{j}", minimum=a, maximum=max(a, b))
        for j, (a, b) in enumerate(zip(low, high, strict=True))
    ]
    phases = draw(st.sampled_from([(1.0,), (0.9, 0.1)]))
    plain = Space(domains, phases=phases)
    if d < 2 or not draw(st.booleans()):
        return plain
    inside = plain.project(np.full((1, plain.width), 1 / d))[0]
    share = float(plain.mean_shares(inside[None])[0, :2].sum())
    group = Constraint("pair", {"d0": 1.0, "d1": 1.0}, maximum=min(1.0, share + 0.01))
    return Space(domains, phases=phases, constraints=[group])


@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_decimals_that_sum_to_one_inside_the_limits(space: Space, seed: int) -> None:
    row = space.uniform(1, np.random.default_rng(seed))
    found = rounded(space.polytope, row)
    phases = found.reshape(len(space.phases), space.d)
    np.testing.assert_allclose(phases.sum(axis=1), 1.0, atol=1e-12)
    assert space.contains(found)[0], space.violations(found[0])
    units = found * 1e8
    np.testing.assert_allclose(units, np.round(units), atol=1e-4)
    assert not np.signbit(found).any()


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 30))
def test_largest_remainders_move_no_share_by_a_unit(seed: int, d: int) -> None:
    space = Space([Domain(f"d{j}") for j in range(d)])
    row = np.random.default_rng(seed).dirichlet(np.full(d, 0.5))[None]
    found = rounded(space.polytope, row)
    assert np.abs(found - row).max() < 1e-4
    np.testing.assert_allclose(found * 1e4, np.round(found * 1e4), atol=1e-6)


def test_a_rounded_row_stays() -> None:
    space = Space([Domain("a"), Domain("b"), Domain("c")])
    row = np.array([[0.2501, 0.7499, 0.0]])
    np.testing.assert_array_equal(rounded(space.polytope, row), row)


def test_caps_are_never_rounded_over() -> None:
    space = Space([Domain("a", maximum=0.33335), Domain("b"), Domain("c", minimum=0.11111)])
    found = rounded(space.polytope, np.array([[0.33335, 0.55554, 0.11111]]))[0]
    np.testing.assert_allclose(found, [0.3333, 0.5555, 0.1112], atol=1e-12)


def test_a_cap_over_phases_is_kept_by_moving_the_nearest_units() -> None:
    space = Space(
        [Domain("a", tokens=1.0, minimum=0.0), Domain("b", tokens=30.0, minimum=0.0)],
        target_tokens=10.0,
        phases=(0.5, 0.5),
    )
    cap = space.caps[0]
    assert cap == pytest.approx(0.4)
    row = np.array([[0.30005, 0.69995, 0.49995, 0.50005]])
    found = rounded(space.polytope, row)
    assert space.contains(found)[0]
    assert np.abs(found - row).max() < 2e-4


def test_shares_fixed_between_units_take_finer_decimals() -> None:
    space = Space(
        [Domain("a", minimum=0.33333, maximum=0.33333), Domain("b"), Domain("c", maximum=0.5)]
    )
    found = rounded(space.polytope, np.array([[0.33333, 0.4, 0.26667]]))[0]
    np.testing.assert_allclose(found, [0.33333, 0.4, 0.26667], atol=1e-12)


def test_relabelling_relabels_where_no_remainders_tie() -> None:
    space = Space([Domain(f"d{j}") for j in range(6)])
    row = np.random.default_rng(3).dirichlet(np.ones(6))[None]
    order = [4, 0, 5, 1, 3, 2]
    np.testing.assert_array_equal(
        rounded(space.polytope, row[:, order]), rounded(space.polytope, row)[:, order]
    )
