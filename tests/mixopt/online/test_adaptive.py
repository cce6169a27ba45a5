"""Budgets, the projection on cumulative draws, and the bookkeeping that all controllers share."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mixopt.errors import ConfigError, DataError, InfeasibleError
from mixopt.online import make_controller
from mixopt.online.base import Feedback
from mixopt.online.budget import Budget, Group
from mixopt.online.projection import into_budget
from mixopt.online.schedule import Schedule, few_phases
from mixopt.online.trail import Trail
from mixopt.online.uniform import Uniform


def test_a_budget_has_natural_shares_where_it_knows_the_sizes():
    known = Budget.of(["a", "b"], tokens={"a": 30.0, "b": 10.0}, run_tokens=40.0)
    np.testing.assert_allclose(known.prior, [0.75, 0.25])
    np.testing.assert_allclose(Budget.of(["a", "b"]).prior, 0.5)
    told = Budget.of(["a", "b"], prior={"b": 2.0})
    np.testing.assert_allclose(told.prior, [0.0, 1.0])


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"names": ["a", "a"]}, "each once"),
        ({"names": []}, "one domain or more"),
        ({"names": ["a"], "prior": {"b": 1.0}}, "no domain is called 'b'"),
        ({"names": ["a"], "tokens": {"a": 5.0}}, "give run_tokens"),
        ({"names": ["a"], "tokens": {"a": float("nan")}, "run_tokens": 1.0}, "0 or more"),
        ({"names": ["a"], "prior": {"a": 0.0}}, "no share above 0"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(given_, words):
    with pytest.raises(DataError, match=words):
        Budget.of(given_.pop("names"), **given_)


def test_a_run_that_is_too_long_for_its_text_is_infeasible():
    tokens = {"a": 10.0, "b": 5.0}
    with pytest.raises(InfeasibleError, match=r"may give 60.0% of them"):
        Budget.of(["a", "b"], tokens=tokens, run_tokens=100.0)
    with pytest.raises(InfeasibleError, match="lower some min"):
        Budget.of(["a", "b"], lower={"a": 0.7, "b": 0.7})


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0, 0.99), st.integers(0, 9))
def test_the_projection_never_overspends(wanted, done, seed):
    rng = np.random.default_rng(seed)
    pools = rng.uniform(0.1, 0.6, 4)
    names = ["a", "b", "c", "d"]
    budget = Budget.of(names, tokens=dict(zip(names, 100 * pools)), run_tokens=100.0)
    drawn = 100 * done * rng.dirichlet(np.ones(4))
    rest = 100 * (1 - done)
    left = np.maximum(budget.allowed - drawn, 0.0)
    assume(np.minimum(left / rest, 1.0).sum() >= 1.0)
    weights = into_budget(budget, np.array(wanted), drawn, 100 * done)
    assert (weights * rest <= left * (1 + 1e-9) + 1e-9).all()
    assert abs(weights.sum() - 1.0) < 1e-9


def test_what_is_inside_is_left_alone():
    budget = Budget.of(["a", "b"], tokens={"a": 50.0, "b": 50.0}, run_tokens=100.0)
    wanted = np.array([0.3, 0.7])
    np.testing.assert_array_equal(into_budget(budget, wanted, np.zeros(2), 0.0), wanted)


def test_what_is_not_used_early_may_be_used_late():
    budget = Budget.of(["a", "b"], tokens={"b": 5.0}, run_tokens=100.0)
    greedy = np.array([0.0, 1.0])
    early = into_budget(budget, greedy, np.zeros(2), 0.0)
    late = into_budget(budget, greedy, np.array([50.0, 0.0]), 50.0)
    np.testing.assert_allclose((early[1], late[1]), (0.2, 0.4))


def test_bounds_of_the_space_hold():
    budget = Budget.of(["a", "b", "c"], lower={"a": 0.2}, upper={"b": 0.3})
    weights = into_budget(budget, np.array([0.0, 1.0, 0.0]), np.zeros(3), 0.0)
    assert weights[0] >= 0.2
    assert weights[1] <= 0.3


# linear limits


def test_the_nearest_mixture_inside_groups_is_found():
    """Two groups that do not overlap: in each, shares keep their proportions."""
    groups = {"code": Group(["a", "b"], upper=0.3), "law": Group(["d"], lower=0.4)}
    budget = Budget.of(["a", "b", "c", "d"], groups=groups)
    wanted = np.array([0.6, 0.2, 0.1, 0.1])
    weights = into_budget(budget, wanted, np.zeros(4), 0.0, floor=0.0)
    np.testing.assert_allclose(weights, [0.225, 0.075, 0.3, 0.4], atol=1e-9)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 1.0]))
def test_limits_hold_whatever_is_wanted_and_as_long_as_shares_are_followed(seed, floor):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "d"]
    low, high = np.sort(rng.random((2, 2)), axis=1).T
    members = [["a", "b"], ["b", "c", "d"][: 1 + seed % 3]]
    groups = {f"g{i}": Group(own, low[i], high[i]) for i, own in enumerate(members)}
    tokens = {"a": 5.0, "c": 20.0}
    try:
        budget = Budget.of(names, tokens=tokens, run_tokens=100.0, groups=groups)
    except InfeasibleError:
        return
    drawn = np.zeros(4)
    for turn in range(4):
        wanted = rng.dirichlet(np.full(4, 0.2))
        weights = into_budget(budget, wanted, drawn, 25.0 * turn, floor)
        assert (budget.limit @ weights <= budget.limit_to + 1e-8).all()
        assert abs(weights.sum() - 1.0) < 1e-9
        drawn = drawn + 25.0 * weights
    assert (drawn <= budget.allowed * (1 + 1e-8)).all()


def test_floors_give_way_to_limits():
    budget = Budget.of(
        ["a", "b"], prior={"a": 0.9, "b": 0.1}, groups={"g": Group(["a"], upper=0.01)}
    )
    weights = into_budget(budget, np.array([0.5, 0.5]), np.zeros(2), 0.0)
    np.testing.assert_allclose(weights, [0.01, 0.99], atol=1e-8)


def test_a_loop_that_spent_what_a_limit_needs_is_told():
    """Caps are hard, limits are missed by as little as is left to do, and it is said."""
    budget = Budget.of(
        ["a", "b", "c"],
        tokens={"a": 5.0, "b": 5.0},
        run_tokens=100.0,
        groups={"code": Group(["a", "b"], lower=0.3)},
    )
    controller = Uniform(budget)
    assert controller.remarks() == ()
    controller.observe(Feedback(5, 10, 50, np.array([20.0, 15.0, 15.0]), np.full(3, 3.0)))
    np.testing.assert_allclose(controller.weights(), [0.0, 0.1, 0.9], atol=1e-8)
    assert controller.remarks() == ("limits_broken:code", "ran_out:a")


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        ({"g": Group(["x"])}, DataError, "no domain is called 'x'"),
        ({"g": Group(["a"], 0.5, 0.2)}, DataError, "0 <= lower <= upper"),
        ({"g": Group(["a"], 0.6), "h": Group(["b"], 0.6)}, InfeasibleError, "loosen 'g' or 'h'"),
    ],
)
def test_groups_that_mean_nothing_are_refused(groups, error, words):
    with pytest.raises(error, match=words):
        Budget.of(["a", "b"], groups=groups)


def test_a_loop_that_drew_too_much_goes_on_with_what_is_left():
    """The user's own loop may not do as it was told: no error in the middle of a run."""
    budget = Budget.of(["a", "b"], tokens={"a": 12.5, "b": 12.5}, run_tokens=100.0)
    controller = Uniform(budget)
    controller.observe(Feedback(5, 10, 50, np.array([50.0, 0.0]), np.full(2, 3.0)))
    np.testing.assert_allclose(controller.weights(), [0.0, 1.0])
    assert controller.remarks() == ("ran_out:a",)
    controller.observe(Feedback(9, 10, 90, np.array([50.0, 50.0]), np.full(2, 3.0)))
    np.testing.assert_allclose(controller.weights(), budget.prior)


