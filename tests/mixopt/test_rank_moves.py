"""Rank moves: a known flip is found, no flip is rarely claimed, and too little is unknown."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from mixopt import rank_moves
from mixopt.errors import DataError
from mixopt.rank_moves import RankMoves, measured_moves, predicted_moves
from mixopt.table import Table
from mixopt.testing import table_of

SMALL, LARGE = (1e6, 1e6, 1e9), (60e6, 60e6, 1e9)


def study(
    seed: int, flip: float = 0.0, mixtures: int = 12, replicates: int = 3, noise: float = 0.01
) -> tuple[Table, np.ndarray]:
    """Mixtures run at two scales; the best small one is `flip` worse than in line at the large."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(4), mixtures)
    small = 0.05 * rng.standard_normal(mixtures)
    large = 0.7 * small
    large[small.argmin()] += flip
    values = np.repeat(np.concatenate([small, large]), replicates)
    values = values + noise * rng.standard_normal(len(values))
    rows = np.repeat(np.vstack([weights, weights]), replicates, axis=0)
    table = table_of(rows, values[:, None], np.tile(np.arange(replicates), 2 * mixtures))
    scales = np.repeat(np.array([SMALL, LARGE]), mixtures * replicates, axis=0)
    return replace(table, scales=scales), values


def moves(seed: int, **settings: float) -> RankMoves:
    table, values = study(seed, **settings)  # pyright: ignore[reportArgumentType]
    return measured_moves(table, values, np.random.default_rng(0))


