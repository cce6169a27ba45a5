"""Large, untidy corpora in small: samples, interruptions, processes, near-duplicates, columns."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mixopt.errors import ConfigError, DataError, MissingExtraError
from mixopt.experiment import Experiment
from mixopt.files import file_digest
from proxies import parts, scan, work
from proxies.data import Data
from proxies.prepare import PrepareSettings, Source, prepare, prepare_experiment
from proxies.tokenizer import decode, train_bpe

SPLITS = ("train", "validation", "test")
BYTES = PrepareSettings(tokenizer="bytes", evaluation_bytes=500)


def words(seed: int, count: int, size: int = 12) -> list[str]:
    """Different documents of made-up words."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(97, 123, size=(count, size, 5), dtype=np.uint8)
    return [" ".join(bytes(word).decode() for word in text) for text in letters]


def lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def write(folder: Path, texts: list[str], files: int = 1) -> Path:
    """Files of JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (folder / f"{number}.jsonl").write_bytes(lines(texts[number::files]))
    return folder


def documents(out: Path, name: str, split: str) -> list[str]:
    data = Data.open(out)
    offsets, _ = data.documents(name, split)  # pyright: ignore[reportArgumentType]
    place = out / name.replace(":", "__") / f"{split}.bin"
    tokens = np.fromfile(place, dtype=data.manifest["tokenizer"]["dtype"])
    tokenizer = out / "tokenizer.json"
    chosen = tokenizer if tokenizer.exists() else None
    return [decode(tokens[a : b - 1], chosen) for a, b in pairwise(offsets)]


def everything(out: Path) -> dict[str, str]:
    """The content of every file of a prepared folder."""
    return {str(path.relative_to(out)): file_digest(path) for path in out.rglob("*.*")}


@pytest.fixture
def small_grains(monkeypatch):
    """Ranges and parts as small as the corpora here."""
    monkeypatch.setattr(scan, "SMALLEST_GRAIN", 256)
    monkeypatch.setattr(parts, "PART_BYTES", 4000)


def packed(folder: Path, texts: list[str]) -> None:
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(lines(texts)))


def one_text_a_file(folder: Path, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        (folder / f"{number:05d}.txt").write_text(text)


def parquet_file(folder: Path, texts: list[str]) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": texts}), folder / "a.parquet", row_group_size=500)


SHAPES = {
    "lines": lambda folder, texts: write(folder, texts, files=3),
    "packed": packed,
    "files": one_text_a_file,
    "parquet": parquet_file,
}


@pytest.mark.usefixtures("small_grains")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pool_is_sampled_over_all_files_without_reading_them_all(tmp_path, shape):
    texts = [f"{number:05d} {text}" for number, text in enumerate(words(0, 6000))]
    (tmp_path / "a").mkdir()
    SHAPES[shape](tmp_path / "a", texts)
    chosen = PrepareSettings("bytes", pool_tokens=5000, evaluation_bytes=1000)
    part = prepare([Source("a", tmp_path / "a")], tmp_path / "data", settings=chosen)["domains"][
        "a"
    ]
    assert 0.02 < part["read"] < 0.5
    assert part["documents"] < 0.5 * len(texts)
    assert part["splits"]["train"]["tokens"] == pytest.approx(5000, rel=0.05)
    assert part["splits"]["test"]["bytes"] >= 1000  # as much as without a limit
    held_out = sum(part["splits"][split]["bytes"] for split in SPLITS[1:])
    size = sum(map(len, texts)) - held_out
    assert part["pool"]["bytes"] == pytest.approx(size, rel=0.15)
    assert part["pool"]["tokens"] == pytest.approx(size * 78 / 77, rel=0.15)
    found = [text for split in SPLITS for text in documents(tmp_path / "data", "a", split)]
    assert set(found) < set(texts)
    places = np.array([int(text[:5]) for text in found]) / len(texts)
    assert np.histogram(places, 4, (0, 1))[0].min() > 0.1 * len(found)


@pytest.mark.usefixtures("small_grains")
def test_a_rare_kind_of_row_is_looked_for_until_there_is_enough(tmp_path):
    rows = [
        {"text": text, "meta": {"source": "rare" if number % 40 == 7 else "other"}}
        for number, text in enumerate(words(1, 8000))
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sources = [
        Source(f"web:{name}", tmp_path / "a.jsonl", where={"meta.source": name})
        for name in ("other", "rare")
    ]
    chosen = PrepareSettings("bytes", pool_tokens=5000, evaluation_bytes=100)
    domains = prepare(sources, tmp_path / "data", settings=chosen)["domains"]
    assert domains["web:other"]["read"] < 0.2 < domains["web:rare"]["read"]
    for name, share in (("other", 39 / 40), ("rare", 1 / 40)):
        part = domains[f"web:{name}"]
        assert part["splits"]["train"]["tokens"] == pytest.approx(5000, rel=0.1)
        assert part["pool"]["bytes"] == pytest.approx(share * 8000 * 71, rel=0.15)
        own = {row["text"] for row in rows if row["meta"]["source"] == name}
        assert set(documents(tmp_path / "data", f"web:{name}", "train")) < own


def test_a_value_that_no_row_has_is_an_error(tmp_path):
    write(tmp_path / "a", words(2, 50))
    source = Source("a", tmp_path / "a", column="body")
    with pytest.raises(DataError, match=r"0\.jsonl:1 has no column 'body' \(it has text\)"):
        prepare([source], tmp_path / "data", settings=BYTES)
    source = Source("a", tmp_path / "a", where={"text": "none"})
    with pytest.raises(DataError, match=r"'a' is empty: .* no row with text = 'none',"):
        prepare([source], tmp_path / "data", settings=BYTES)


BPE = PrepareSettings(vocabulary=400, evaluation_bytes=3000)


def corpus(folder: Path) -> list[Source]:
    """Two domains in many parts, one of them packed, and a third in few documents."""
    write(folder / "a", words(3, 400), files=3)
    (folder / "b").mkdir()
    packed(folder / "b", words(4, 300))
    (folder / "c").mkdir()
    one_text_a_file(folder / "c", ["\n".join(words(5 + number, 200)) for number in range(4)])
    return [Source(name, folder / name) for name in "abc"]


@pytest.mark.usefixtures("small_grains")
def test_wherever_it_was_interrupted_it_goes_on_to_the_same_bytes(tmp_path):
    sources = corpus(tmp_path / "text")
    calls: list[tuple[str, int, int]] = []
    prepare(sources, tmp_path / "whole", settings=BPE, progress=lambda *told: calls.append(told))
    assert len(calls) > 30
    out = tmp_path / "data"
    made: list[int] = []

    def interrupt(after: int):
        left = [after]

        def report(stage: str, done: int, total: int) -> None:
            left[0] -= 1
            made.append(1)
            if left[0] == 0:
                raise KeyboardInterrupt

        return report

    for after in (2, 7, 3, 11, 5):
        with pytest.raises(KeyboardInterrupt):
            prepare(sources, out, settings=BPE, progress=interrupt(after))
        assert not out.exists()
    made.clear()
    prepare(sources, out, settings=BPE, progress=interrupt(1000))
    assert len(made) < len(calls) - 10  # what was done is not done again
    assert everything(out) == everything(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"text", "whole", "data"}


KILLED = """
import os, signal, sys
from pathlib import Path
from proxies import parts
from proxies.prepare import PrepareSettings, Source, prepare
parts.PART_BYTES = 4000
left = [int(sys.argv[1])]
def report(stage, done, total):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
sources = [Source(name, Path.cwd() / "text" / name) for name in "abc"]
chosen = PrepareSettings(vocabulary=400, evaluation_bytes=3000)
prepare(sources, Path("data"), settings=chosen, progress=report)
"""


@pytest.mark.usefixtures("small_grains")
def test_a_killed_process_leaves_what_the_next_one_goes_on_with(tmp_path):
    sources = corpus(tmp_path / "text")
    prepare(sources, tmp_path / "whole", settings=BPE)
    for after, code in ((6, -signal.SIGKILL), (10, -signal.SIGKILL), (10**6, 0)):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(after)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=False,
        )
        assert done.returncode == code
    assert everything(tmp_path / "data") == everything(tmp_path / "whole")


@pytest.mark.usefixtures("small_grains")
def test_the_number_of_processes_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "WORTH", 1)
    sources = corpus(tmp_path / "text")
    prepare(sources, tmp_path / "one", settings=BPE, workers=1)
    prepare(sources, tmp_path / "three", settings=BPE, workers=3)
    assert everything(tmp_path / "one") == everything(tmp_path / "three")


@pytest.mark.usefixtures("small_grains")
def test_a_file_that_was_mended_costs_only_itself(tmp_path):
    sources = corpus(tmp_path / "text")
    last = tmp_path / "text" / "c" / "00003.txt"
    good = last.read_text()
    last.write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"00003\.txt is not UTF-8"):
        prepare(sources, tmp_path / "data", settings=BPE)
    assert len(list((tmp_path / "data.partial" / "scan").iterdir())) > 5
    last.write_text(good)
    stages: dict[str, int] = {}

    def report(stage: str, done: int, total: int) -> None:
        stages[stage] = stages.get(stage, 0) + 1

    prepare(sources, tmp_path / "data", settings=BPE, progress=report)
    assert stages["scan"] <= 3


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path):
    write(tmp_path / "a", words(6, 60))

    def change(stage: str, done: int, total: int) -> None:
        if stage == "encode" and done == 0:
            write(tmp_path / "a", words(6, 59))

    with pytest.raises(DataError, match=r"0\.jsonl or a file behind it changed while it was read"):
        prepare([Source("a", tmp_path / "a")], tmp_path / "data", settings=BYTES, progress=change)


def varied(text: str, rng: np.random.Generator) -> str:
    """The text with two words in other words' places."""
    parts = text.split()
    for place in rng.integers(len(parts), size=2):
        parts[place] = "other"
    return " ".join(parts)


