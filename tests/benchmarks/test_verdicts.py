"""Verdicts of simulated studies, planned, fitted, proposed and judged as a user's are."""

import numpy as np
import pytest

CLAIMS = ("better_at_proxy", "ranking_only")
DOMAINS = 3
SWARM = (16, "sobol")


@pytest.fixture(scope="module")
def verdicts(benchmark):
    return benchmark("verdicts")


def numbers(verdicts, truth, count):
    """The first studies of a truth."""
    return [verdicts.TRUTHS.index(truth) + i * len(verdicts.TRUTHS) for i in range(count)]


@pytest.fixture(scope="module")
def much(verdicts, tmp_path_factory):
    """Four studies with much signal, by one law."""
    folder, found = tmp_path_factory.mktemp("studies"), []
    for number in numbers(verdicts, "much", 4):
        made = verdicts.case(number, DOMAINS)
        exp = verdicts.played(made, folder / str(number), *SWARM)
        found.append(verdicts.judged(made, exp, "edl", ()))
    return found


def test_without_signal_no_proposal_is_carried(verdicts, tmp_path):
    for number in numbers(verdicts, "none", 8):
        exp = verdicts.played(verdicts.case(number, DOMAINS), tmp_path / str(number), *SWARM)
        assert exp.fit("ridge", number, ()).objectives["mean"].verdict.kind not in CLAIMS


def test_with_much_signal_claims_are_made_and_hold(much):
    claims = [one for one in much if one.kind in CLAIMS]
    assert claims
    assert not [one for one in claims if one.wrong]


def test_signal_is_what_was_asked_for(much):
    for one in much:
        assert 10 <= one.signal <= 30
        assert one.best_gain >= 0
        assert one.gain <= one.best_gain + 1e-6


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"kind": "better_at_proxy", "gain": 0.1}, ""),
        ({"kind": "better_at_proxy", "gain": -0.1}, "claims"),
        ({"kind": "ranking_only", "gain": 0.0}, "claims"),
        ({"kind": "no_signal"}, "despairs"),
        ({"kind": "no_signal", "signal": 2.0}, ""),
        ({"kind": "no_signal", "best_gain": 0.02}, ""),
        ({"kind": "run_more"}, ""),
        ({"kind": "run_more", "best_gain": 0.0}, "hopes"),
    ],
)
def test_what_is_wrong(verdicts, change, wrong):
    plain = {
        "reasons": (),
        "more": None,
        "gain": 0.1,
        "best_gain": 0.1,
        "noise": 0.01,
        "signal": 20.0,
    }
    assert verdicts.Outcome(**{**plain, "covered": True, **change}).wrong == wrong


def test_truths_and_worlds_take_turns(verdicts):
    cases = [verdicts.case(number) for number in range(40)]
    assert [made.truth for made in cases[:5]] == [*verdicts.TRUTHS, verdicts.TRUTHS[0]]
    rows = np.eye(verdicts.DOMAINS)
    assert all(np.ptp(made.world.value(rows)) == 0 for made in cases[::4])
    assert all(np.ptp(made.world.value(rows)) > 0 for made in cases[2::4])


def test_the_table_counts_what_was_wrong(verdicts, tmp_path, capsys):
    out = tmp_path / "verdicts.json"
    verdicts.main(["--tables", "1", "--compare", "ridge", "mean", "--out", str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| truth | tables | better_at_proxy |")
    assert lines[-2].startswith("| all | 1 |")