def test_a_flip_is_found_and_named():
    for seed in range(20):
        table, values = study(seed, flip=0.15, noise=0.001)
        found = measured_moves(table, values, np.random.default_rng(0))
        assert found.answer == "yes"
        assert found.moves
        best = table.names[int(values[: len(values) // 2].reshape(-1, 3).mean(axis=1).argmin()) * 3]
        assert best in {flip.better_small for flip in found.flips if flip.sure}
        assert found.flips[0].probability > 0.99


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_without_a_flip_none_is_claimed(noise):
    claimed = [moves(seed, noise=noise).answer == "yes" for seed in range(200)]
    assert np.mean(claimed) <= 0.05


def test_a_pick_among_many_by_luck_is_no_flip():
    claimed = [
        moves(seed, mixtures=60, replicates=2, noise=0.05).answer == "yes" for seed in range(100)
    ]
    assert np.mean(claimed) <= 0.05


def test_an_order_that_stays_is_said_to_stay():
    answers = [moves(seed, noise=0.002).answer for seed in range(20)]
    assert answers.count("no") >= 14
    assert moves(0, noise=0.05).answer == "unknown"


def test_tau_and_its_interval():
    found = moves(0, noise=0.001)
    assert found.tau is not None
    assert found.tau_interval is not None
    assert found.tau_interval[0] <= found.tau <= found.tau_interval[1] + 0.05
    assert found.tau_interval[1] <= 1 + 1e-12
    assert found.tau > 0.9
    assert found.mixtures == 12
    assert found.scales == (SMALL, LARGE)


def test_one_scale_no_shared_mixture_or_unknown_scales_are_unknown():
    table, values = study(0)
    half = np.arange(len(table) // 2)
    rng = np.random.default_rng(0)
    blank = replace(table, scales=np.full((len(table), 3), np.nan))
    for some, numbers in (
        (table.select(half), values[half]),
        (blank, values),
        (table.select(half[:0]), values[:0]),
        (table, np.full(len(table), np.nan)),
    ):
        found = measured_moves(some, numbers, rng)
        assert (found.answer, found.mixtures) == ("unknown", 0)
        assert not found.moves


def test_without_replicates_noise_is_unknown_unless_given():
    table, values = study(0, flip=0.3, replicates=1)
    rng = np.random.default_rng(0)
    blind = measured_moves(table, values, rng)
    assert blind.answer == "unknown"
    assert "noise is not known" in blind.why
    assert measured_moves(table, values, rng, residual_sd=0.01).answer == "yes"


def test_few_mixtures_can_show_a_flip_but_not_that_the_order_stays():
    assert moves(1, mixtures=4, noise=0.001).answer == "unknown"
    assert moves(1, mixtures=4, noise=0.001, flip=0.3).answer == "yes"


def test_seed_blocks_that_mixtures_share_do_not_hide_a_flip():
    table, values = study(6, flip=0.15, noise=0.004)
    blocks = np.array([-0.3, 0.0, 0.3])[table.seed_block]
    paired = measured_moves(table, values + blocks, np.random.default_rng(0))
    assert paired.answer == "yes"
    unknown = replace(table, seed_block=np.full(len(table), -1))
    assert measured_moves(unknown, values + blocks, np.random.default_rng(0)).answer != "yes"


def test_the_answer_is_json():
    found = moves(3, flip=0.15)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["answer"] == "yes"
    assert told["flips"][0]["sure"] is True


def test_order_of_runs_does_not_matter():
    table, values = study(4, flip=0.15)
    order = np.random.default_rng(1).permutation(len(table))
    straight, shuffled = (
        measured_moves(table.select(rows), values[rows], np.random.default_rng(0))
        for rows in (np.arange(len(table)), order)
    )
    assert shuffled.answer == straight.answer
    assert shuffled.tau == pytest.approx(straight.tau)
    assert [f.probability for f in shuffled.flips] == pytest.approx(
        [f.probability for f in straight.flips]
    )


def test_of_the_scales_the_largest_is_judged_against_the_one_that_shares_most():
    table, values = study(5, flip=0.15)
    middle = replace(table.select(np.arange(6)), scales=np.tile((8e6, 8e6, 1e9), (6, 1)))
    both = table_of(
        np.vstack([table.weights, middle.weights]),
        np.concatenate([values, values[:6]])[:, None],
        np.concatenate([table.seed_block, middle.seed_block]),
    )
    both = replace(both, scales=np.vstack([table.scales, middle.scales]))
    found = measured_moves(both, both.losses[:, 0], np.random.default_rng(0))
    assert found.scales == (SMALL, LARGE)
    assert found.answer == "yes"


def draws(flip: float, sd: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    common = sd * rng.standard_normal((800, 5))
    small = np.arange(5.0) + common
    large = np.array([flip, 1.0, 2.0, 3.0, 4.0]) + common + 0.3 * sd * rng.standard_normal((800, 5))
    return small, large


def test_draws_of_a_law_name_the_flip_and_how_sure_it_is():
    names = list("abcde")
    sure = predicted_moves(*draws(1.8, 0.1), names, (SMALL, LARGE))
    assert sure.answer == "yes"
    assert {(f.better_small, f.better_large) for f in sure.flips if f.sure} == {("a", "b")}
    assert predicted_moves(*draws(0.0, 0.1), names).answer == "no"
    open_ = predicted_moves(*draws(1.0, 0.5), names)
    assert open_.answer == "unknown"
    assert 0.2 < open_.flips[0].probability < 0.8
    assert not open_.flips[0].sure


def test_draws_must_match_and_one_mixture_is_unknown():
    small, large = draws(0.0, 0.1)
    with pytest.raises(DataError, match="at both scales"):
        predicted_moves(small, large[:, :3], list("abcde"))
    assert predicted_moves(small[:, :1], large[:, :1], ["a"]).answer == "unknown"


def test_values_must_be_one_a_run():
    table, values = study(0)
    with pytest.raises(DataError, match="one value a run"):
        measured_moves(table, values[:-1], np.random.default_rng(0))


def test_tau_is_kendalls():
    rng = np.random.default_rng(0)
    small, large = rng.integers(0, 6, 20).astype(float), rng.integers(0, 6, 20).astype(float)
    assert rank_moves._tau(small, large) == pytest.approx(kendalltau(small, large).statistic)
    picks = rng.integers(20, size=20)
    counts = np.bincount(picks, minlength=20)[None].astype(float)
    expected = kendalltau(small[picks], large[picks]).statistic
    assert rank_moves._taus(small, large, counts)[0] == pytest.approx(expected)
    assert rank_moves._tau(np.ones(4), small[:4]) is None
