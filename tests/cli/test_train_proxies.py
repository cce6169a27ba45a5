"""`mixopt train-proxies`: what it says of little learned, and of nothing left to train."""

from dataclasses import replace

import pytest

from mixopt.experiment import Experiment


@pytest.mark.parametrize(("bpb", "learned"), [(50.0, False), (0.5, True)])
def test_proxies_at_word_frequencies_get_advice(mixopt, study, bpb, learned):
    assert mixopt("prepare", study, "--quiet").code == 0
    assert mixopt("sample", study, "-n", 1, "--quiet").code == 0
    exp = Experiment(study)
    metrics = {f"bpb/{name}": bpb for name in exp.space.names}
    exp.append([replace(run, metrics=metrics) for run in exp.runs()])
    shown = mixopt("train-proxies", study, "--quiet")
    assert shown.code == 0, shown.err
    assert ("0 of " in shown.out) != learned
    assert ("more tokens a run" in shown.out) != learned
    assert ("smaller vocabulary" in shown.out) != learned


def test_a_plan_names_the_next_command_and_a_finished_one_says_so(mixopt, study):
    assert mixopt("prepare", study, "--quiet").code == 0
    assert f"next: mixopt train-proxies {study}" in mixopt("sample", study, "-n", 1).err
    exp = Experiment(study)
    metrics = {f"bpb/{name}": 1.0 for name in exp.space.names}
    exp.append([replace(run, metrics=metrics) for run in exp.runs()])
    again = mixopt("train-proxies", study)
    assert again.code == 0, again.err
    assert "every planned run is done, nothing was trained" in again.err
