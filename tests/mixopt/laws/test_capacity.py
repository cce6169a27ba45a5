"""Capacity law: the split in closed form, recovery, and metrics that own no domain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixopt.laws.base import Info
from mixopt.laws.capacity import Capacity, allocate

B, C = np.array([0.3, 0.4, 0.5]), np.array([1.0, 2.0, 1.0])
SCALES = np.array([[1e6, 1e6, 1e8], [4e6, 4e6, 4e8], [16e6, 16e6, 4e8], [16e6, 16e6, 16e8]])
LARGE = np.array([64e6, 64e6, 64e8])
OWN = np.arange(3)
FLOOR = 0.15


def test_split_golden():
    """T12 of the method notes, with its digits."""
    x = allocate(np.array([[0.5, 0.3, 0.2]]), np.log(C), B, 0.1, 4.2)
    np.testing.assert_allclose(x, [[1.3540, 1.8536, 0.9924]], atol=5e-5)


@given(st.integers(0, 10_000), st.floats(0.01, 1.0), st.floats(1.0, 50.0))
def test_split_is_feasible_and_no_shift_between_domains_improves_it(seed, floor, room):
    rng = np.random.default_rng(seed)
    shares, b, c = (
        rng.dirichlet(np.full(4, 0.3), 3) + 1e-6,
        rng.uniform(0.1, 1, 4),
        rng.gamma(2, 1, 4),
    )
    total = 4 * floor * room
    x = allocate(shares, np.log(c), b, floor, total)
    np.testing.assert_allclose(x.sum(axis=1), total, rtol=1e-9)
    assert (x >= floor * (1 - 1e-12)).all()
    slopes = shares * c * b * x ** (-b - 1)
    held = x <= floor * (1 + 1e-9)
    price = np.where(held, -np.inf, slopes).max(axis=1, keepdims=True)
    free = ~held & np.isfinite(price)
    np.testing.assert_allclose(np.where(free, slopes / price, 1.0), 1.0, rtol=1e-6)
    assert (np.where(held & np.isfinite(price), slopes / price, 0.0) <= 1 + 1e-6).all()


def test_split_is_the_minimum_that_a_solver_finds():
    shares, floor, total = np.array([0.5, 0.3, 0.2]), 0.1, 1.2
    found = minimize(
        lambda x: float(shares @ (C * x**-B)),
        np.full(3, total / 3),
        bounds=[(floor, None)] * 3,
        constraints={"type": "eq", "fun": lambda x: x.sum() - total},
    )
    np.testing.assert_allclose(
        allocate(shares[None], np.log(C), B, floor, total)[0], found.x, atol=1e-3
    )


def truth(weights: np.ndarray, scales: np.ndarray) -> np.ndarray:
    size = scales[:, 1:2] / 1e6
    x = allocate(weights, np.log(C), B, FLOOR, size + 2 * FLOOR)
    return 1.2 + C * x**-B + 0.4 * ((weights + 1e-3) * scales[:, 2:] / 1e8) ** -0.3


def runs(noise: float = 0.002) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    weights, scales = rng.dirichlet(np.ones(3), 80), SCALES[np.arange(80) % 4]
    losses = truth(weights, scales)
    return weights, losses + noise * rng.standard_normal(losses.shape), scales


ROWS = np.random.default_rng(1).dirichlet(np.ones(3), 60)


def test_losses_at_a_larger_scale_are_predicted():
    weights, losses, scales = runs()
    law = Capacity().fit(weights, losses, Info(scales=scales, own=OWN))
    actual = truth(ROWS, np.tile(LARGE, (60, 1)))
    error = np.sqrt(np.mean((law.predict(ROWS, LARGE) - actual) ** 2, axis=0))
    assert (error < 0.05 * actual.std(axis=0)).all()


def test_a_domain_gains_from_what_others_lose():
    weights, losses, scales = runs()
    law = Capacity().fit(weights, losses, Info(scales=scales, own=OWN))
    easy, hard = np.array([[0.3, 0.65, 0.05]]), np.array([[0.3, 0.05, 0.65]])
    apart = law.predict(easy, SCALES[0]) - law.predict(hard, SCALES[0])
    assert np.sign(apart[0, 0]) == np.sign(
        (truth(easy, SCALES[:1]) - truth(hard, SCALES[:1]))[0, 0]
    )


def test_a_metric_without_a_domain_is_a_mixture_of_the_domains():
    weights, losses, scales = runs()
    task = (losses @ [0.6, 0.3, 0.1])[:, None]
    both = np.hstack([losses, task])
    law = Capacity().fit(weights, both, Info(scales=scales, own=np.array([0, 1, 2, -1])))
    actual = truth(ROWS, np.tile(SCALES[3], (60, 1))) @ [0.6, 0.3, 0.1]
    predicted = law.predict(ROWS, SCALES[3])[:, 3]
    assert np.sqrt(np.mean((predicted - actual) ** 2)) < 0.3 * actual.std()
    alone = Capacity().fit(weights, losses, Info(scales=scales, own=OWN))
    np.testing.assert_allclose(law.predict(ROWS)[:, :3], alone.predict(ROWS), rtol=1e-9)


def test_the_first_metric_of_a_domain_owns_it():
    weights, losses, scales = runs()
    twice = np.hstack([losses, losses[:, :1] * 1.4])
    law = Capacity().fit(weights, twice, Info(scales=scales, own=np.array([0, 1, 2, 0])))
    np.testing.assert_array_equal(law.owner_, [0, 1, 2, -1])
    mean = law.predict(ROWS, SCALES[2])
    np.testing.assert_allclose(mean[:, 3], 1.4 * mean[:, 0], atol=0.2 * mean[:, 3].std())


@pytest.mark.parametrize("own", [None, np.array([-1, -1, -1])])
def test_without_owners_it_is_still_a_law(own):
    weights, losses, scales = runs()
    law = Capacity().fit(weights, losses, Info(scales=scales, own=own))
    actual = truth(ROWS, np.tile(SCALES[3], (60, 1)))
    error = np.sqrt(np.mean((law.predict(ROWS, SCALES[3]) - actual) ** 2, axis=0))
    assert (error < 0.5 * actual.std(axis=0)).all()
