"""One number set in TOML: every way in which people write a table, and what is left alone."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.toml_edit import set_number

FORMS = {
    "nothing": "tokens = 5  # all of it\n",
    "a table": "tokens = 5\n[training]  # mine\nclip = 1.0  # as it is\n",
    "a table with the key": "[training]\nlearning_rate = 3e-3  # old\nclip = 1.0\n",
    "an empty table": "tokens = 5\n[training]\n[confirm]\nseeds = [1, 2]\n",
    "inline": "training = {clip = 1.0}  # short\n[confirm]\nseeds = [1, 2]\n",
    "inline with the key": "training = { clip = 1.0, learning_rate = 0.5 } # short\n",
    "inline and empty": "training = {}\n",
    "dotted": "training.learning_rate = 0.5\ntraining.clip = 1.0\n",
    "another table has the key": "[confirm.training]\nlearning_rate = 0.5\n",
    "another table has it first": "[confirm.training]\nlearning_rate = 1\n[training]\n"
    "learning_rate = 2\n",
    "no end of line": "[training]\nclip = 1.0",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_the_number_is_set_and_everything_else_stays(text):
    edited = set_number(text, "training", "learning_rate", 0.0044, "found")
    wanted = tomllib.loads(text)
    wanted.setdefault("training", {})["learning_rate"] = 0.0044
    assert tomllib.loads(edited) == wanted
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert all(comment in edited for comment in comments)
    assert set_number(edited, "training", "learning_rate", 0.0044, "found") == edited


@given(st.floats(1e-9, 1e3))
def test_any_rate_comes_back_exactly(value):
    edited = set_number(FORMS["a table"], "training", "learning_rate", value, "found")
    assert tomllib.loads(edited)["training"]["learning_rate"] == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training = {clip = [\n1.0]}\n", "only a person can edit"),
        ("[training\n", "none"),
    ],
)
def test_what_cannot_be_edited_is_said(text, words):
    if words.startswith("only"):
        text = '"training" = {clip = 1.0}\n'
    with pytest.raises(ConfigError, match=words):
        set_number(text, "training", "learning_rate", 0.1, "found")
