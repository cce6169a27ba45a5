"""Names become classes on first use, and every way of failing is one sentence."""

import pytest

from mixopt.errors import ConfigError, MissingExtraError
from mixopt.registry import Entry, load, make

TABLE = {
    "static": Entry("mixopt.online.static:Static"),
    "absent": Entry("surely_not_installed.law:Law", extra="bo"),
}


def test_a_registered_name_is_loaded():
    assert load(TABLE, "controller", "static").__name__ == "Static"


def test_a_name_with_a_colon_is_a_plugin():
    plugin = load({}, "controller", "mixopt.online.static:Static")
    assert plugin is load(TABLE, "controller", "static")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("statik", "did you mean 'static'"),
        ("no_such_module:Law", "no module 'no_such_module'"),
        ("mixopt.online.static:Law", "no class 'Law'"),
    ],
)
def test_a_wrong_name_is_one_sentence(name, words):
    with pytest.raises(ConfigError, match=words):
        load(TABLE, "controller", name)


def test_a_missing_extra_names_the_pip_line():
    with pytest.raises(MissingExtraError, match=r"pip install 'mixopt\[bo\]'"):
        load(TABLE, "law", "absent")


def test_an_unknown_setting_is_refused():
    with pytest.raises(ConfigError, match="no setting 'shedule', did you mean 'schedule'"):
        make(TABLE, "controller", "static", {"shedule": ()})
