"""Regret in made-up worlds: from end to end on small ones, and what regret means."""

import numpy as np
import pytest


@pytest.fixture
def synthetic(benchmark):
    return benchmark("synthetic")


@pytest.fixture
def made(synthetic):
    return synthetic.study("over-repetition", synthetic.Size(4, 20), 0)


def test_the_table_has_every_world(benchmark, synthetic, tmp_path, capsys):
    small = ["--laws", "ridge", "--domains", "3", "--runs", "16", "--design", "sobol"]
    out = ["--subsets", "1", "--out", str(tmp_path / "out.json")]
    benchmark("laws").main(["--synthetic", *small, *out])
    lines = capsys.readouterr().out.splitlines()
    assert "| world | best run | ridge | ridge, verified |" in lines
    told = [line.split(" | ")[0].strip("| ") for line in lines if line.endswith(") |")]
    assert told == list(benchmark("worlds").WORLDS)


def test_regret_is_zero_at_the_optimum_and_the_range_at_the_worst_run(benchmark, made):
    worlds = benchmark("worlds")
    best = worlds.best_mixture(made.world, made.space)
    assert made.regret(best) == pytest.approx(0)
    rows = made.swarm(made.size.runs)
    assert max(made.regret(row) for row in rows) == pytest.approx(100)


def test_later_runs_leave_the_noise_of_earlier_ones(made):
    rows = made.swarm(12)
    first, whole = made.problem(rows[:5]).table, made.problem(rows).table
    np.testing.assert_array_equal(first.losses, whole.losses[:5])


def test_an_answer_that_is_not_sure_is_a_run(synthetic, made):
    row = synthetic.verified("edl", made)
    assert made.regret(row) < made.regret(synthetic.one_shot("edl", made)) + 5
