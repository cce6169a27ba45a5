"""loop: the plans of a person who types them, the same after a kill, and a sentence at the end."""

from dataclasses import replace

import pytest

from mixopt.errors import ConfigError, PausedError
from mixopt.stages.loop import FILE, LoopSettings, loop

DOMAINS = {"web": 9e6, "code": 3e6, "books": 1e6}
PROXY = "tokens = 1000\nseeds = [1, 2]\nscale = [20e6, 20e6]\n"
SETTINGS = LoopSettings(2, 18, "edl_greedy", 0, "")


@pytest.fixture
def study(tmp_path, make_experiment):
    """Makes an experiment without data: its runs are measured by a formula."""
    relative = '[objective.mean]\nkind = "relative"\n'
    return lambda name: make_experiment(tmp_path / name, DOMAINS, PROXY, objectives=relative)


def losses(run):
    mix = run.schedule[0][1]
    worth = 0.3 * mix["web"] ** 0.5 + 0.1 * mix["code"] ** 0.5 + 0.2 * mix["books"] ** 0.5
    noise = 1e-4 * (int(run.id[:4], 16) / 65536 - 0.5)
    return {
        f"loss/{name}": 2 + (0.2 + worth + share**0.5) ** -0.5 + noise
        for name, share in mix.items()
    }


def trainer(exp, dies_after=None):
    """Measures what is planned; optionally is killed after so many runs."""
    left = [dies_after]

    def train():
        for run in exp.runs():
            if run.status != "planned":
                continue
            if left[0] is not None:
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
            if run.name == "edl_greedy-002-b0":
                exp.append([replace(run, error="diverged at step 7", attempt=1)])
            else:
                exp.append([replace(run, metrics=losses(run), attempt=1)])

    return train


def planned(exp):
    return sorted((run.round, run.name, run.id) for run in exp.runs())


def test_rounds_halve_and_an_eighth_is_for_verification():
    steps = LoopSettings(3, 64, "bo", 0, "").steps()
    assert [name for name, _ in steps] == ["bo"] * 3 + ["verify"] * 2
    assert sum(count for _, count in steps) == 64
    assert [count for _, count in steps[3:]] == [4, 4]
    assert [count for _, count in steps[:3]] == [32, 16, 8]
    assert [count for _, count in LoopSettings(1, 12, "bo", 0, "").steps()] == [8, 2, 2]


def test_a_killed_loop_goes_on_to_the_same_points(study):
    whole, torn = study("whole"), study("torn")
    report = loop(whole, SETTINGS, trainer(whole))
    for dies_after in (3, 12, 2):
        with pytest.raises(KeyboardInterrupt):
            loop(torn, SETTINGS, trainer(torn, dies_after))
    again = loop(torn, SETTINGS, trainer(torn))
    assert planned(torn) == planned(whole)
    assert again.to_json() == report.to_json()
    assert len(report.rounds) == 4
    assert report.rounds[-1].gain > 0
    assert [run.status for run in whole.runs()].count("diverged") == 1
    assert loop(torn, SETTINGS, None).to_json() == report.to_json()  # nothing is planned twice


def test_the_loop_plans_what_a_person_types(study):
    looped, typed = study("looped"), study("typed")
    loop(looped, SETTINGS, trainer(looped))
    for design, count in SETTINGS.steps():
        typed.sample(count, design)
        trainer(typed)()
    assert planned(looped) == planned(typed)


def test_a_plan_that_did_not_reach_the_table_is_written_again(study):
    """Killed between loop.json and the table, or in the middle of a line."""
    whole, torn = study("whole"), study("torn")
    with pytest.raises(KeyboardInterrupt):
        loop(whole, SETTINGS, trainer(whole, 0))
    with pytest.raises(KeyboardInterrupt):
        loop(torn, SETTINGS, trainer(torn, 0))
    for path in (torn.folder / "runs").iterdir():
        text = path.read_text()
        path.write_text(text[: len(text) // 2])
    with pytest.warns(UserWarning, match="torn|skipped|line"):
        with pytest.raises(KeyboardInterrupt):
            loop(torn, SETTINGS, trainer(torn, 0))
    with pytest.warns(UserWarning, match="torn|skipped|line"):
        assert planned(torn) == planned(whole)


def test_runs_that_are_trained_elsewhere_pause_it(study):
    exp = study("elsewhere")
    with pytest.raises(PausedError, match="mixopt record"):
        loop(exp, SETTINGS, None)
    trainer(exp)()
    with pytest.raises(PausedError, match="run the same command again"):
        loop(exp, SETTINGS, None)


def test_another_loop_needs_the_file_out_of_the_way(study):
    exp = study("other")
    with pytest.raises(PausedError):
        loop(exp, SETTINGS, None)
    with pytest.raises(ConfigError, match="edl_greedy"):
        loop(exp, replace(SETTINGS, runs=40), None)
    assert (exp.folder / FILE).exists()


def test_too_few_runs_are_refused(study):
    with pytest.raises(ConfigError, match="at least 12"):
        loop(study("few"), replace(SETTINGS, runs=6), None)


def test_auto_stops_where_nothing_is_left_to_find(study):
    """Metrics that mixtures hardly move, and noise that does."""
    exp = study("flat")

    def train():
        for run in exp.runs():
            if run.status == "planned":
                noise = int(run.id[:4], 16) / 65536 - 0.5
                mix = run.schedule[0][1]
                told = {f"loss/{name}": 3.0 + 0.2 * noise + 1e-3 * mix["web"] for name in mix}
                exp.append([replace(run, metrics=told, attempt=1)])

    report = loop(exp, LoopSettings(3, 20, "auto", 0, ""), train)
    assert report.stopped is not None
    assert report.stopped.further < report.stopped.detectable
    designs = [one.design for one in report.rounds]
    assert designs.count("auto") < 3
    assert designs[-2:] == ["verify", "verify"]