def test_a_wish_for_one_domain_is_said_and_floored():
    phases = [[1.0, {"a": 1.0}]]
    controller = make_controller("schedule", {"budget": Budget.of(["a", "b"]), "phases": phases})
    controller.observe(Feedback(1, 10, 1, np.ones(2), np.ones(2)))
    assert controller.remarks() == ("collapsed:a",)
    np.testing.assert_allclose(controller.weights(), [0.95, 0.05])
    state = json.loads(json.dumps(controller.state()))
    again = make_controller("schedule", {"budget": Budget.of(["a", "b"]), "phases": phases})
    assert again.restore(state).remarks() == ("collapsed:a",)


def test_weights_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        Uniform(Budget.of(["a", "b"])).weights()[0] = 1.0


@pytest.mark.parametrize("settings", [{"every": 0}, {"every": 1.5}, {"floor": -1.0}])
def test_settings_are_checked(settings):
    with pytest.raises(ConfigError, match="uniform: "):
        Uniform(Budget.of(["a"]), **settings)


def test_feedback_of_other_domains_is_refused():
    with pytest.raises(DataError, match="expected drawn of 2 domains, got 3"):
        Uniform(Budget.of(["a", "b"])).observe(Feedback(1, 2, 1, np.ones(3), np.ones(3)))


