"""Fidelities of a study: its sizes, and what runs measured on their way."""

from mixopt.config import ProxyFile
from mixopt.fidelity import cohort_name, fidelities_of
from mixopt.runs import Run

ONE = ProxyFile.model_validate({"tokens": 1000})
TWO = ProxyFile.model_validate({"tokens": 1000, "confirm": {"tokens": 8000}})
EARLY = {"bpb/a": 1.0, "bpb@0.5/a": 1.5}


def run_of(identity, metrics, share=0.5):
    schedule = ((1.0, {"a": share, "b": 1.0 - share}),)
    return Run(schedule, 1, identity, metrics=metrics, scale=(2.0, 1.0, identity["tokens"]))


def test_two_sizes_by_their_tokens():
    small, large = fidelities_of(TWO, [])
    assert (small.name, large.name) == ("small", "large")
    assert (small.cost, large.cost) == (1000.0, 8000.0)
    assert small.planned
    assert large.planned


def test_one_size_without_early_metrics_is_one_kind():
    assert [one.name for one in fidelities_of(ONE, [run_of(ONE.identity(), {"bpb/a": 1.0})])] == [
        "small"
    ]


def test_one_size_with_early_metrics_has_shorter_runs_and_seen_points():
    found = fidelities_of(ONE, [run_of(ONE.identity(), EARLY)], lambda one: 2.0 * one["tokens"])
    assert [one.name for one in found] == ["short0.5", "small@0.5", "small"]
    assert [one.planned for one in found] == [True, False, True]
    assert [one.cost for one in found] == [1000.0, 1000.0, 2000.0]
    short, seen, whole = found
    assert short.proxy == {**whole.proxy, "tokens": 500}
    assert seen.cohort == whole.cohort + "@0.5"
    assert short.cohort == cohort_name(short.proxy) != whole.cohort


def test_points_before_the_end_belong_to_the_size_that_measured_them():
    found = fidelities_of(TWO, [run_of(TWO.confirm_identity(), EARLY)])
    assert [one.name for one in found] == ["small", "large@0.5", "large"]


def test_of_a_long_curve_the_first_and_the_last_count():
    curve = {f"bpb@{share}/a": 2.0 - share for share in (0.2, 0.4, 0.6, 0.8)}
    found = fidelities_of(TWO, [run_of(TWO.identity(), {"bpb/a": 1.0, **curve})])
    assert [one.name for one in found] == ["small@0.2", "small@0.8", "small", "large"]
