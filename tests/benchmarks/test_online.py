"""The benchmark of controllers: what is planned when, and what its rule says of made-up results."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.experiment import Experiment

SPACE = "[domain.web]\ntokens = 90\n[domain.law]\ntokens = 10\n"
PROXY = "tokens = 4096\nseeds = [1, 2, 3]\n"


@pytest.fixture
def online(benchmark):
    return benchmark("online")


@pytest.fixture
def study(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "proxy.toml").write_text(PROXY)
    return Experiment(tmp_path)


def cells(online, effects, noise=0.0005):
    """Results of methods in 5 blocks whose J differs from natural by `effects`."""
    rng = np.random.default_rng(0)
    fixed = {name: {"shares": {"web": 1.0}} for name in ("natural", "uniform", online.OPTIMUM)}
    methods = tuple(
        online.Method(name, **fixed.get(name, {"controller": name})) for name in effects
    )
    block = 0.05 * rng.standard_normal(5)
    values = np.array(list(effects.values()))[:, None] + block
    values = values + noise * rng.standard_normal(values.shape)
    losses = np.exp(values)[..., None] * np.ones(2)
    return online.Cells(methods, ("web", "law"), losses, np.ones(values.shape), values)


def test_a_controller_passes_by_both_parts_of_the_rule(online, capsys):
    optimum = {"natural": 0.0, "uniform": -0.01, online.OPTIMUM: -0.03}
    good = cells(online, {**optimum, "good": -0.02, "worse": 0.0, "same": -0.011})
    told = online._print("made up", good)
    assert told["good"]["gap_closed"] == pytest.approx(0.5, abs=0.05)
    online._print_rule({"ten": {"tokens": told}})
    out = capsys.readouterr().out
    assert "| good |" in out
    rows = {row.split(" | ")[0].strip("| "): row for row in out.splitlines() if row.startswith("|")}
    assert rows["good"].endswith("| yes |")
    assert rows["worse"].endswith("| no |")
    assert rows["same"].endswith("| no |")  # no worse, but it closes no gap


def test_one_corpus_on_which_it_loses_is_enough_to_fail(online, capsys):
    optimum = {"natural": 0.0, "uniform": -0.01, online.OPTIMUM: -0.03}
    told = {
        "ten": {"tokens": online._print("one", cells(online, {**optimum, "good": -0.03}))},
        "trouble": {"tokens": online._print("other", cells(online, {**optimum, "good": 0.0}))},
    }
    online._print_rule(told)
    assert "None passes: `default` is `uniform`" in capsys.readouterr().out


def test_a_method_that_diverged_is_named_and_left_out(online, capsys):
    found = cells(online, {"natural": 0.0, "uniform": -0.01, online.OPTIMUM: -0.03, "a": 0, "b": 0})
    objective = found.objective.copy()
    objective[4] = np.nan
    told = online._print("made up", replace(found, objective=objective))
    assert set(told) == {"natural", "uniform", online.OPTIMUM, "a"}
    assert "- b: fewer than two finished runs" in capsys.readouterr().out


def test_doremi_waits_for_its_reference_and_its_static_output_for_both(online, study):
    method = online.Method.parse("doremi:rate=0.5")
    static = replace(method, label=online.DOREMI, replayed=True)
    (natural,) = online.steps_of(study, static, 101, 4096, {})
    done = {natural.id: natural}
    _, second = online.steps_of(study, static, 101, 4096, done)
    assert second.controller == {"name": "doremi", "rate": 0.5, "reference": natural.id}
    assert online.complete(method, [natural, second])
    assert not online.complete(static, [natural, second])
    done[second.id] = replace(second, mixture={"web": 0.25, "law": 0.75})
    *_, last = online.steps_of(study, static, 101, 4096, done)
    assert last.schedule == ((1.0, {"web": 0.25, "law": 0.75}),)


def test_fewer_tokens_make_another_run(online, study):
    method = online.Method.parse("rb:every=10")
    (full,) = online.steps_of(study, method, 101, 4096, {})
    (less,) = online.steps_of(study, method, 101, 2048, {})
    assert full.id != less.id
    assert (full.controller, less.proxy["tokens"]) == ({"name": "rb", "every": 10}, 2048)