def test_near_duplicates_of_held_out_text_are_not_trained_on_where_asked(tmp_path):
    rng = np.random.default_rng(7)
    texts = words(7, 200, size=60)
    copies = [varied(text, rng) for text in texts]
    sources = [
        Source("a", write(tmp_path / "a", texts)),
        Source("b", write(tmp_path / "b", copies + words(8, 200, size=60))),
    ]
    plain = PrepareSettings("bytes", evaluation_bytes=7000)
    strict = PrepareSettings("bytes", evaluation_bytes=7000, near_duplicates=0.5)
    before = prepare(sources, tmp_path / "plain", settings=plain)["domains"]
    after = prepare(sources, tmp_path / "strict", settings=strict)["domains"]
    assert before["b"]["near_duplicates"] == 0
    assert after["b"]["near_duplicates"] > 10

    def held_out(out: str, name: str) -> set[str]:
        return {text for split in SPLITS[1:] for text in documents(tmp_path / out, name, split)}

    for out, none_left in (("plain", False), ("strict", True)):
        near = {
            copies[number]
            for number, text in enumerate(texts)
            if text in held_out(out, "a") and copies[number] not in held_out(out, "b")
        } | {
            text
            for number, text in enumerate(texts)
            if copies[number] in held_out(out, "b") and text not in held_out(out, "a")
        }
        trained = {text for name in "ab" for text in documents(tmp_path / out, name, "train")}
        assert len(near) > 10
        assert (not near & trained) == none_left
    for name in "ab":
        assert after[name]["splits"]["test"] == before[name]["splits"]["test"]
        gone = before[name]["splits"]["train"]["documents"]
        gone -= after[name]["splits"]["train"]["documents"]
        assert gone == after[name]["near_duplicates"]


