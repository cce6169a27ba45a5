"""Every registered law keeps the contract: registering is being tested."""

import pytest

from mixopt.errors import ConfigError
from mixopt.laws import LAWS, make_law
from mixopt.testing import LAW_CHECKS

FAST = {"regmix": {"rounds": 200, "learning_rate": 0.05}}
EXPECTED_FAILURES = {("mean", "check_beats_the_mean"): "it is the mean"}


@pytest.mark.parametrize("check", LAW_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(LAWS))
def test_law_keeps_the_contract(name, check, request):
    if reason := EXPECTED_FAILURES.get((name, check.__name__)):
        request.applymarker(pytest.mark.xfail(reason=reason, raises=AssertionError))
    check(make_law(name, FAST.get(name)))


def test_an_unknown_law_or_setting_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'ridge'"):
        make_law("ridg")
    with pytest.raises(ConfigError, match="did you mean 'rounds'"):
        make_law("regmix", {"round": 3})
