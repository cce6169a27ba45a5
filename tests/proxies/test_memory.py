"""Memory: the estimate against the peak of real steps, and the sentence where nothing fits."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from mixopt.errors import ConfigError
from proxies import memory
from proxies.config import resolve
from proxies.memory import most_that_fit, needed

CONFIG = resolve({"preset": "tiny", "tokens": 10**6, "training": {"sequences": 8}}, 4096)
PEAK = """
import sys, json, torch
from pathlib import Path
from proxies.config import resolve
from proxies.learner import Learner
torch.set_num_threads(1)
config = resolve({"preset": "tiny", "tokens": 10**6, "training": {"sequences": 8}}, 4096)
proxies = int(sys.argv[1])
learner = Learner(config, range(proxies), torch.device("cpu"))
batch = torch.zeros(proxies, 8, 129, dtype=torch.int64)
for _ in range(2):
    learner.learn(batch)
text = Path("/proc/self/status").read_text()
print(json.dumps(1024 * int(text.partition("VmHWM:")[2].split()[0])))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_estimate_grows_as_real_steps_do():
    def peak(proxies):
        command = [sys.executable, "-c", PEAK, str(proxies)]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    few, many = peak(2), peak(10)
    estimated = [needed(CONFIG, count).total for count in (2, 10)]
    assert estimated[1] - estimated[0] == pytest.approx(many - few, rel=0.3)
    assert estimated[1] == pytest.approx(many, rel=0.4)


def test_it_grows_with_what_the_refusal_names():
    sizes = CONFIG.sizes
    assert needed(replace(CONFIG, sequences=16), 1).activations > needed(CONFIG, 1).activations
    assert needed(replace(CONFIG, vocabulary=8192), 1).vocabulary > needed(CONFIG, 1).vocabulary
    wider = replace(CONFIG, sizes=replace(sizes, experts=64))
    assert needed(wider, 1).weights > needed(CONFIG, 1).weights


def test_as_many_fit_as_have_room(monkeypatch):
    monkeypatch.setattr(memory, "_free_memory", lambda: needed(CONFIG, 5).total / 0.9 + 1.0)
    assert most_that_fit(CONFIG, ["cpu"]) == 5


@pytest.mark.parametrize(
    ("changes", "workers", "words"),
    [
        ({"sequences": 10**6}, 1, "lower sequences under .training. or context"),
        ({"vocabulary": 10**8}, 1, "smaller vocabulary"),
        ({}, 100, "train with --workers"),
    ],
)
def test_a_plan_that_cannot_fit_is_one_sentence(monkeypatch, changes, workers, words):
    monkeypatch.setattr(memory, "_free_memory", lambda: 4e9)
    with pytest.raises(ConfigError, match=words) as caught:
        most_that_fit(replace(CONFIG, **changes), ["cpu"] * workers)
    assert "\n" not in str(caught.value)
