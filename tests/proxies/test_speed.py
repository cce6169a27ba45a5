"""measure_speed: tokens a second of real workers, and what a proxy that cannot train says."""

import pytest

import proxies
from mixopt.config import read_proxy
from mixopt.errors import DataError
from proxies.speed import _rate


def test_workers_add_up_over_the_time_that_they_share():
    early, late = [0.1 * k for k in range(100)], [5.0 + 0.5 * k for k in range(10)]
    assert _rate([early], 5.0) == pytest.approx(10.0)
    assert _rate([early, late], 5.0) == pytest.approx(12.0)


def test_a_slow_worker_counts_by_its_last_step():
    assert _rate([[1.0, 11.0]], 10.5) == pytest.approx(0.1)


def test_this_machine_has_a_speed(make_study):
    study = make_study((0.5,))
    proxy = {**read_proxy(study / "proxy.toml").identity(), "sizes": {"width": 16, "layers": 1}}
    assert 100 < proxies.measure_speed(study, proxy, 4, workers=1, seconds=0.5) < 1e7


def test_a_proxy_that_cannot_train_is_one_sentence(make_study):
    study = make_study((0.5,))
    proxy = {**read_proxy(study / "proxy.toml").identity(), "sizes": {"context": 10**6}}
    with pytest.raises(DataError, match="less than one window"):
        proxies.measure_speed(study, proxy, 4, workers=1)
