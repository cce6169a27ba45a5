"""What laws do with tables that are small, torn or odd; docs/laws.md says it in words."""

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.laws import LAWS, make_law
from mixopt.testing import planted_losses, planted_runs

FAST = {"regmix": {"rounds": 100, "learning_rate": 0.1, "members": 2}}
NAMES = sorted(name for name in LAWS if name != "recalibrated")


def fitted(name, weights, losses):
    return make_law(name, FAST.get(name)).fit(weights, losses)


def assert_finite(law, rows):
    mean, sd = law.predict(rows, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    assert (sd >= 0).all()
    assert np.isfinite(law.gradient(rows)).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_run_is_predicted_as_itself(name):
    law = fitted(name, np.array([[0.2, 0.8]]), np.array([[3.0]]))
    np.testing.assert_allclose(law.predict(np.array([[0.5, 0.5], [0.2, 0.8]])), 3.0)


@pytest.mark.parametrize("name", NAMES)
def test_fewer_runs_than_domains_give_an_answer(name):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(8), 5)
    losses = planted_losses(weights, 2)
    law = fitted(name, weights, losses)
    assert_finite(law, rng.dirichlet(np.ones(8), 4))


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_in_no_run_does_not_break_the_others(name):
    rng = np.random.default_rng(1)
    weights, losses = planted_runs(40, 3, rng, metrics=2)
    wide = np.hstack([weights, np.zeros((40, 1))])
    law = fitted(name, wide, losses)
    assert_finite(law, rng.dirichlet(np.ones(4), 4))
    error = np.abs(law.predict(wide) - losses).mean(axis=0)
    assert (error < 1.2 * np.abs(losses - losses.mean(axis=0)).mean(axis=0)).all()


@pytest.mark.parametrize("name", NAMES)
def test_units_and_signs_of_metrics_may_differ(name):
    rng = np.random.default_rng(2)
    weights, losses = planted_runs(40, 3, rng, metrics=3)
    odd = losses * [1e6, 1e-6, 1.0] - [0.0, 0.0, 50.0]
    law = fitted(name, weights, odd)
    assert_finite(law, weights[:4])
    if not law.published:
        error = np.sqrt(np.mean((law.predict(weights) - odd) ** 2, axis=0))
        assert (error < 1.05 * odd.std(axis=0)).all()


@pytest.mark.parametrize("name", NAMES)
def test_runs_trained_again_count_but_do_not_break(name):
    rng = np.random.default_rng(3)
    weights, losses = planted_runs(30, 3, rng, metrics=2)
    again = losses + 0.002 * rng.standard_normal(losses.shape)
    law = fitted(name, np.vstack([weights, weights]), np.vstack([losses, again]))
    assert_finite(law, weights[:4])


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_loss_is_refused(bad):
    weights, losses = planted_runs(10, 3, np.random.default_rng(4))
    losses[3, 1] = bad
    with pytest.raises(DataError, match="leave diverged runs out"):
        make_law("auto").fit(weights, losses)


def test_a_share_that_is_no_number_is_refused():
    weights, losses = planted_runs(10, 3, np.random.default_rng(5))
    weights[2, 0] = np.nan
    with pytest.raises(DataError, match="expected finite weights"):
        make_law("auto").fit(weights, losses)