def test_near_duplicates_without_the_library_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasketch", None)
    monkeypatch.delitem(sys.modules, "proxies.near", raising=False)
    source = Source("a", write(tmp_path / "a", words(9, 60)))
    chosen = PrepareSettings("bytes", near_duplicates=0.8)
    with pytest.raises(MissingExtraError, match=r"needs datasketch: pip install 'mixopt\[data\]'"):
        prepare([source], tmp_path / "data", settings=chosen)


def test_held_out_text_is_trained_on_in_no_domain_whatever_the_units(tmp_path):
    block = "\n".join(words(10, 400)) + "\n"
    texts = [
        [block + "\n".join(words(seed, 300)) for seed in (first, first + 1)] for first in (20, 30)
    ]
    sources = [Source(name, write(tmp_path / name, own)) for name, own in zip("ab", texts)]
    chosen = PrepareSettings("bytes", evaluation_bytes=25_000)
    manifest = prepare(sources, tmp_path / "data", settings=chosen)
    assert {part["split_by"] for part in manifest["domains"].values()} == {"pieces"}
    trained = {text for name in "ab" for text in documents(tmp_path / "data", name, "train")}
    held_out = {
        text
        for name in "ab"
        for split in SPLITS[1:]
        for text in documents(tmp_path / "data", name, split)
    }
    assert len(held_out) > 10
    assert not trained & held_out


