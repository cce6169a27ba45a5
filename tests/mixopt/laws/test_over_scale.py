"""Every law over scale keeps the contract at several scales, and is a law of one scale at one."""

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.laws import make_law
from mixopt.laws.base import Info, Law
from mixopt.testing import planted_losses

NAMES = ("additive", "capacity", "joint", "moe_scale", "nested", "recalibrated")
SCALES = np.array([[4e6, 1e6, 1e8], [16e6, 4e6, 2e8], [64e6, 16e6, 4e8]])
OWN = np.array([0, 1, 2])
D = 3


def runs(seed: int = 0, mixtures: int = 16) -> tuple[np.ndarray, np.ndarray, Info]:
    """Mixtures at three scales each; losses fall with scale and their spread shrinks."""
    rng = np.random.default_rng(seed)
    weights = np.repeat(rng.dirichlet(np.ones(D), mixtures), 3, axis=0)
    scales = np.tile(SCALES, (mixtures, 1))
    size = (scales[:, 1:2] / 1e6) ** -0.2
    losses = 1.0 + size * planted_losses(weights) + 0.002 * rng.standard_normal((len(weights), 3))
    return weights, losses, Info(scales=scales, own=OWN)


def at(scale: int, count: int) -> np.ndarray:
    return np.tile(SCALES[scale], (count, 1))


def law(name: str) -> Law:
    return make_law(name, {"law": "edl"} if name == "nested" else None)


ROWS = np.random.default_rng(9).dirichlet(np.ones(D), 12)


@pytest.fixture(scope="module", params=NAMES)
def fitted(request) -> Law:
    return law(request.param).fit(*runs())


def test_the_default_scale_is_the_largest(fitted):
    np.testing.assert_array_equal(fitted.predict(ROWS), fitted.predict(ROWS, at(2, 12)))
    assert (fitted.predict(ROWS, at(0, 12)) > fitted.predict(ROWS)).all()


def test_one_scale_for_all_is_that_scale_for_each(fitted):
    np.testing.assert_array_equal(fitted.predict(ROWS, SCALES[:1]), fitted.predict(ROWS, at(0, 12)))
    mixed = np.vstack([at(0, 6), at(2, 6)])
    np.testing.assert_allclose(
        fitted.predict(ROWS, mixed),
        np.vstack([fitted.predict(ROWS, at(0, 12))[:6], fitted.predict(ROWS)[6:]]),
        rtol=1e-12,
    )


def test_draws_centre_on_the_mean_at_each_scale(fitted):
    for scale in (0, 2):
        mean, sd = fitted.predict(ROWS, at(scale, 12), return_std=True)
        draws = fitted.sample(ROWS, 300, np.random.default_rng(0), at(scale, 12))
        assert draws.shape == (300, 12, 3)
        assert (np.abs(draws.mean(axis=0) - mean) < 0.5 * sd).all()
        again = fitted.sample(ROWS, 300, np.random.default_rng(0), at(scale, 12))
        np.testing.assert_array_equal(draws, again)


def test_simulated_runs_look_like_the_runs(fitted):
    losses = runs()[1]
    simulated = fitted.simulated(np.random.default_rng(0))
    assert (np.abs(simulated - losses).mean(axis=0) < 2 * fitted.noise_).all()
    refitted = fitted.refitted(losses)
    spread = losses.std(axis=0)
    assert (np.abs(refitted.predict(ROWS) - fitted.predict(ROWS)) < 0.05 * spread).all()


def test_settings_choose_the_default_scale(fitted):
    name = next(name for name in NAMES if type(law(name)) is type(fitted))
    settings = {**law(name).settings(), "scale": SCALES[1].tolist()}
    middle = make_law(name, settings).fit(*runs())
    np.testing.assert_allclose(middle.predict(ROWS), fitted.predict(ROWS, at(1, 12)), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_orders_of_domains_metrics_and_runs_do_not_matter(name):
    weights, losses, info = runs()
    straight = law(name).fit(weights, losses, info).predict(ROWS, at(1, 12))
    domains, metrics = np.array([2, 0, 1]), np.array([1, 2, 0])
    order = np.random.default_rng(0).permutation(len(weights))
    assert info.scales is not None
    own = np.array([np.flatnonzero(domains == OWN[i])[0] for i in metrics])
    shuffled = (
        law(name)
        .fit(
            weights[order][:, domains],
            losses[order][:, metrics],
            Info(scales=info.scales[order], own=own),
        )
        .predict(ROWS[:, domains], at(1, 12))
    )
    apart = np.abs(shuffled - straight[:, metrics]).max(axis=0)
    assert (apart < 0.02 * losses.std(axis=0)[metrics]).all()


@pytest.mark.parametrize("name", NAMES)
def test_units_of_metrics_and_scales_do_not_matter(name):
    weights, losses, info = runs()
    assert info.scales is not None
    unit = np.array([1e-6, 1e-6, 1e-9])
    mean, sd = law(name).fit(weights, losses, info).predict(ROWS, at(1, 12), return_std=True)
    other = law(name).fit(weights, 4 * losses - 7, info._replace(scales=info.scales * unit))
    scaled, scaled_sd = other.predict(ROWS, at(1, 12) * unit, return_std=True)
    spread = losses.std(axis=0)
    assert (np.abs((scaled + 7) / 4 - mean) < 2e-3 * spread).all()
    assert (np.abs(scaled_sd / 4 - sd) < 2e-3 * spread).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_scale_says_what_no_scale_says_and_no_other_can_be_asked(name):
    weights, losses, _ = runs()
    some = np.arange(0, len(weights), 3)
    blind = law(name).fit(weights[some], losses[some], Info(own=OWN))
    one = law(name).fit(weights[some], losses[some], Info(scales=at(0, len(some)), own=OWN))
    np.testing.assert_array_equal(one.predict(ROWS), blind.predict(ROWS))
    np.testing.assert_array_equal(one.predict(ROWS, at(0, 12)), blind.predict(ROWS))
    with pytest.raises(DataError):
        one.predict(ROWS, at(1, 12))
    with pytest.raises(DataError, match="no known scale"):
        blind.predict(ROWS, at(0, 12))


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_missing_at_a_scale_is_left_out(name):
    weights, losses, info = runs()
    holes = losses.copy()
    holes[::5, 0] = np.nan
    patchy, whole = (law(name).fit(weights, part, info) for part in (holes, losses))
    apart = patchy.predict(ROWS, at(2, 12)) - whole.predict(ROWS, at(2, 12))
    error = np.sqrt(np.mean(apart**2, axis=0))
    assert (error < 0.2 * losses[2::3].std(axis=0) + whole.noise_).all()
