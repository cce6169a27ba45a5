"""The two files that people write: every mistake is found with its line."""

import pytest

from mixopt.config import line_of, read_proxy, read_space
from mixopt.errors import ConfigError
from mixopt.files import digest

SPACE = """\
[target]
tokens = 1_000_000

[domain.web]
path = "web"

[domain."code:python"]
max_epochs = 2

[objective.mean]
kind = "relative"
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return path


def replaced(path, old, new):
    path.write_text(path.read_text().replace(old, new))
    return path


def test_a_good_file_is_read(space):
    spec = read_space(space)
    assert list(spec.domain) == ["web", "code:python"]
    assert spec.domain["code:python"].max_epochs == 2
    assert spec.target.tokens == 1_000_000


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("max_epochs", "max_epoch", 8, "did you mean 'max_epochs'"),
        ("[target]", "[targets]", 1, "did you mean 'target'"),
        ('kind = "relative"', 'kind = "best"', 11, "'relative'"),
        ("tokens = 1_000_000", "tokens = -1", 2, "greater than 0"),
        ('path = "web"', 'group = "x"', 5, "please add [groups.x]"),
        ("[objective.mean]", "[prior]\nwebb = 1.0\n[objective.mean]", 11, "did you mean 'web'"),
    ],
)
def test_a_mistake_is_found_with_its_line(space, old, new, line, words):
    with pytest.raises(ConfigError) as caught:
        read_space(replaced(space, old, new))
    assert f"space.toml:{line}:" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_toml_names_the_place(space):
    with pytest.raises(ConfigError, match=r"space\.toml is not TOML.*line 1"):
        read_space(replaced(space, "[target]", "[target"))


def test_a_missing_file_says_what_writes_it(tmp_path):
    with pytest.raises(ConfigError, match="mixopt init"):
        read_space(tmp_path / "space.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "proxy.toml").write_bytes(b"tokens = \xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_proxy(tmp_path / "proxy.toml")


def test_every_domain_being_unseen_is_an_error(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[domain.web]\ntrain = false\n")
    with pytest.raises(ConfigError, match="no domain to train on"):
        read_space(path)


def test_evaluation_and_seeds_are_no_part_of_what_a_run_is(tmp_path):
    path = tmp_path / "proxy.toml"
    path.write_text("tokens = 1000\n")
    plain = digest(read_proxy(path).identity())
    path.write_text("tokens = 1000\nseeds = [7]\n[evaluation]\nwindows = 3\n")
    assert digest(read_proxy(path).identity()) == plain
    path.write_text("tokens = 1001\n")
    assert digest(read_proxy(path).identity()) != plain


def test_a_word_is_no_switch(tmp_path):
    (tmp_path / "proxy.toml").write_text('tokens = 1000\nsimulated_epochs = "yes"\n')
    with pytest.raises(ConfigError, match=r"proxy.toml:2: 'simulated_epochs'"):
        read_proxy(tmp_path / "proxy.toml")


def test_an_item_of_a_list_is_named_by_its_place(tmp_path):
    (tmp_path / "proxy.toml").write_text("tokens = 1000\n[evaluation]\nearly = [0.5, 2.0]\n")
    with pytest.raises(ConfigError, match=r"proxy.toml:3: 'evaluation.early\[1\]' .*less than 1"):
        read_proxy(tmp_path / "proxy.toml")


def test_confirm_differs_only_where_it_says_so(tmp_path):
    path = tmp_path / "proxy.toml"
    path.write_text("tokens = 1000\nsizes = {width = 32}\n[confirm]\nsizes = {layers = 3}\n")
    spec = read_proxy(path)
    assert spec.confirm_identity() == {**spec.identity(), "sizes": {"layers": 3, "width": 32}}


def test_line_of_finds_the_nearest_parent_of_an_inline_key():
    text = '[domain.web]\n\n[domain."a:b"]\nlimits = {min = 1}\n'
    assert line_of(text, ("domain", "a:b", "limits", "min")) == 4
    assert line_of(text, ("domain", "a:b")) == 3
    assert line_of(text, ("nothing",)) == 1


def test_a_style_is_part_of_the_identity_of_swarm_and_confirmation(tmp_path):
    path = tmp_path / "proxy.toml"
    path.write_text("tokens = 1000\n")
    plain = read_proxy(path)
    path.write_text('tokens = 1000\nstyle = "default"\n')
    assert read_proxy(path).identity() == plain.identity()  # runs of older tables keep their ids
    path.write_text('tokens = 1000\nstyle = "deepseek"\n[confirm]\nsizes = {width = 96}\n')
    styled = read_proxy(path)
    assert styled.identity() == {**plain.identity(), "style": "deepseek"}
    assert styled.confirm_identity()["style"] == "deepseek"
    path.write_text('tokens = 1000\nstyle = "deepsek"\n')
    with pytest.raises(ConfigError, match=r"proxy\.toml:2: 'style' input should be 'default'"):
        read_proxy(path)
