"""RegMix: leaves that shrink with the swarm, and the bootstrap behind its sd."""

import numpy as np
import pytest

from mixopt.errors import ConfigError, NotFittedError
from mixopt.laws.regmix import RegMix
from mixopt.testing import planted_losses, planted_runs

FAST = {"rounds": 200, "learning_rate": 0.05}


def test_a_small_swarm_still_splits():
    rng = np.random.default_rng(0)
    law = RegMix(**FAST).fit(*planted_runs(20, 3, rng))
    assert law.predict(rng.dirichlet(np.ones(3), 30)).std() > 0


def test_more_runs_make_larger_leaves():
    rng = np.random.default_rng(1)
    law = RegMix(rounds=1, members=0)
    sizes = []
    for n in (20, 256, 600):
        text = law.fit(*planted_runs(n, 3, rng, metrics=1)).trees_[0]
        sizes.append(int(text.partition("[min_data_in_leaf: ")[2].partition("]")[0]))
    assert sizes == [3, 10, 20]


def test_without_members_the_sd_is_unknown_rather_than_zero():
    rng = np.random.default_rng(2)
    law = RegMix(**FAST).mean_only().fit(*planted_runs(30, 3, rng))
    rows = rng.dirichlet(np.ones(3), 4)
    assert np.isnan(law.predict(rows, return_std=True)[1]).all()
    assert np.isnan(law.noise_).all()
    with pytest.raises(NotFittedError, match="members"):
        law.sample(rows, 2, rng)


def test_members_do_not_move_the_mean():
    rng = np.random.default_rng(3)
    runs, rows = planted_runs(30, 3, rng), rng.dirichlet(np.ones(3), 10)
    law = RegMix(**FAST)
    np.testing.assert_array_equal(
        law.fit(*runs).predict(rows), law.mean_only().fit(*runs).predict(rows)
    )


def test_one_member_is_refused():
    with pytest.raises(ConfigError, match="members"):
        RegMix(members=1)


def test_intervals_for_new_runs_are_neither_blind_nor_empty():
    inside = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        law = RegMix(**FAST).fit(*planted_runs(60, 3, rng, noise=0.01))
        rows = rng.dirichlet(np.ones(3), 100)
        losses = planted_losses(rows) + 0.01 * rng.standard_normal((100, 3))
        mean, sd = law.predict(rows, return_std=True)
        inside.append(np.abs(losses - mean) < 1.645 * np.hypot(sd, law.noise_))
    assert 0.8 < np.mean(inside) < 1.0
