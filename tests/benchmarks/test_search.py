"""The bench of searches: worlds tell the truth, all start alike, tables say what was measured."""

import shutil

import numpy as np
import pytest


@pytest.fixture
def bench(benchmark):
    return benchmark("search")


@pytest.fixture
def worlds(benchmark):
    return benchmark("search_worlds")


@pytest.fixture
def methods(benchmark):
    return benchmark("search_methods")


@pytest.fixture
def runs(benchmark, small_regmix):
    return benchmark("regmix_runs").read_runs(small_regmix)


def test_goals_are_each_metric_the_mean_and_the_same_weightings_always(worlds, runs):
    found, again = (worlds.goals(runs.train.metrics) for _ in range(2))
    assert len(found) == 3 + 1 + worlds.WEIGHTINGS
    for name, goal in found.items():
        np.testing.assert_array_equal(goal.weights, again[name].weights)
    np.testing.assert_allclose(found["mean"].weights, 1 / 3)


def test_a_replayed_table_has_its_best_mixture_at_0_and_its_worst_at_100(worlds, runs):
    goal = worlds.goals(runs.train.metrics)["mean"]
    arena = worlds.replayed(runs.space, runs.train, goal, 0, 8)
    value = runs.train.losses.mean(axis=1)
    regret = arena.regret(runs.train.weights)
    assert regret[value.argmin()] == 0
    assert regret[value.argmax()] == pytest.approx(100)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(arena.run(runs.train.weights, rng), runs.train.losses)


def test_a_made_up_world_is_judged_by_its_truth_not_its_noise(worlds):
    arena = worlds.made_up("smooth", 5, 0, 8)
    rng = np.random.default_rng(0)
    one, other = (arena.run(arena.first, rng) for _ in range(2))
    assert (one != other).all()
    np.testing.assert_array_equal(arena.regret(arena.first), arena.regret(arena.first))
    assert (arena.regret(arena.space.uniform(200, rng)) > -1e-6).all()


def test_every_search_starts_from_the_same_runs_and_gets_no_worse(worlds, methods, runs):
    goal = worlds.goals(runs.train.metrics)["mean"]
    arena = worlds.replayed(runs.space, runs.train, goal, 1, methods.FIRST)
    found = {name: methods.sequential(name, arena, 8, 1) for name in ("random", "edl_greedy")}
    starts = {one["best"][0] for one in found.values()}
    assert len(starts) == 1
    for one in found.values():
        assert (np.diff(one["best"]) <= 0).all()
        assert one["best"][-1] == 0  # budgets are larger than the table


def test_one_line_runs_the_mixtures_in_its_order(worlds, methods, runs):
    goal = worlds.goals(runs.train.metrics)["loss/pile_cc"]
    arena = worlds.replayed(runs.space, runs.train, goal, 0, 8)
    told = methods.one_line("own share", arena, runs.train.own, runs.space.reference)
    order = np.argsort(-runs.train.weights[:, runs.space.names.index("pile_cc")])
    assert told["best"][0] == pytest.approx(arena.regret(runs.train.weights[order[:8]]).min())


def test_a_cheap_look_ends_in_tables_and_is_not_measured_twice(
    bench, small_regmix, tmp_path, capsys
):
    out = tmp_path / "search.jsonl"
    command = ["--data", str(small_regmix), "--seeds", "2", "--out", str(out)]
    command += ["--goals", "mean", "--methods", "random", "climb", "law", "own share"]
    bench.main(command)
    first = capsys.readouterr().out
    assert "| `climb` | 2 |" in first
    lines = out.read_text()
    bench.main(command)
    assert "7 of 7 cells" in capsys.readouterr().out
    assert out.read_text() == lines
    bench.main(["--report", "--out", str(out)])
    assert capsys.readouterr().out in first


def test_what_is_missing_is_said(bench, capsys):
    with pytest.raises(SystemExit):
        bench.main([])
    assert "--data FOLDER is needed" in capsys.readouterr().err


def test_targets_are_ratios_of_medians(benchmark, capsys):
    def one(regret):
        return ("mean", "0", {"pick": [9, 9, regret, 9], "best": [9, 9, regret, 9]})

    found = {"bo": [one(1.0)], "regmix": [one(4.0)], "own share": [one(8.0)], "entropy": [one(2.0)]}
    benchmark("search_tables").replay_targets(found)
    assert (
        "| `bo`, pick | 1 (1 to 1) | 1.00 | 0.25 | 0.25 | 0.50 | 0.50 |" in capsys.readouterr().out
    )


def test_the_cost_of_equal_regret_is_where_it_is_first_reached(benchmark, capsys):
    cells = {
        "agree/zero-shot/0": {"mean": [[46.0, 2.0]]},
        "agree/mfbo/mean/0": [[39.0, 5.0, 0.8], [42.0, 1.0, 0.8], [52.0, 0.0, 0.7]],
    }
    benchmark("search_tables").agreeing_table(cells)
    assert "| 16 + 3 top | 46 | 2 (2 to 2) | 42 (42 to 42) | 100 % |" in capsys.readouterr().out


def test_two_sizes_spend_no_more_than_the_budget(benchmark, small_regmix, tmp_path):
    fidelity, folder = benchmark("search_fidelity"), tmp_path / "both"
    shutil.copytree(small_regmix, folder)
    shutil.copy(folder / "test_mixture_1m.csv", folder / "test_mixture_60m.csv")
    runs = benchmark("regmix_runs").read_runs(folder)
    trace = fidelity._agreed(runs, "mean", 0)
    costs = [cost for cost, *_ in trace]
    assert costs == sorted(costs)
    assert costs[-1] <= fidelity.REPLAY_BUDGET
    assert min(regret for _, regret, _ in trace) >= 0
