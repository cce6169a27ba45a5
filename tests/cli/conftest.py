"""A study small enough for tests, driven through the real command line in this process."""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import main

WORDS = {
    "prose": "the old house stood near a quiet river and nobody knew who had built it".split(),
    "code": "def value ( self , x ) : return x + self . offset if x else None".split(),
    "sums": "one plus two is three ; two plus two is four ; four minus one is three".split(),
}
PROXY = """\
tokens = 4096
seeds = [1, 2]
preset = "tiny"
sizes = {layers = 1, width = 16, heads = 2, experts = 4, hidden = 16, context = 32}

[data]
tokenizer = "bytes"

[evaluation]
windows = 8

[confirm]
sizes = {width = 24}
seeds = [11, 12, 13]
"""


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def mixopt(capsys):
    """Run a command as the shell would; `mixopt("fit", folder)`."""

    def run(*arguments: object) -> Result:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


def write_corpus(folder: Path, documents: int = 120) -> Path:
    """Three domains of learnable text, each with words of its own."""
    rng = random.Random(0)
    for name, words in WORDS.items():
        (folder / name).mkdir(parents=True)
        for number in range(documents):
            text = " ".join(rng.choice(words) for _ in range(60))
            (folder / name / f"{number:03d}.txt").write_text(f"{number} {text}\n")
    return folder


@pytest.fixture
def corpus(tmp_path):
    """A corpus folder."""
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def study(tmp_path, corpus, mixopt):
    """An experiment that is initialised but not prepared."""
    folder = tmp_path / "study"
    assert mixopt("init", folder, "--from", corpus).code == 0
    (folder / "proxy.toml").write_text(PROXY)
    return folder


@pytest.fixture
def tables(tmp_path):
    """mixtures.csv and metrics.csv of a swarm that was trained elsewhere: losses of a known law."""
    rng = random.Random(1)
    names = ("web", "code", "books")
    mixtures, metrics = [], []
    for number in range(24):
        raw = [rng.expovariate(1.0) for _ in names]
        shares = [value / sum(raw) for value in raw]
        losses = [2 + (0.2 + share) ** -0.4 + rng.gauss(0, 0.002) for share in shares]
        mixtures.append([f"run{number:02d}", *(f"{value:.6f}" for value in shares)])
        metrics.append([f"run{number:02d}", *(f"{value:.6f}" for value in losses)])
    write_csv(tmp_path / "m.csv", ["id", *names], mixtures)
    write_csv(tmp_path / "l.csv", ["id", *(f"loss/{name}" for name in names)], metrics)
    return tmp_path / "m.csv", tmp_path / "l.csv"


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
