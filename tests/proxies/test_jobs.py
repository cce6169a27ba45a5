"""Which device each worker gets, and what is said of one that is not here."""

import pytest

from mixopt.errors import ConfigError
from proxies.jobs import cores, devices


def test_cpu_may_be_asked_for():
    assert devices(3, ["cpu"]) == ["cpu"] * 3
    assert devices(None, ["cpu"]) == ["cpu"] * cores()


@pytest.mark.parametrize("name", ["99", "cuda:0", "gpu", ""])
def test_a_device_that_is_not_here_is_one_sentence(name):
    with pytest.raises(ConfigError, match=r"--devices may name .*cpu"):
        devices(None, [name])
