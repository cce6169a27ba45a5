"""README: its examples run, its commands and options exist, and so do the files it names."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from cli.main import app, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = typer.main.get_command(app)


def blocks(language):
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def command_lines():
    """Every `mixopt ...` line of README, without its prompt and comment."""
    lines = [line for block in [*blocks("sh"), *blocks("console")] for line in block.splitlines()]
    bare = [line.removeprefix("$ ").split("   #")[0].strip() for line in lines]
    return sorted({line for line in bare if line.startswith("mixopt ")})


@pytest.fixture
def two_csvs(tmp_path, monkeypatch):
    """A folder with the two files that the examples read."""
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, str(ROOT / "examples" / "two_csvs.py")], check=True)
    return tmp_path


@pytest.mark.parametrize("line", command_lines())
def test_commands_and_options_exist(line):
    _, name, *arguments = shlex.split(line)
    command = COMMANDS.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    for argument in arguments:
        if re.match(r"--?[a-z]", argument):
            assert argument in known, f"{name} has no option {argument}"
    command.make_context(name, list(arguments))


def test_python_examples_run(two_csvs):
    scope = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert len(blocks("python")) >= 1


def test_the_first_door_is_open(two_csvs, capsys):
    """The shell lines of "I have a swarm already" run as they stand."""
    door = next(block for block in blocks("sh") if "mixopt import" in block)
    for line in door.splitlines():
        bare = line.split("   #")[0].strip()
        if bare.startswith("mixopt "):
            assert main(shlex.split(bare)[1:]) == 0, capsys.readouterr().err
    assert (two_csvs / "mixture.json").exists()


def test_every_command_is_named():
    for name in COMMANDS.commands:
        assert f"mixopt {name}" in README, f"README does not show `mixopt {name}`"


def test_every_file_that_is_named_exists():
    for path in re.findall(r"\]\(((?!http)[^)#]+)", README):
        assert (ROOT / path).exists(), path


def test_make_targets_exist():
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    for name in re.findall(r"`make ([a-z]+)`", README):
        assert name in targets
