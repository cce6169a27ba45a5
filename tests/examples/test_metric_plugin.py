"""The example of a metric of one's own: its files are a study, its function measures a proxy."""

import math

import metric_plugin
import pytest
import torch

from mixopt import Experiment
from proxies.config import resolve
from proxies.model import initial, stack
from proxies.prepare import prepare_experiment
from proxies.scorer import Scorer
from proxies.study import Study


def test_its_study_has_a_task_and_a_function_that_measures(tmp_path):
    metric_plugin.write_study(tmp_path)
    experiment = Experiment(tmp_path)
    prepare_experiment(experiment)
    study = Study.open(tmp_path)
    assert [task.name for task in study.tasks] == ["next_word"]
    assert study.metrics == ("metric_plugin:margin",)
    config = resolve(experiment.proxy_file.identity(), study.data.vocabulary)
    weights = stack([initial(config, 1)], torch.device("cpu"))
    (value,) = metric_plugin.margin(Scorer(weights, config, study.data)).values()
    assert math.isfinite(value)


@pytest.mark.slow
def test_it_runs_and_prints_its_metrics(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    metric_plugin.main(tmp_path)
    assert "task/margin" in capsys.readouterr().out
