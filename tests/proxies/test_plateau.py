"""The unigram level is a closed form, and what it says of runs is a comparison."""

from math import log

import numpy as np
import pytest

from mixopt.runs import Run, RunWriter
from proxies.plateau import plateau, unigram_bpb
from proxies.study import Study


def test_the_level_is_the_cross_entropy_of_the_frequencies(make_study):
    study = Study.open(make_study())
    data = study.data
    name = data.names[0]
    shares = np.eye(len(data.names))[:1]
    counts = np.bincount(data.train(name), minlength=data.vocabulary) + 1.0
    questions = data.evaluation("validation", 16, 4)
    targets = questions.tokens[questions.domain == 0][:, 1:].ravel()
    scored = targets[data.token_bytes[targets] > 0]
    expected = -np.log(counts / counts.sum())[scored].sum()
    expected /= log(2) * data.token_bytes[scored].sum()
    found = unigram_bpb(data, data.names, shares, 16, 4)
    assert found.shape == (1, len(data.evaluation_names))
    assert found[0, 0] == pytest.approx(expected)


def test_runs_are_counted_against_their_own_mixture(make_study):
    folder = make_study()
    study = Study.open(folder)
    names = study.data.names
    mixture = {name: 1 / len(names) for name in names}
    assert plateau(study) is None
    runs = [
        Run(
            schedule=((1.0, mixture),),
            seed=seed,
            proxy={"preset": "tiny", "tokens": 1000},
            data=study.data.hash,
            metrics={f"bpb/{name}": bpb for name in study.data.evaluation_names},
        )
        for seed, bpb in ((1, 0.5), (2, 50.0))
    ]
    with RunWriter(folder / "runs") as writer:
        writer.append(runs)
    found = plateau(study)
    assert found is not None
    assert (found.runs, found.below) == (2, 1)
    assert 0.5 < found.unigram < 50
    assert "1 of 2 proxies" in found.sentence()
