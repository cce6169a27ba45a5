"""The benchmark of noise: rivals follow their rules, sds and ratios are right, runs are resumed."""

import json

import numpy as np
import pytest

from proxies.allocation import Allocation

SHARES = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def allocators(benchmark):
    return benchmark("allocators")


def test_the_greedy_blend_is_that_of_its_source(allocators):
    picks = allocators.GreedyBlend(NAMES, [0, 1]).next(SHARES, 60)
    for weights, row in zip(SHARES, picks):
        taken = np.zeros(4)
        for n, pick in enumerate(row):  # as build_blending_indices, one sample after the other
            errors = [weights[j] * max(float(n), 1.0) - taken[j] for j in range(4)]
            assert pick == errors.index(max(errors))
            taken[pick] += 1


def test_independent_draws_follow_their_shares_and_their_seed(allocators):
    picks = allocators.IndependentDraws(NAMES, [0, 0, 1]).next(SHARES[[0, 0, 0]], 4000)
    assert (picks[0] == picks[1]).all()
    assert (picks[0] != picks[2]).any()
    counts = np.bincount(picks[0], minlength=4) / 4000
    np.testing.assert_allclose(counts, SHARES[0], atol=4 * 0.5 / np.sqrt(4000))


@pytest.mark.parametrize("name", ["IndependentDraws", "GreedyBlend"])
def test_rivals_resume_exactly(allocators, name):
    whole = getattr(allocators, name)(NAMES, [3, 4])
    whole.next(SHARES, 37)
    resumed = getattr(allocators, name)(NAMES, [3, 4])
    for p in range(2):
        resumed.restore(p, json.loads(json.dumps(whole.state(p))))
    assert (whole.next(SHARES, 20) == resumed.next(SHARES, 20)).all()


def test_only_systematic_and_greedy_stay_near_the_expectation(allocators):
    off = {}
    for make in (allocators.IndependentDraws, allocators.GreedyBlend, Allocation):
        drawn = np.apply_along_axis(np.bincount, 1, make(NAMES, [5, 6]).next(SHARES, 1000))
        off[make.__name__] = np.abs(drawn - 1000 * SHARES).max()
    assert off["Allocation"] <= 2
    assert off["GreedyBlend"] <= 2
    assert off["IndependentDraws"] > 2


def planted(seeds, rng, block=1.0, own=0.1):
    """Losses (S, 3) of two mixtures and two anchors, whose seeds share an effect."""
    effect = block * rng.standard_normal((seeds, 3))
    return [5 + i + effect + own * rng.standard_normal((seeds, 3)) for i in range(4)]


def test_common_seeds_cancel_what_they_share_and_anchors_most_of_it(benchmark):
    differences = benchmark("differences")
    first, second, *anchors = planted(400, np.random.default_rng(0))
    sds = [
        differences.sd(way.domains)
        for way in (
            differences.common(first, second),
            differences.independent(first, second),
            differences.with_anchors(first, second, np.stack(anchors)),
        )
    ]
    assert sds[0] == pytest.approx(0.1 * np.sqrt(2), rel=0.1)
    assert sds[1] == pytest.approx(np.sqrt(2 * 1.01), rel=0.1)
    assert sds[0] < sds[2] < 0.3 * sds[1]


def test_anchors_do_no_harm_where_seeds_share_nothing(benchmark):
    differences = benchmark("differences")
    first, second, *anchors = planted(400, np.random.default_rng(1), block=0.0)
    plain = differences.sd(differences.independent(first, second).domains)
    corrected = differences.with_anchors(first, second, np.stack(anchors))
    assert differences.sd(corrected.domains) < 1.25 * plain


def test_the_interval_of_a_ratio_covers_it(benchmark):
    ratio = benchmark("differences").ratio
    rng = np.random.default_rng(0)
    found = [
        ratio(2 * rng.standard_normal((40, 4)), rng.standard_normal((40, 4)), rng)
        for _ in range(60)
    ]
    covered = sum(one.low < 2 < one.high for one in found)
    assert covered >= 48  # of 60 at 95 %: percentile intervals are a little short
    assert all(one.low < one.value < one.high for one in found)


def test_a_small_benchmark_trains_what_is_missing_and_judges(benchmark, tmp_path, capsys):
    markov, noise = benchmark("markov"), benchmark("noise")
    for name in markov.DOMAINS:
        (tmp_path / "text" / name).mkdir(parents=True)
        for number in range(40):
            text = f"{name} {number} " * 40
            (tmp_path / "text" / name / f"{number}.txt").write_text(text)
    out = tmp_path / "noise.jsonl"
    options = ["--sequences", "6", "--seeds", "4", "--windows", "4", "--processes", "1"]
    options += ["--corpus", str(tmp_path / "text"), "--out", str(out)]
    noise.main(options)
    first = capsys.readouterr().out
    assert "40 runs of 6 sequences in 3 groups" in first
    lines = out.read_text().splitlines(keepends=True)
    assert len(lines) == 40
    out.write_text("".join(lines[:-12]) + lines[-1][:20])  # killed in the middle of a line
    noise.main(options)
    again = capsys.readouterr().out
    assert "12 runs of 6 sequences in 1 groups" in again
    assert again.splitlines()[-4:] == first.splitlines()[-4:]
    summary = json.loads((tmp_path / "noise.6.json").read_text())
    assert summary["near systematic common"]["ratio"]["value"] == 1.0
