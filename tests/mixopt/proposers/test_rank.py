"""Ranking: joint draws, the best rival named, and the best run seen in its place."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mixopt.baselines import Baseline, baselines
from mixopt.errors import DataError
from mixopt.problem import Problem
from mixopt.proposers.rank import Ranking, best_run, rank
from mixopt.space import Domain, Space

Array = NDArray[np.float64]
Plant = Callable[..., Problem]

COST = np.array([[0.0], [1.0], [2.0]])


def _linear(w: Array) -> Array:
    return 3.0 + w @ COST


SPACE = Space(
    [
        Domain("a", tokens=10.0, minimum=0.0),
        Domain("b", tokens=30.0, minimum=0.0),
        Domain("c", tokens=60.0, minimum=0.0),
    ],
    target_tokens=40.0,
)
PICKS = {"p1": np.array([0.9, 0.1, 0.0]), "p2": np.array([0.6, 0.2, 0.2])}


def _rank(problem: Problem, draws: int = 400, level: float = 0.9) -> Ranking:
    rng = np.random.default_rng(0)
    return rank(problem, PICKS, baselines(problem.space, {}), draws, rng, level)


def test_sorted_by_the_objective_with_the_best_baseline_named(plant: Plant) -> None:
    found = _rank(plant(_linear, SPACE))
    objective = [entry.objective for entry in found.entries if entry.role != "best_run"]
    assert objective == sorted(objective)
    rivals = {entry.name: entry.objective for entry in found.entries if entry.role == "baseline"}
    assert found.best_baseline == min(rivals, key=rivals.__getitem__) == "uniform"
    assert found.pick.name == "p1"
    assert found.headline == found.pick.gains["uniform"]


def test_gains_are_differences_of_the_objective(plant: Plant) -> None:
    found = _rank(plant(_linear, SPACE))
    by_name = {entry.name: entry for entry in found.entries}
    for entry in found.entries:
        for rival, gain in entry.gains.items():
            assert gain.mean == pytest.approx(by_name[rival].objective - entry.objective)


def test_errors_that_rows_share_cancel(plant: Plant) -> None:
    shared = plant(_linear, SPACE, sd=1.0)
    found = _rank(shared, draws=4000)
    by_name = {entry.name: entry for entry in found.entries}
    roots = {name: np.sqrt(entry.row) for name, entry in by_name.items()}
    for rival, gain in found.pick.gains.items():
        # draws are sd sqrt(w) . xi, so a difference has the sd |sqrt(w) - sqrt(v)|
        exact = np.linalg.norm(roots["p1"] - roots[rival])
        assert gain.sd == pytest.approx(exact, rel=0.1)
        assert gain.sd < 0.8 * np.hypot(found.pick.objective_sd, by_name[rival].objective_sd)


def test_intervals_cover_what_they_say(plant: Plant) -> None:
    wide, narrow = (_rank(plant(_linear, SPACE, sd=1.0), 4000, level) for level in (0.9, 0.5))
    for one, two in zip(wide.pick.gains.values(), narrow.pick.gains.values(), strict=True):
        assert one.low < two.low < two.high < one.high
        assert one.high - one.low == pytest.approx(2 * 1.645 * one.sd, rel=0.1)


def test_probabilities_of_being_best_add_up(plant: Plant) -> None:
    sure = _rank(plant(_linear, SPACE))
    assert {entry.name: entry.best_probability for entry in sure.entries}["p1"] in (0.0, 1.0)
    for sd in (0.0, 1.0):
        found = _rank(plant(_linear, SPACE, sd=sd))
        assert sum(entry.best_probability for entry in found.entries) == pytest.approx(1.0)


def test_epochs_and_metrics_are_named(plant: Plant) -> None:
    found = _rank(plant(_linear, SPACE))
    assert found.pick.epochs == pytest.approx({"a": 3.6, "b": 0.4 / 3, "c": 0.0})
    assert found.pick.metrics["loss/d0"][0] == pytest.approx(3.1)
    unknown = _rank(plant(_linear, 3))
    assert set(unknown.pick.epochs.values()) == {None}


def test_metrics_that_rise_are_told_in_their_own_direction(plant: Plant) -> None:
    problem = plant(_linear, SPACE)
    assert problem.table is not None
    risen = replace(problem, table=replace(problem.table, directions=np.array([-1.0])))
    assert _rank(risen).pick.metrics["loss/d0"][0] == pytest.approx(-3.1)


def test_an_unverified_proposal_stands_above_the_best_run_only_if_it_is_clearly_better(
    plant: Plant,
) -> None:
    clear = _rank(plant(_linear, SPACE, sd=0.001))
    vague = _rank(plant(_linear, SPACE, sd=5.0))
    assert clear.best_run_name == vague.best_run_name is not None
    places = {entry.name: i for i, entry in enumerate(clear.entries)}
    ahead = clear.pick.gains["best_run"].low > 0
    assert (places["p1"] < places["best_run"]) == ahead == clear.outranks_best_run
    assert vague.entries[0].role == "best_run"
    assert not vague.outranks_best_run


def test_the_best_run_is_inside_the_limits_and_a_mean_of_its_replicates(plant: Plant) -> None:
    problem = plant(_linear, SPACE)
    assert problem.table is not None
    table = problem.table
    weights, losses = table.weights.copy(), table.losses.copy()
    weights[0], losses[0] = [1.0, 0.0, 0.0], 3.0
    weights[1] = weights[2] = [0.5, 0.5, 0.0]
    losses[1], losses[2] = 0.0, 50.0  # lucky once
    weights[3], losses[3] = [0.45, 0.55, 0.0], 1.0
    changed = replace(problem, table=replace(table, weights=weights, losses=losses))
    assert best_run(changed) is not None
    name, row = best_run(changed) or ("", np.empty(0))
    assert name == "run-3"
    np.testing.assert_array_equal(row, weights[3])
    tight = Space([Domain("a", maximum=0.4), Domain("b", maximum=0.5), Domain("c")])
    name, row = best_run(replace(changed, space=tight)) or ("", np.empty(0))
    assert tight.contains(row[None])[0]
    losses[:] = np.nan
    assert best_run(replace(problem, table=replace(table, losses=losses))) is None


def test_support_counts_the_runs_near_a_pick(plant: Plant) -> None:
    problem = plant(_linear, SPACE)
    assert problem.table is not None
    near = (problem.table.weights[:, 0] >= 0.7 * 0.9).sum()
    assert _rank(problem).pick.support == near


def test_frame_and_json_say_the_same(plant: Plant) -> None:
    found = _rank(plant(_linear, SPACE, sd=0.1))
    frame = found.frame()
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert list(frame["name"]) == [entry["name"] for entry in told["entries"]]
    assert told["entries"][0]["shares"].keys() == {"a", "b", "c"}
    best = frame.set_index("name").loc[found.best_baseline]
    assert np.isnan(best["gain"])


def test_a_table_is_not_needed(plant: Plant) -> None:
    found = _rank(replace(plant(_linear, SPACE), table=None))
    assert found.best_run_name is None
    assert found.outranks_best_run
    assert {entry.role for entry in found.entries} == {"proposal", "baseline"}


def test_baselines_keep_their_marks(plant: Plant) -> None:
    rivals = {"mine": Baseline(np.array([0.2, 0.3, 0.5]), projected=True, aliases=("old",))}
    rng = np.random.default_rng(0)
    found = rank(plant(_linear, SPACE), PICKS, rivals, 50, rng)
    mine = next(entry for entry in found.entries if entry.name == "mine")
    assert (mine.projected, mine.aliases) == (True, ("old",))


def test_names_must_differ_and_something_must_be_ranked(plant: Plant) -> None:
    problem, rng = plant(_linear, SPACE), np.random.default_rng(0)
    rivals = baselines(SPACE, {})
    with pytest.raises(DataError, match="different names"):
        rank(problem, {"uniform": PICKS["p1"]}, rivals, 10, rng)
    with pytest.raises(DataError, match="a candidate and a baseline"):
        rank(problem, {}, rivals, 10, rng)
    with pytest.raises(DataError, match="mixopt fit"):
        rank(replace(problem, law=None), PICKS, rivals, 10, rng)


def test_a_proposal_that_is_a_rival_takes_its_names(plant: Plant) -> None:
    problem = plant(_linear, SPACE, sd=1.0)
    rivals, seen = baselines(SPACE, {}), best_run(problem)
    assert seen is not None
    picks = {"p1": rivals["uniform"].row, "p2": seen[1], "p3": PICKS["p1"]}
    found = rank(problem, picks, rivals, 400, np.random.default_rng(0))
    entries = {entry.name: entry for entry in found.entries}
    assert entries["p1"].aliases == ("uniform", *rivals["uniform"].aliases)
    assert entries["p2"].aliases == ("best_run",)
    assert entries["p3"].aliases == ()
    for name in ("uniform", "best_run"):
        (twin,) = [entry for entry in found.proposals if name in entry.aliases]
        assert twin.best_probability == entries[name].best_probability
    assert {entry.name for entry in found.distinct} == set(entries) - {"uniform", "best_run"}
    assert sum(entry.best_probability for entry in found.distinct) == pytest.approx(1.0)
    assert found.gain(entries["p1"]) is None
