"""The laws benchmark from end to end on small tables, and its parts against plain formulas."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from mixopt.testing import table_of


@pytest.fixture
def run(benchmark, small_regmix, tmp_path, capsys):
    """Run `laws.py` on the small folder; what it printed."""

    def call(*arguments):
        out = tmp_path / "out.json"
        benchmark("laws").main(["--data", str(small_regmix), "--out", str(out), *arguments])
        return capsys.readouterr().out

    return call


def rows_of(text, first):
    """The cells of the table lines that begin with a word."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return [line for line in lines if line[0] == first]


def test_the_matrix_says_what_it_did_and_resumes(run, benchmark):
    arguments = ("--laws", "ridge", "mean", "--runs", "24", "48", "--subsets", "2")
    printed = run(*arguments)
    assert "of 108 published mixtures sum to 0.99" in printed
    assert [row[1] for row in rows_of(printed, "ridge")] == ["24", "48", "24", "48"]
    assert float(rows_of(printed, "ridge")[1][2]) > 80  # Spearman of Pile-CC
    assert float(rows_of(printed, "mean")[1][2]) == 0
    assert run(*arguments) == printed


def test_coverage_is_told_for_64_and_128_runs(run, benchmark, monkeypatch):
    monkeypatch.setattr(benchmark("matrix"), "COVERED_RUNS", (24,))
    printed = run("--laws", "ridge", "--runs", "24", "48", "--subsets", "2")
    [row] = [row for row in rows_of(printed, "ridge") if "to" in row[2]]
    low, high = map(float, row[2].split(" to "))
    assert 0.5 < low <= high <= 1


def test_the_headline_compares_with_both_rivals(run, benchmark, monkeypatch):
    monkeypatch.setattr(benchmark("headline"), "RESAMPLES", 20)
    monkeypatch.setattr(benchmark("headline"), "LEAVES", (3, 10))
    printed = run("--headline", "--laws", "ridge", "--runs", "24", "--subsets", "2")
    rivals = [row[2] for row in rows_of(printed, "1M")]
    assert rivals == ["regmix, 48", "regmix, leaves tuned, 48", "regmix, leaves tuned, 24"]
    assert len(rows_of(printed, "60M")) == 3


def test_seconds_are_told(run, benchmark, monkeypatch):
    seconds = benchmark("seconds")
    monkeypatch.setattr(seconds, "MIXTURES", 1000)
    monkeypatch.setattr(seconds, "COMPARED", ("mean", "ridge"))
    printed = run("--seconds", "--laws", "ridge")
    assert len(rows_of(printed, "ridge")[0]) == 4
    assert "comparison of mean, ridge: " in printed


def test_the_folder_is_needed(benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark("laws").main([])
    assert "--data FOLDER is needed" in capsys.readouterr().err


def test_correlations_are_spearmans(benchmark):
    rng = np.random.default_rng(0)
    actual, predicted = rng.normal(size=(30, 3)), rng.normal(size=(2, 30, 3))
    found = benchmark("headline").correlations(actual, predicted, 1)
    by_metric = [[spearmanr(a, p).statistic for a, p in zip(actual.T, q.T)] for q in predicted]
    joint = [spearmanr(actual.mean(1), q.mean(1)).statistic for q in predicted]
    expected = 100 * np.column_stack([np.array(by_metric)[:, 1], np.mean(by_metric, 1), joint])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_equal_predictions_differ_by_nothing(benchmark, monkeypatch):
    headline, rng = benchmark("headline"), np.random.default_rng(0)
    monkeypatch.setattr(headline, "RESAMPLES", 20)
    actual, predicted = rng.normal(size=(30, 3)), rng.normal(size=(2, 30, 3))
    found = headline.ranked(actual, predicted, 0)
    for told in headline.compared(found, found):
        assert told.endswith("= +0.00 (+0.00 to +0.00)")


def test_the_interval_holds_the_difference(benchmark, monkeypatch):
    headline, rng = benchmark("headline"), np.random.default_rng(0)
    monkeypatch.setattr(headline, "RESAMPLES", 100)
    actual = rng.normal(size=(60, 3))
    good = headline.ranked(actual, actual + 0.3 * rng.normal(size=(4, 60, 3)), 0)
    bad = headline.ranked(actual, actual + 3.0 * rng.normal(size=(1, 60, 3)), 0)
    for told in headline.compared(good, bad):
        apart, low, high = map(float, re.findall(r"[+-]\d+\.\d+", told.partition("=")[2]))
        assert 0 < low < apart < high


def test_leaves_are_tuned_inside_the_runs(benchmark):
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), 60)
    steps = (weights[:, :1] > 0.4) + 0.01 * rng.standard_normal((60, 1))
    predict = benchmark("headline").leaf_tuned(table_of(weights, steps))
    fresh = rng.dirichlet(np.ones(3), 200)
    assert np.mean((predict(fresh)[:, 0] > 0.5) == (fresh[:, 0] > 0.4)) > 0.85


def test_regmix_as_published(benchmark):
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("MIXOPT_DATA", beside)) / "regmix"
    if not folder.exists():
        pytest.skip(f"RegMix's tables are not in {folder}: set MIXOPT_DATA to their folder")
    data, matrix = benchmark("regmix_runs"), benchmark("matrix")
    runs = data.read_runs(folder)
    assert "sum to 0.996 to 1.003 instead of 1" in runs.note
    assert len(data.subset(runs, 512, 0)) == 512
    first, again = data.subset(runs, 64, 0), data.subset(runs, 64, 0)
    assert first.ids == again.ids != data.subset(runs, 64, 1).ids
    found = matrix.measured("linear", runs, 512, 0)["ranks"]
    for size, figure in data.PUBLISHED["linear"].items():
        if size in found:
            assert found[size]["cc"] == pytest.approx(figure, abs=0.5)