@pytest.fixture
def study(tmp_path):
    """An experiment of two domains, whose files a test may change."""
    for seed, name in enumerate("ab"):
        write(tmp_path / "text" / name, words(40 + seed, 300))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "space.toml").write_text(
        '[domain.a]\npath = "../text/a"\n[domain.b]\npath = "../text/b"\n'
    )
    (folder / "proxy.toml").write_text('tokens = 1000\n[data]\ntokenizer = "bytes"\n')
    return folder


def test_a_target_with_another_tokenizer_is_counted_in_its_tokens(tmp_path, study):
    (tmp_path / "target.json").write_text(train_bpe(words(40, 300), 500))
    proxy = study / "proxy.toml"
    proxy.write_text(proxy.read_text() + 'target_tokenizer = "../target.json"\n')
    space = study / "space.toml"
    space.write_text(space.read_text() + "bytes_per_token = 4.0\n")
    domains = prepare_experiment(Experiment(study))["domains"]
    a, b = domains["a"], domains["b"]
    assert a["bytes_per_token"] == pytest.approx(71 / 72)
    assert 1.2 < a["target_bytes_per_token"] < 5
    assert a["pool"]["tokens"] == round(a["pool"]["bytes"] / a["target_bytes_per_token"])
    assert b["target_bytes_per_token"] == 4.0  # as told, whatever the file says
    assert b["pool"]["tokens"] == round(b["pool"]["bytes"] / 4.0)
    assert Experiment(study).space.tokens.tolist() == [a["pool"]["tokens"], b["pool"]["tokens"]]


def test_a_domain_smaller_than_a_window_is_an_error_that_names_it(study):
    proxy = study / "proxy.toml"
    proxy.write_text(
        proxy.read_text().replace("tokens = 1000", "tokens = 1000\nsizes = {context = 9000}")
    )
    with pytest.raises(
        DataError, match=r"text of domain 'a' has \d+ tokens, less than one window of 9001"
    ):
        prepare_experiment(Experiment(study))


def test_what_the_files_say_of_a_domain_is_used(tmp_path, study):
    (study / "space.toml").write_text(
        '[domain."web:a"]\npath = "../text/a"\ncolumn = "text"\n'
        '[domain.b]\npath = "../text/b"\nformat = "text"\n'
    )
    domains = prepare_experiment(Experiment(study))["domains"]
    assert [domains[name]["formats"] for name in ("web:a", "b")] == [{"jsonl": 1}, {"text": 1}]
    proxy = study / "proxy.toml"
    proxy.write_text('tokens = 1000\n[data]\ntokenizer = "bytes"\ncolumn = "body"\n')
    shutil.copytree(tmp_path / "text" / "b", tmp_path / "text" / "c")
    (study / "space.toml").write_text('[domain.c]\npath = "../text/c"\n')
    with pytest.raises(DataError, match="has no column 'body'"):
        prepare_experiment(Experiment(study))
    proxy.write_text('tokens = 1000\n[data]\ntokenizer = "none"\neos = 3\n')
    with pytest.raises(ConfigError, match='tokenizer = "none" needs the `vocabulary`'):
        prepare_experiment(Experiment(study))


def test_a_name_too_long_for_a_folder(tmp_path):
    source = Source("a" * 300, write(tmp_path / "a", words(50, 60)))
    with pytest.raises(DataError, match=r"'a+\.\.\.' has a name of 300 characters, too long"):
        prepare([source], tmp_path / "data", settings=BYTES)
