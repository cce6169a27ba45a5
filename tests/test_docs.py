"""docs/: the commands, options, scripts and formats that its pages name exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from cli.main import app
from mixopt.config import DomainSpec
from proxies.formats import FORMATS

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
COMMANDS = typer.main.get_command(app)


def lines():
    """Every `mixopt ...` line of a fenced block, without its comment."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    bare = [line.split("   #")[0].strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in bare if line.startswith("mixopt ")})


@pytest.mark.parametrize("line", lines())
def test_commands_and_options_exist(line):
    _, name, *arguments = shlex.split(line)
    command = COMMANDS.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in arguments if re.match(r"--?[a-z]", word)} <= known
    command.make_context(name, list(arguments))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_and_their_options_exist(page):
    for script, options in re.findall(
        r"python ((?:examples|benchmarks)/\w+\.py)([^`\n]*)", page.read_text()
    ):
        source = (ROOT / script).read_text()
        for option in re.findall(r"--[a-z-]+", options):
            assert option in source, f"{script} has no {option}"


def test_the_tables_of_data_are_complete():
    text = (ROOT / "docs" / "data.md").read_text()
    formats, domains = text.partition("## Formats")[2], text.partition("## Formats")[0]
    for name, kind in FORMATS.items():
        assert f"| `{name}` |" in formats
        if name != "text":
            assert all(ending in formats for ending in kind.endings.split())
    for key in DomainSpec.model_fields:
        assert f"`{key}`" in domains, key
