"""Gains over baselines, and the optimism of choosing the pick by the law that judges it."""

import numpy as np
import pytest

from mixopt.gain import gains, optimism, support
from mixopt.laws import make_law
from mixopt.objective import Objective
from mixopt.testing import planted_losses, planted_runs

OBJECTIVE = Objective("mean", "relative", ("loss/a", "loss/b", "loss/c"), np.ones(3))
UNIFORM = np.full(3, 1 / 3)
FLAT = np.full(3, 3.0)
POOL = np.random.default_rng(99).dirichlet(np.ones(3), 300)


def best(law, reference):
    return POOL[OBJECTIVE.value(law.predict(POOL), reference).argmin()]


@pytest.mark.parametrize("name", ["edl", "ridge"])
def test_gain_is_the_difference_of_predictions_and_its_interval_is_around_it(name):
    rng = np.random.default_rng(0)
    law = make_law(name).fit(*planted_runs(32, 3, rng))
    reference = law.predict(UNIFORM[None])[0]
    rivals = {"corner": np.array([0.9, 0.05, 0.05]), "uniform": UNIFORM}
    found = gains(law, OBJECTIVE, reference, POOL[0], rivals, rng)
    values = OBJECTIVE.value(law.predict(np.vstack([POOL[:1], *rivals.values()])), reference)
    by_name = {gain.baseline: gain for gain in found}
    assert by_name["uniform"].mean == pytest.approx(values[2] - values[0])
    assert found[0].baseline == list(rivals)[int(values[1:].argmin())]
    for gain in found:
        assert gain.low < gain.mean < gain.high


def test_a_mixture_gains_nothing_over_itself():
    rng = np.random.default_rng(1)
    law = make_law("edl").fit(*planted_runs(32, 3, rng))
    reference = law.predict(UNIFORM[None])[0]
    gain = gains(law, OBJECTIVE, reference, UNIFORM, {"same": UNIFORM}, rng)[0]
    assert gain.mean == gain.low == gain.high == 0.0


def test_gain_intervals_hold_the_true_gain():
    inside = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        law = make_law("edl").fit(*planted_runs(32, 3, rng, noise=0.01))
        rows = rng.dirichlet(np.ones(3), 2)
        truth = OBJECTIVE.value(planted_losses(rows), np.ones(3))
        gain = gains(law, OBJECTIVE, np.ones(3), rows[0], {"other": rows[1]}, rng, 300)[0]
        inside.append(gain.low < truth[1] - truth[0] < gain.high)
    assert np.mean(inside) >= 0.75


def test_optimism_is_what_picks_promise_where_there_is_nothing_to_gain():
    claimed, foreseen = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        weights = rng.dirichlet(np.ones(3), 24)
        law = make_law("edl").fit(weights, 3.0 + 0.02 * rng.standard_normal((24, 3)))
        rows = np.vstack([best(law, FLAT), UNIFORM])
        values = OBJECTIVE.value(law.predict(rows), FLAT)
        claimed.append(values[1] - values[0])
        foreseen.append(
            optimism(law, OBJECTIVE, FLAT, UNIFORM, lambda m: best(m, FLAT), rng, 12).mean
        )
    assert np.mean(claimed) > 0
    assert 0.5 < np.mean(foreseen) / np.mean(claimed) < 2


@pytest.mark.parametrize("name", ["edl", "ridge"])
def test_choosing_anew_is_more_optimistic_than_keeping_the_pick(name):
    rng = np.random.default_rng(3)
    law = make_law(name).fit(*planted_runs(24, 3, rng, noise=0.02))
    reference = law.predict(UNIFORM[None])[0]
    kept = best(law, reference)
    choosing, keeping = (
        optimism(law, OBJECTIVE, reference, UNIFORM, propose, np.random.default_rng(0))
        for propose in (lambda one: best(one, reference), lambda _: kept)
    )
    assert choosing.mean > keeping.mean


def test_support_counts_runs_with_most_of_the_share():
    train = np.array([[0.8, 0.2, 0.0], [0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])
    assert support(train, np.array([0.7, 0.15, 0.15])) == 2
    assert support(train, np.array([0.15, 0.15, 0.7])) == 1
    assert support(np.full((5, 6), 1 / 6), np.full(6, 1 / 6)) == 5
