"""Laws whose metrics share parameters: slopes, posterior, draws tied over metrics and scales."""

import numpy as np
import pytest

from mixopt.laws import make_law
from mixopt.laws.base import Info
from mixopt.laws.shared import SharedLaw

NAMES = ("additive", "capacity", "joint", "moe_scale")
SCALES = np.array([[4e6, 1e6, 1e8], [8e6, 4e6, 2e8], [64e6, 8e6, 4e8], [64e6, 16e6, 8e8]])


def runs(n: int = 48, d: int = 4, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray, Info]:
    rng = np.random.default_rng(0)
    weights, scales = rng.dirichlet(np.ones(d), n), SCALES[np.arange(n) % 4]
    falls = (scales[:, 1:2] / 1e6) ** -0.2 + (scales[:, 2:] / 1e8) ** -0.3
    losses = 1 + falls + 0.3 / (0.1 + np.sqrt(weights) @ rng.uniform(0.2, 1.0, (d, 4)))
    own = np.array([0, 2, -1, 2])
    return weights, losses + noise * rng.standard_normal(losses.shape), Info(scales, own=own)


def fitted(name: str) -> SharedLaw:
    settings = {"interaction": True} if name == "moe_scale" else {}
    law = make_law(name, settings).fit(*runs())
    assert isinstance(law, SharedLaw)
    return law


@pytest.mark.parametrize("name", NAMES)
def test_slopes_match_differences(name):
    law = fitted(name)
    points, metrics, step = law._train_points(), np.arange(4), 1e-6
    shared, own = law.shared_, law.theta_
    by_shared, by_own = law._slopes(law._frame(points, shared), metrics, own)
    assert by_own.shape == (4, 48, own.shape[1])
    for q in range(len(shared)):
        move = step * (np.arange(len(shared)) == q)
        up, down = (
            law._values(law._frame(points, shared + sign * move), metrics, own) for sign in (1, -1)
        )
        np.testing.assert_allclose(by_shared[:, :, q], (up - down) / (2 * step), atol=2e-6)
    for p in range(own.shape[1]):
        move = step * (np.arange(own.shape[1]) == p)
        up, down = (
            law._values(law._frame(points, shared), metrics, own + sign * move) for sign in (1, -1)
        )
        np.testing.assert_allclose(by_own[:, :, p], (up - down) / (2 * step), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["additive", "joint", "moe_scale"])
def test_gradient_matches_the_numeric_one(name):
    law = fitted(name)
    rows, step = np.random.default_rng(1).dirichlet(np.full(4, 4.0), 5), 1e-6
    for j in range(4):
        move = step * (np.arange(4) == j)
        rise = (law.predict(rows + move) - law.predict(rows - move)) / (2 * step)
        np.testing.assert_allclose(law.gradient(rows)[:, :, j], rise, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_sd_of_draws_is_the_predicted_sd_also_beyond_the_runs(name):
    law = fitted(name)
    rows = np.random.default_rng(2).dirichlet(np.ones(4), 6)
    for scale in (SCALES[0], np.array([256e6, 64e6, 32e8])):
        _, sd = law.predict(rows, scale, return_std=True)
        draws = law.sample(rows, 3000, np.random.default_rng(0), scale)
        np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.1)


def test_far_beyond_the_runs_errors_grow_and_metrics_err_together():
    law = fitted("additive")
    rows = np.random.default_rng(3).dirichlet(np.ones(4), 4)
    sds, ties = [], []
    for factor in (1, 30, 1000):
        scale = SCALES[3] * factor
        sds.append(law.predict(rows, scale, return_std=True)[1].mean())
        draws = law.sample(rows, 1000, np.random.default_rng(0), scale)
        ties.append(np.corrcoef(draws[:, 0].T)[0, 1])
    assert sds[0] < sds[1] < sds[2]
    assert ties[2] > ties[0] + 0.2


def test_a_draw_is_one_function_of_mixture_and_scale():
    law = fitted("joint")
    rows = np.random.default_rng(4).dirichlet(np.ones(4), 6)
    whole = law.sample(rows, 4, np.random.default_rng(0), SCALES[[0, 1, 2, 3, 0, 1]])
    part = law.sample(rows[2:4], 4, np.random.default_rng(0), SCALES[[2, 3]])
    np.testing.assert_allclose(part, whole[:, 2:4], atol=1e-10)


def test_noise_is_found_and_new_runs_are_covered():
    inside, found = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        weights, clean, info = runs(n=160, noise=0.0)
        losses = clean + 0.02 * rng.standard_normal(clean.shape)
        assert info.scales is not None
        half = info._replace(scales=info.scales[:80])
        law = make_law("additive").fit(weights[:80], losses[:80], half)
        mean = law.predict(weights[80:], info.scales[80:])
        sd = law.run_sd(weights[80:], info.scales[80:])
        inside.append(np.abs(losses[80:] - mean) < 1.645 * sd)
        found.append(law.noise_)
    assert 0.85 < np.mean(inside) < 0.97
    np.testing.assert_allclose(np.mean(found), 0.02, rtol=0.15)


def test_a_scale_that_fits_worse_gets_wider_intervals():
    rng = np.random.default_rng(5)
    weights, losses, info = runs(n=120, noise=0.005)
    assert info.scales is not None
    odd = info.scales[:, 1] == 16e6
    losses[odd] += 0.05 * rng.standard_normal((odd.sum(), 4))
    law = make_law("additive").fit(weights, losses, info)
    narrow, wide = (law.predict(weights[:5], SCALES[i], return_std=True)[1].mean() for i in (1, 3))
    assert wide > 1.5 * narrow


def test_two_sizes_are_said_to_say_little_of_a_third():
    weights, losses, info = runs()
    assert info.scales is not None
    few = np.flatnonzero(np.arange(48) % 4 < 2)
    law = make_law("additive").fit(
        weights[few], losses[few], info._replace(scales=info.scales[few])
    )
    assert len(law.notes()) == 2
    assert "two sizes only" in law.notes()[0]
    assert fitted("additive").notes() == ()
