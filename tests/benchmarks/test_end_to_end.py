"""End to end: the pool is a swarm whose parts are swarms, and the arms are what was decided."""

import doctest
import json
import tomllib
from argparse import Namespace

import numpy as np
import pytest

from mixopt.config import ProxyFile
from mixopt.confirm import Arm, judge
from mixopt.runs import CONFIRM

DOMAINS = {"web": 8e8, "code": 2e8, "books": 1e8}


@pytest.fixture
def script(benchmark):
    return benchmark("end_to_end")


@pytest.fixture
def options(script):
    proxy = script.Proxy.parse
    return Namespace(
        presets=[proxy("tiny:layers=1,learning_rate=0.004"), proxy("tiny:width=96")],
        pool_tokens=1000,
        arm_tokens=2000,
        read_tokens=5000,
        windows=8,
        blocks=3,
        pool=16,
        baselines=["natural", "uniform", "unimax"],
        arms=None,
    )


@pytest.fixture
def study(script, options, tmp_path, make_experiment):
    proxy = script._proxy_text(options)
    return make_experiment(tmp_path / "study", DOMAINS, proxy, target=1e9)


def test_examples_hold(script):
    assert doctest.testmod(script).failed == 0
    assert doctest.testmod(script).attempted > 0


def test_the_proxy_is_what_the_options_ask_for(script, options):
    read = ProxyFile.model_validate(tomllib.loads(script._proxy_text(options)))
    assert (read.identity()["tokens"], read.confirm_identity()["tokens"]) == (1000, 2000)
    assert read.confirm_identity()["sizes"] == {"layers": 1, "width": 96}
    assert len(read.confirm.seeds) == 3


def test_every_quarter_of_the_pool_is_a_block_with_both_anchors(script, study):
    pool = script.plan_pool(study, 64)
    assert len({run.id for run in pool}) == 64
    assert [run.id for run in pool] == [run.id for run in script.plan_pool(study, 64)]
    blocks = [run.seed_block for run in pool]
    assert blocks == sorted(blocks)
    assert all(14 <= blocks.count(block) <= 18 for block in range(4))
    natural = study.space.reference
    first = [study.space.schedule_row(run.schedule) for run in pool[:14]]
    assert min(np.abs(row - natural).sum() for row in first) < 1e-4


def decide(out, study, rows):
    for count in (4, 8, 16):
        told = {
            name: study.space.project(np.array([row]))[0].tolist() for name, row in rows.items()
        }
        (out / f"decided-{count:03d}.json").write_text(json.dumps({"asked": count, "rows": told}))


def test_arms_are_written_once_and_near_ones_are_trained_once(script, options, study, tmp_path):
    rows = {
        "mixopt": [0.3, 0.4, 0.3],
        "regmix": [0.3, 0.5, 0.2],
        "olmix": [0.3, 0.499, 0.201],
        "climb": [0.5, 0.2, 0.3],
    }
    options.out = tmp_path
    decide(tmp_path, study, rows)
    arms = script.fixed_arms(study, options)
    by_name = {arm.name: arm for arm in arms}
    assert by_name["mixopt@4"].stands_for == ("mixopt@16",)
    assert by_name["regmix@16"].stands_for == ("olmix@16",)
    assert {arm.role for arm in arms} == {"proposal", "baseline"}
    decide(tmp_path, study, {name: [1.0, 1.0, 1.0] for name in rows})
    assert script.fixed_arms(study, options) == arms
    runs = script.plan_arm_runs(study, arms)
    assert len({run.id for run in runs}) == 3 * len(arms)
    assert [run.seed for run in runs[: len(arms)]] == [101] * len(arms)
    assert {run.origin for run in runs} == {CONFIRM}


def test_goals_say_yes_only_where_the_judge_does(script):
    def arm(name, role, web):
        return Arm(name, role, ((1.0, {"web": web, "code": 1 - web}),))

    arms = (
        arm("mixopt@4", "proposal", 0.1),
        arm("mixopt@16", "proposal", 0.2),
        arm("regmix@16", "proposal", 0.3),
        arm("natural", "baseline", 0.9),
    )

    def goals(means):
        noise = 1e-4 * np.random.default_rng(0).standard_normal((4, 5))
        values = np.array(means)[:, None] + noise
        pairs = {
            name: judge(values, script._as_rivals(arms, name)) for name in ("mixopt@4", "mixopt@16")
        }
        return list(script.reached(judge(values, arms), pairs).values())

    assert goals([-0.02, -0.03, -0.02, 0.0]) == [True, True]
    assert goals([-0.01, -0.03, -0.02, 0.0]) == [True, False]
    assert goals([-0.03, 0.01, -0.02, 0.0]) == [False, True]


def test_a_report_of_nothing_says_so(script, tmp_path, capsys):
    script.report(tmp_path)
    assert "no arms yet" in capsys.readouterr().out
