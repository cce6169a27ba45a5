"""Proxies in flight: what a trial finds is kept, obeyed and never more than what fits."""

import json
from dataclasses import replace

from proxies import tune
from proxies.config import resolve
from proxies.groups import largest_group
from proxies.tune import fastest, known_group, measure, proxies_in_flight

SIZES = {"layers": 1, "width": 16, "heads": 2, "experts": 4, "hidden": 16, "context": 32}
CONFIG = resolve({"preset": "tiny", "tokens": 4096, "sizes": SIZES}, 257)


def test_a_larger_group_must_be_worth_it():
    assert fastest({1: 10.0, 2: 10.1, 4: 10.15}) == 1
    assert fastest({1: 10.0, 2: 11.0, 4: 9.0, 8: 12.0}) == 8


def test_every_candidate_has_a_rate():
    rates = measure(CONFIG, (1, 2), "cpu", seconds=0.1)
    assert set(rates) <= {1, 2}
    assert all(rate > 0 for rate in rates.values())


def test_little_work_is_not_tried(tmp_path):
    rule = largest_group(CONFIG, "cpu")
    assert proxies_in_flight(tmp_path, CONFIG, 8, ["cpu"], 64) == rule
    assert proxies_in_flight(tmp_path, CONFIG, 8, ["cpu"], 3) == min(rule, 3)
    assert list(tmp_path.iterdir()) == []


def test_a_trial_is_made_once_a_folder(tmp_path):
    long = replace(CONFIG, tokens=10**10)
    found = proxies_in_flight(tmp_path, long, 8, ["cpu"], 2)
    (path,) = (tmp_path / "claims").iterdir()
    assert list(json.loads(path.read_text()).values()) == [found]
    path.write_text(json.dumps({name: 7 for name in json.loads(path.read_text())}))
    assert proxies_in_flight(tmp_path, long, 8, ["cpu"], 64) == 7
    assert proxies_in_flight(tmp_path, long, 8, ["cpu"], 5) == 5
    assert known_group(tmp_path, long, ["cpu"]) == 7
    assert tune.known_group(tmp_path, CONFIG, ["cpu"]) == largest_group(CONFIG, "cpu")
