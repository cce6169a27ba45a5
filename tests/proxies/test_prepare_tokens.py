"""Tokens that come as tokens: the same corpus as its text, or foreign ones that give losses."""

import json
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import proxies
from mixopt.errors import ConfigError, DataError
from mixopt.experiment import Experiment
from proxies.data import Data
from proxies.plateau import plateau
from proxies.prepare import PrepareSettings, Source, prepare, prepare_experiment
from proxies.study import Study
from proxies.tokenizer import encode, train_bpe, vocabulary

SPLITS = ("train", "validation", "test")


def words(seed: int, count: int, size: int = 12) -> list[str]:
    """Different documents of made-up words."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(97, 123, size=(count, size, 5), dtype=np.uint8)
    return [" ".join(bytes(word).decode() for word in text) for text in letters]


def documents(out: Path, name: str, split: str) -> list[tuple[int, ...]]:
    """The prepared documents of one split, without their ends."""
    data = Data.open(out)
    offsets, _ = data.documents(name, split)  # pyright: ignore[reportArgumentType]
    tokens = np.fromfile(out / name / f"{split}.bin", dtype=data.manifest["tokenizer"]["dtype"])
    assert (tokens[offsets[1:] - 1] == data.eos).all()
    return [tuple(tokens[a : b - 1].tolist()) for a, b in pairwise(offsets)]


def as_tokens(folder: Path, texts: list[np.ndarray], eos: int) -> Path:
    """An array without a header."""
    folder.mkdir(parents=True)
    np.concatenate([np.append(one, eos) for one in texts]).astype("<u2").tofile(folder / "a.bin")
    return folder


def as_megatron(folder: Path, texts: list[np.ndarray], eos: int) -> Path:
    as_tokens(folder, texts, eos)
    lengths = np.array([len(one) + 1 for one in texts])
    header = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, 8, len(texts), len(texts) + 1)
    begins = 2 * (np.cumsum(lengths) - lengths)
    arrays = [lengths.astype("<i4"), begins.astype("<i8"), np.arange(len(texts) + 1, dtype="<i8")]
    (folder / "a.idx").write_bytes(header + b"".join(one.tobytes() for one in arrays))
    return folder


def as_datatrove(folder: Path, texts: list[np.ndarray], eos: int) -> Path:
    as_tokens(folder, texts, eos)
    (folder / "a.bin").rename(folder / "a.ds")
    ends = np.cumsum([len(one) + 1 for one in texts])
    (folder / "a.ds.index").write_bytes(ends.astype("<u8").tobytes())
    (folder / "a.ds.metadata").write_text(f"own|2\n{ends[-1]}\nsome")
    return folder


WRITERS = {"tokens": as_tokens, "megatron": as_megatron, "datatrove": as_datatrove}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("own") / "tokenizer.json"
    path.write_text(train_bpe(words(0, 300), 400))
    return path


def tokens_of(texts: list[str], tokenizer: Path) -> list[np.ndarray]:
    tokens, lengths = encode(texts, tokenizer)
    return np.split(tokens, np.cumsum(lengths)[:-1])


@pytest.mark.parametrize("name", WRITERS)
def test_with_their_tokenizer_tokens_are_their_text(tmp_path, tokenizer, name):
    texts = words(1, 400)
    encoded = tokens_of(texts, tokenizer)
    place = WRITERS[name](tmp_path / name, encoded, vocabulary(tokenizer).eos)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    chosen = PrepareSettings(tokenizer=str(tokenizer), evaluation_bytes=20 * 71)
    sources = [Source("text", tmp_path / "text"), Source("a", place, dtype="uint16")]
    one = prepare(sources, tmp_path / "data", settings=chosen)["domains"]
    found = {n: [documents(tmp_path / "data", n, s) for s in SPLITS] for n in ("text", "a")}
    for parts in found.values():
        expected = sorted(tuple(part.tolist()) for part in encoded)
        assert sorted(text for part in parts for text in part) == expected
    for key in ("bytes", "documents", "duplicates", "split_by"):
        assert one["a"][key] == one["text"][key]
    assert one["a"]["bytes_per_token"] == pytest.approx(one["text"]["bytes_per_token"], rel=0.01)
    assert one["a"]["splits"]["test"]["bytes"] == one["text"]["splits"]["test"]["bytes"]
    assert Data.open(tmp_path / "data").measures == ("bpb", "loss")


FOREIGN = PrepareSettings(tokenizer="none", vocabulary=300, eos=299, evaluation_bytes=4000)


def foreign(folder: Path, seed: int, count: int = 300) -> Path:
    rng = np.random.default_rng(seed)
    start = 100 * seed
    texts = [rng.integers(start, start + 40, size=50) for _ in range(count)]
    return as_tokens(folder, texts, 299)


def test_foreign_tokens_are_counted_in_tokens_only(tmp_path):
    sources = [Source(str(i), foreign(tmp_path / str(i), i), dtype="uint16") for i in (1, 2)]
    manifest = prepare(sources, tmp_path / "data", settings=FOREIGN)
    data = Data.open(tmp_path / "data")
    assert (data.vocabulary, data.eos, data.measures) == (300, 299, ("loss",))
    part = manifest["domains"]["1"]
    assert (part["bytes"], part["bytes_per_token"], part["pool"]["bytes"]) == (None, None, None)
    assert sum(one["tokens"] for one in part["splits"].values()) == 300 * 51
    assert part["pool"]["tokens"] == part["splits"]["train"]["tokens"]
    assert {one["bytes"] for one in part["splits"].values()} == {None}
    assert manifest["warnings"][0].startswith("1 has 1000 validation tokens, less than 15000")
    held_out = set(documents(tmp_path / "data", "1", "validation"))
    assert not held_out & set(documents(tmp_path / "data", "1", "train"))


def test_a_pool_of_tokens_is_as_large_as_asked(tmp_path):
    source = Source("1", foreign(tmp_path / "1", 1, 3000), dtype="uint16")
    chosen = PrepareSettings("none", 300, 299, pool_tokens=20_000, evaluation_bytes=4000)
    part = prepare([source], tmp_path / "data", settings=chosen)["domains"]["1"]
    assert part["splits"]["train"]["tokens"] == pytest.approx(20_000, rel=0.03)
    assert part["pool"]["tokens"] == pytest.approx(3000 * 51, rel=0.03)


SIZES = "{layers = 1, width = 16, heads = 2, experts = 4, hidden = 16, context = 32}"


def test_proxies_train_on_foreign_tokens_and_are_scored_by_their_loss(tmp_path):
    for i in (1, 2):
        foreign(tmp_path / "text" / f"d{i}", i)
    study = tmp_path / "study"
    study.mkdir()
    (study / "space.toml").write_text(
        '[domain.d1]\npath = "../text/d1"\n[domain.d2]\npath = "../text/d2"\n'
    )
    (study / "proxy.toml").write_text(
        f"tokens = 2048\nseeds = [1, 2]\nsizes = {SIZES}\n[evaluation]\nwindows = 4\n"
        '[data]\ntokenizer = "none"\nvocabulary = 300\neos = 299\ndtype = "uint16"\n'
    )
    experiment = Experiment(study)
    prepare_experiment(experiment)
    plan = Experiment(study).sample(4)
    proxies.train(study, workers=1)
    runs = Experiment(study).runs()
    assert len(runs) == len(plan.runs)
    for run in runs:
        told = {name for name in run.metrics if not name.startswith("router/")}
        assert told == {"loss/d1", "loss/d2"}
    level = plateau(Study.open(study))
    assert level is not None
    assert level.measure == "loss"
    assert "nats a token" in level.sentence()
    assert 3.0 < level.unigram < 6.0  # 40 tokens of each domain, mixed: ln 40 to ln 300


def test_text_and_tokens_need_one_tokenizer(tmp_path, tokenizer):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("\n".join(words(2, 100)))
    text = Source("text", tmp_path / "text")
    tokens = Source("t", foreign(tmp_path / "t", 1), dtype="uint16")

    def fails(settings, sentence, sources=(text, tokens), error=ConfigError):
        with pytest.raises(error, match=sentence):
            prepare(sources, tmp_path / "data", settings=settings)

    for own in ("bpe", "bytes"):
        fails(PrepareSettings(own), r"domain 't' holds tokens: say in \[data\] of proxy\.toml")
    fails(FOREIGN, "domain 'text' holds text, which no tokenizer turns into tokens")
    fails(PrepareSettings("none", 300), "needs the `vocabulary` of the tokens and an `eos` below")
    fails(PrepareSettings("none", 300, 300), "got 300 and 300")
    own = PrepareSettings(str(tokenizer), eos=10**6)
    fails(own, "expected an `eos` below that, got 1000000", error=DataError)
    few = PrepareSettings("none", 120, 119)
    fails(few, r"has the id \d+ at token \d+, expected 0 to 119", [tokens], DataError)
    target = PrepareSettings("none", 300, 299, target_tokenizer=str(tokenizer))
    fails(target, "have no bytes by which to convert them", [tokens])


def test_an_end_that_never_comes_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("proxies.manifest._LONG_TOKENS", 1000)
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    rng.integers(200, size=50_000).astype("<u2").tofile(tmp_path / "a" / "a.bin")
    source = Source("a", tmp_path / "a", dtype="uint16")
    manifest = prepare([source], tmp_path / "data", settings=FOREIGN)
    assert "a has some 50000 tokens a document: is `eos` what ends one?" in manifest["warnings"]
    assert manifest["domains"]["a"]["split_by"] == "pieces"