def test_other_settings_are_another_controller():
    budget = Budget.of(["a", "b"])
    one, other = (make_controller("odm", {"budget": budget, "memory": m}) for m in (0.9, 0.5))
    with pytest.raises(DataError, match="controller with settings"):
        other.restore(one.state())


def test_aioli_takes_its_turns_from_how_it_learns():
    with pytest.raises(ConfigError, match="no setting 'every'"):
        make_controller("aioli", {"budget": Budget.of(["a", "b"]), "every": 3})


# schedules


def replayed(phases, steps):
    controller, seen = Schedule(Budget.of(["a", "b"]), floor=0.0, phases=phases), []
    for step in range(1, steps + 1):
        seen.append(controller.weights()[0])
        controller.observe(Feedback(step, steps, step, np.ones(2), np.ones(2)))
    return seen


def test_a_schedule_is_replayed_by_fractions():
    assert (
        replayed([[0.5, {"a": 1.0}], [0.25, {"b": 1.0}], [0.25, {"a": 1.0}]], 8)
        == [1.0] * 4 + [0.0] * 2 + [1.0] * 2
    )


def test_a_schedule_of_unknown_domains_is_refused():
    for phases, words in (([[1.0, {"c": 1.0}]], "no domain"), ([], "expected phases")):
        with pytest.raises(ConfigError, match=words):
            Schedule(Budget.of(["a", "b"]), phases=phases)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=12), st.integers(1, 12))
def test_few_phases_keep_the_mean(shares, count):
    path = [(1.0 / len(shares), {"a": share, "b": 1.0 - share}) for share in shares]
    few = few_phases(path, count)
    assert len(few) == min(count, len(shares))
    assert sum(part for part, _ in few) == pytest.approx(1.0, abs=1e-6)
    mean = sum(part * mix["a"] for part, mix in few)
    assert mean == pytest.approx(np.mean(shares), abs=1e-6)


def test_few_phases_find_where_the_path_jumps():
    path = [(0.1, {"a": 0.8, "b": 0.2})] * 3 + [(0.1, {"a": 0.1, "b": 0.9})] * 7
    assert few_phases(path, 2) == [(0.3, {"a": 0.8, "b": 0.2}), (0.7, {"a": 0.1, "b": 0.9})]


def test_a_long_path_is_no_problem():
    path = [(1.0, {"a": i / 5000, "b": 1 - i / 5000}) for i in range(5000)]
    assert len(few_phases(path, 4)) == 4


# trails


def test_a_trail_is_exact_in_the_mean_and_bounded():
    steps, rng = 3000, np.random.default_rng(0)
    trail, rows = Trail(["a", "b"], steps), rng.dirichlet(np.ones(2), 3000)
    for row in rows:
        trail.step(row)
        trail.mark(row, {"why": 1})
    assert len(trail.lines()) <= 257
    assert trail.mean()["a"] == pytest.approx(rows[:, 0].mean(), abs=1e-7)
    assert sum(part for part, _ in trail.schedule()) == pytest.approx(1.0)


@pytest.mark.parametrize("stop", [0, 1, 7, 12])
def test_a_trail_goes_on_exactly(stop):
    rows = np.random.default_rng(1).dirichlet(np.ones(2), 20)

    def walk(trail, part):
        for row in part:
            trail.step(row)
            trail.mark(row, {"a": 1.0})
        return trail

    whole = walk(Trail(["a", "b"], 600), rows)
    state = json.loads(json.dumps(walk(Trail(["a", "b"], 600), rows[:stop]).state()))
    again = walk(Trail(["a", "b"], 600).restore(state), rows[stop:])
    assert again.lines() == whole.lines()


def test_a_trail_is_written_as_json_lines(tmp_path):
    trail = Trail(["a", "b"], 2)
    trail.step(np.array([0.25, 0.75]))
    trail.mark(np.array([0.5, 0.5]), {"rewards": {"a": 1.0}})
    trail.step(np.array([0.5, 0.5]))
    trail.write(tmp_path / "x.jsonl")
    first, last = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert first["why"] == {"rewards": {"a": 1.0}}
    assert last == {"step": 2, "shares": {"a": 0.5, "b": 0.5}}


@pytest.mark.parametrize("name", ["aioli", "doge", "doremi", "rb", "skillit"])
def test_what_moves_step_by_step_says_where_it_begins(name):
    budget = Budget.of(["a", "b"], prior={"a": 0.8, "b": 0.2})
    settings = {"budget": budget}
    np.testing.assert_allclose(make_controller(name, settings).weights(), 0.5)
    controller = make_controller(name, {**settings, "start": "prior"})
    np.testing.assert_allclose(controller.weights(), budget.prior)
    with pytest.raises(ConfigError, match="start must be uniform or prior"):
        make_controller(name, {**settings, "start": "anywhere"})
