"""EDL-GP and the guard of `auto`: which law a metric gets, and what its intervals hold."""

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.laws import make_law
from mixopt.laws.auto import Auto
from mixopt.laws.edl_gp import EDLGP
from mixopt.testing import planted_losses, planted_runs


def bent(weights):
    """Falls in the first share up to .3 and rises steeply beyond."""
    return (3 - weights[:, 0] + 5 * np.maximum(weights[:, 0] - 0.3, 0))[:, None]


def test_the_mean_is_that_of_both():
    rng = np.random.default_rng(0)
    law = EDLGP().fit(*planted_runs(40, 3, rng))
    rows = rng.dirichlet(np.ones(3), 5)
    both = law.parts()
    np.testing.assert_allclose(
        law.predict(rows), (both["edl"].predict(rows) + both["gp"].predict(rows)) / 2
    )


def test_disagreement_widens_the_interval():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), 60)
    law = EDLGP().fit(weights, bent(weights) + 0.01 * rng.standard_normal((60, 1)))
    rows = rng.dirichlet(np.ones(3), 50)
    apart = np.abs(law.parts()["edl"].predict(rows) - law.parts()["gp"].predict(rows))
    sd = law.predict(rows, return_std=True)[1]
    assert (sd >= apart / 2).all()


def test_draws_agree_with_mean_and_sd():
    rng = np.random.default_rng(2)
    law = EDLGP().fit(*planted_runs(40, 3, rng, noise=0.02))
    rows = rng.dirichlet(np.ones(3), 6)
    mean, sd = law.predict(rows, return_std=True)
    draws = law.sample(rows, 4000, rng)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * float(sd.max()) / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.15)


def test_smooth_metrics_get_both_and_bent_ones_the_process():
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), 60)
    losses = np.hstack([planted_losses(weights, 1), bent(weights)])
    law = Auto().fit(weights, losses + 0.005 * rng.standard_normal(losses.shape))
    np.testing.assert_array_equal(law.shares_, [[0.5, 0.5], [0.0, 1.0]])
    assert law.notes() == ("auto: (edl + gp) / 2 for 1, gp alone for 1 of 2 metrics",)


def test_few_runs_get_edl_and_two_domains_the_process():
    rng = np.random.default_rng(4)
    few = Auto().fit(*planted_runs(9, 5, rng))
    np.testing.assert_array_equal(few.shares_[:, 0], 1.0)
    rows = rng.dirichlet(np.ones(5), 4)
    np.testing.assert_array_equal(few.predict(rows), few.parts()["edl"].predict(rows))
    two = Auto().fit(*planted_runs(19, 2, rng))
    np.testing.assert_array_equal(two.shares_[:, 1], 1.0)


@pytest.mark.parametrize("name", ["auto", "edl_gp", "gp", "edl"])
@pytest.mark.parametrize("n", [40, 80])
def test_intervals_hold_what_they_claim(name, n):
    rng = np.random.default_rng([6, n])
    hits = []
    for _ in range(6):
        weights, losses = planted_runs(n, 4, rng, noise=0.03)
        rows, measured = planted_runs(200, 4, rng, noise=0.03)
        law = make_law(name).fit(weights, losses)
        inside = np.abs(law.predict(rows) - measured) < 1.645 * law.run_sd(rows)
        hits.append(inside.mean(axis=0))
    assert 0.85 <= np.mean(hits) <= 0.97


def test_a_guard_without_runs_left_out_is_refused():
    with pytest.raises(ConfigError, match="folds of 2 and more"):
        Auto(folds=0)
    with pytest.raises(ConfigError, match="folds of 0, or 2"):
        EDLGP(folds=1)
