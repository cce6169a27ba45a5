"""`mixopt train-proxies`: what it says of proxies that have learned nothing yet."""

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
