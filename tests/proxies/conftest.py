"""A small prepared corpus that a proxy can learn: two domains of sentences, read as bytes."""

from pathlib import Path

import numpy as np
import pytest

from mixopt.runs import CONFIRM, Run, RunWriter
from proxies.data import Data
from proxies.prepare import PrepareSettings, Source, prepare

WORDS = {
    "sea": ["the", "tide", "turns", "slowly", "under", "grey", "gulls", "and", "sails"],
    "web": ["GET", "/index", "200", "user=42", "POST", "/login", "403", "q=cats"],
}


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory) -> Data:
    """Domains `sea` and `web`; each word is followed by one of two others."""
    folder: Path = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    for name, words in WORDS.items():
        (folder / name).mkdir()
        for number in range(60):
            (folder / name / f"{number:02d}.txt").write_text(_document(words, rng))
    sources = [Source(name, folder / name) for name in WORDS]
    prepare(sources, folder / "data", settings=PrepareSettings(tokenizer="bytes"))
    return Data.open(folder / "data")


def _document(words: list[str], rng: np.random.Generator) -> str:
    place, chosen = int(rng.integers(len(words))), []
    for jump in rng.integers(1, 3, size=200):
        place = (place + int(jump)) % len(words)
        chosen.append(words[place])
    return " ".join(chosen)


SMALL = {"layers": 1, "width": 16, "heads": 2, "experts": 4, "hidden": 16, "context": 32}


@pytest.fixture
def make_study(tmp_path, toy_data):
    """Write an experiment on the toy corpus with one planned run for each share of `sea`."""

    def make(shares=(0.2, 0.4, 0.6, 0.8), *, tokens=4096, confirm=0, name="study") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "data").symlink_to(toy_data.folder)
        (folder / "space.toml").write_text("[domain.sea]\n[domain.web]\n")
        (folder / "proxy.toml").write_text(f"tokens = {tokens}\n[evaluation]\nwindows = 4\n")
        proxy = {"preset": "tiny", "tokens": tokens, "sizes": SMALL, "simulated_epochs": True}
        runs = [
            Run(
                schedule=((1.0, {"sea": share, "web": 1.0 - share}),),
                seed=1 + number % 2,
                proxy=proxy,
                data=toy_data.hash,
                name=f"{number:04d}",
                origin=CONFIRM if number < confirm else "spacefill",
            )
            for number, share in enumerate(shares)
        ]
        with RunWriter(folder / "runs") as writer:
            writer.append(runs)
        return folder

    return make
