"""What a prompt and a notebook show of results: the verdict first, numbers no longer than true."""

import doctest
import re

import numpy as np
import pandas as pd
import pytest

from mixopt import digits, shown
from mixopt.confirm import Arm, judge
from mixopt.errors import DataError
from mixopt.shown import Section, Shown, named_or_first

DOMAINS = {"web": 8e8, "code": 2e8}
PROXY = "tokens = 1000\nscale = [2e7, 4e6]\nseeds = [1, 2]\n"
OBJECTIVES = '[objective.mean]\n[objective.code]\nover = ["code"]\n'
LONG = re.compile(r"\d\.\d{5,}")


def arm(name, role, web):
    return Arm(name, role, ((1.0, {"web": web, "code": 1.0 - web}),))


@pytest.fixture(scope="module")
def study(tmp_path_factory, make_experiment):
    """A swarm of known losses in two domains, recorded."""
    folder = tmp_path_factory.mktemp("study")
    exp = make_experiment(folder, DOMAINS, PROXY, target=1e9, objectives=OBJECTIVES)
    exp.sample(12)
    rng = np.random.default_rng(0)
    for run in exp.runs():
        assert run.schedule is not None
        shares = run.schedule[0][1]
        losses = {name: 2 + (0.2 + share) ** -0.5 for name, share in shares.items()}
        exp.record(
            run.id,
            {f"loss/{k}": v + 2e-3 * rng.standard_normal() for k, v in losses.items()},
        )
    return exp


@pytest.fixture(scope="module")
def fitted(study):
    return study.fit(compare=("auto", "mean"))


@pytest.fixture(scope="module")
def proposed(study, fitted):
    return study.propose(2)


def test_examples_hold():
    for module in (shown, digits):
        assert doctest.testmod(module).failed == 0
        assert doctest.testmod(module).attempted > 0


def test_the_verdict_stands_before_any_number(proposed, fitted):
    first = next(iter(proposed.objectives.values())).verdict.sentence()
    assert repr(proposed).startswith(f"mean: {first}")
    verdict = next(iter(fitted.objectives.values())).verdict.sentence()
    assert repr(fitted).startswith(f"mean: {verdict}")


def test_nothing_shown_is_longer_than_its_uncertainty_deserves(proposed, fitted):
    ranking = proposed.objectives["mean"].ranking
    for result in (proposed, fitted, ranking, ranking.pick):
        for text in (repr(result), result._repr_html_()):
            assert not LONG.search(text)


def test_a_notebook_shows_the_same_as_a_prompt(proposed):
    html = proposed._repr_html_()
    for heading, table in proposed.sections():
        assert heading.split("\n")[0][:40] in html
        for text in table.iloc[0].astype(str):
            assert text in html
            assert text in repr(proposed)


def test_every_proposal_and_baseline_is_shown(proposed):
    for one in proposed.objectives.values():
        for entry in one.ranking.entries:
            assert entry.name in repr(proposed)


def test_frames_hold_whole_numbers_and_one_objective_each(proposed):
    mean, code = proposed.frame(), proposed.frame("code")
    assert mean.equals(proposed.frame("mean"))
    assert not mean.equals(code)
    pick = proposed.objectives["mean"].ranking.pick
    assert mean.loc[mean["name"] == pick.name, "objective"].item() == pick.objective
    shares = pick.frame()
    assert shares["share"].sum() == pytest.approx(1)
    assert dict(zip(shares["domain"], shares["share"])) == dict(pick.shares)


def test_the_frame_of_a_fit_has_a_row_for_each_law(fitted):
    frame = fitted.frame()
    assert set(frame["law"]) == {"auto", "mean"}
    assert frame.loc[frame["chosen"], "law"].tolist() == [fitted.law]


def test_an_objective_that_is_not_there_is_named_with_the_nearest_one(proposed):
    with pytest.raises(DataError, match=r"'meen'.*'mean'"):
        proposed.frame("meen")
    assert named_or_first({"a": 1, "b": 2}, None) == 1


def test_a_confirmation_shows_gains_and_not_losses():
    arms = [arm("pick", "proposal", 0.5), arm("natural", "baseline", 0.8)]
    noise = 0.001 * np.random.default_rng(0).standard_normal((2, 5))
    result = judge(np.array([[-0.02], [0.0]]) + noise, arms)
    assert "pick - natural" in repr(result)
    assert float(result.told()["gain"].item()) == pytest.approx(0.02, abs=0.003)
    assert result.told()["outcome"].item() == "better"
    assert not LONG.search(repr(result))


class Many(Shown):
    """A result of many rows."""

    def sections(self):
        return [Section("<many>", pd.DataFrame({"row": [str(i) for i in range(100)]}))]


def test_long_tables_are_cut_and_headings_are_no_markup():
    assert "and 80 more" in repr(Many())
    assert "&lt;many&gt;" in Many()._repr_html_()
    assert "<many>" not in Many()._repr_html_()
