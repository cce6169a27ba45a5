"""Prepare: text comes back whole, splits never meet, copies go, and it is all or nothing."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError, DataError
from mixopt.experiment import Experiment
from mixopt.files import file_digest
from proxies.data import Data
from proxies.prepare import PrepareSettings, Source, prepare, prepare_experiment
from proxies.tokenizer import decode, train_bpe

BYTES = PrepareSettings(tokenizer="bytes", evaluation_bytes=500)
SPLITS = ("train", "validation", "test")


def write(folder: Path, texts: list[str]) -> Path:
    """A domain of one file of JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text}) for text in texts]
    (folder / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def words(seed: int, count: int, size: int = 12) -> list[str]:
    """Different documents of made-up words."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(97, 123, size=(count, size, 5), dtype=np.uint8)
    return [" ".join(bytes(word).decode() for word in text) for text in letters]


def documents(out: Path, name: str, split: str) -> list[str]:
    """The prepared documents of one split, as text."""
    data = Data.open(out)
    tokenizer = out / "tokenizer.json"
    offsets, hashes = data.documents(name, split)
    path = data.folder / name.replace(":", "__") / f"{split}.bin"
    tokens = np.fromfile(path, dtype=data.manifest["tokenizer"]["dtype"])
    assert offsets[-1] == len(tokens)
    assert len(offsets) == len(hashes) + 1
    assert (tokens[offsets[1:] - 1] == data.eos).all()
    chosen = tokenizer if tokenizer.exists() else None
    return [decode(tokens[a : b - 1], chosen) for a, b in pairwise(offsets)]


def everything(out: Path, name: str) -> list[str]:
    """The prepared documents of all splits of a training domain."""
    return [text for split in SPLITS for text in documents(out, name, split)]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXT.filter(str.strip), min_size=40, max_size=60, unique=True))
@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
def test_the_text_comes_back(tmp_path_factory, tokenizer, texts):
    folder = tmp_path_factory.mktemp("corpus")
    source = Source("a:b", write(folder / "a", texts))
    chosen = PrepareSettings(tokenizer=tokenizer, vocabulary=300, evaluation_bytes=100)
    prepare([source], folder / "data", settings=chosen)
    assert sorted(everything(folder / "data", "a:b")) == sorted(texts)
    counts = Data.open(folder / "data").manifest["domains"]["a:b"]
    assert sum(part["bytes"] for part in counts["splits"].values()) == counts["bytes"]


def test_documents_stay_whole_where_there_are_many(tmp_path):
    texts = words(0, 200)
    prepare([Source("a", write(tmp_path / "a", texts))], tmp_path / "data", settings=BIG)
    assert sorted(everything(tmp_path / "data", "a")) == sorted(texts)
    part = Data.open(tmp_path / "data").manifest["domains"]["a"]
    assert part["split_by"] == "documents"
    assert [part["splits"][split]["documents"] for split in SPLITS] == [160, 20, 20]


BIG = PrepareSettings(tokenizer="bytes", evaluation_bytes=20 * 71)


def test_a_domain_of_few_documents_is_split_by_pieces(tmp_path):
    texts = ["\n".join(words(seed, 200)) + "\n" for seed in range(5)]
    prepare([Source("a", write(tmp_path / "a", texts))], tmp_path / "data", settings=BYTES)
    part = Data.open(tmp_path / "data").manifest["domains"]["a"]
    assert (part["split_by"], part["documents"]) == ("pieces", 5)
    parts = {split: documents(tmp_path / "data", "a", split) for split in SPLITS}
    assert all(parts.values())
    assert all(any(piece in text for text in texts) for part in parts.values() for piece in part)
    assert sum(len(piece) for part in parts.values() for piece in part) == sum(map(len, texts))


def test_splits_never_share_a_document_and_do_not_depend_on_its_place(tmp_path):
    texts = words(1, 200)
    prepare([Source("a", write(tmp_path / "a", texts))], tmp_path / "one", settings=BIG)
    for number, part in enumerate((texts[150:], texts[:150])):
        write(tmp_path / "b" / str(number), part[::-1])
    prepare([Source("a", tmp_path / "b")], tmp_path / "two", settings=BIG)
    one, two = (
        {split: set(documents(tmp_path / name, "a", split)) for split in SPLITS}
        for name in ("one", "two")
    )
    assert one == two
    assert not one["train"] & one["validation"]
    assert not (one["train"] | one["validation"]) & one["test"]


def test_copies_go_within_and_across_domains_and_the_first_keeps_them(tmp_path):
    texts = words(2, 120)
    first = write(tmp_path / "first", texts[:60] + texts[:10])
    second = write(tmp_path / "second", texts[40:])
    manifest = prepare(
        [Source("first", first), Source("second", second)], tmp_path / "data", settings=BYTES
    )
    counts = {name: part["duplicates"] for name, part in manifest["domains"].items()}
    assert counts == {"first": 10, "second": 20}
    assert sorted(everything(tmp_path / "data", "first")) == sorted(texts[:60])
    assert sorted(everything(tmp_path / "data", "second")) == sorted(texts[60:])


def test_equal_pieces_are_kept_once(tmp_path):
    block = "\n".join(words(3, 60)) + "\n"
    texts = [block + "\n".join(words(seed, 200)) for seed in (4, 5)]
    prepare([Source("a", write(tmp_path / "a", texts))], tmp_path / "data", settings=BYTES)
    pieces = everything(tmp_path / "data", "a")
    assert len(set(pieces)) == len(pieces)
    assert sum(map(len, pieces)) == sum(map(len, texts)) - len(pieces[0])


def test_an_unseen_domain_is_never_trained_on(tmp_path):
    seen, unseen = words(6, 100), ["secret " + text for text in words(7, 100)]
    sources = [
        Source("target", write(tmp_path / "b", unseen), train=False),
        Source("a", write(tmp_path / "a", seen)),
    ]
    chosen = PrepareSettings(vocabulary=600, evaluation_bytes=500)
    manifest = prepare(sources, tmp_path / "data", settings=chosen)
    data = Data.open(tmp_path / "data")
    assert (data.names, data.evaluation_names) == (("a",), ("target", "a"))
    assert not (tmp_path / "data" / "target" / "train.bin").exists()
    assert manifest["domains"]["target"]["pool"] == {"tokens": 0, "bytes": 0}
    held_out = [documents(tmp_path / "data", "target", split) for split in SPLITS[1:]]
    assert not set(held_out[0]) & set(held_out[1])
    assert all(part and set(part) <= set(unseen) for part in held_out)
    assert "secret" not in (tmp_path / "data" / "tokenizer.json").read_text()


def test_evaluation_text_does_not_train_the_tokenizer(tmp_path):
    source = Source("a", write(tmp_path / "a", words(8, 200)))
    chosen = PrepareSettings(vocabulary=500, evaluation_bytes=20 * 71)
    prepare([source], tmp_path / "one", settings=chosen)
    train = documents(tmp_path / "one", "a", "train")
    held_out = documents(tmp_path / "one", "a", "validation")
    assert train_bpe(train, 500) == train_bpe(train[::-1], 500)  # the order does not matter
    assert (tmp_path / "one" / "tokenizer.json").read_text() == train_bpe(train, 500)
    assert train_bpe(train + held_out, 500) != train_bpe(train, 500)


def test_a_second_run_does_nothing_and_a_changed_file_rebuilds(tmp_path):
    sources = [Source("a", write(tmp_path / "a", words(9, 100)))]
    stages = []

    def report(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        stages.append(stage)

    out = tmp_path / "data"
    first = prepare(sources, out, settings=BYTES, progress=report)
    assert set(stages) == {"scan", "pieces", "encode"}
    written = {file: file.stat().st_mtime_ns for file in out.rglob("*")}
    stages.clear()
    assert prepare(sources, out, settings=BYTES, workers=3, progress=report) == first
    assert set(stages) == {"unchanged"}
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*")} == written

    write(tmp_path / "a", words(9, 101))
    assert prepare(sources, out, settings=BYTES)["hash"] != first["hash"]
    (out / "a" / "train.bin").write_bytes(b"")
    prepare(sources, out, settings=BYTES)
    assert len(documents(out, "a", "train")) > 50
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_hash_names_the_tokens_not_the_place(tmp_path):
    for place in ("here", "there dir"):
        source = Source("a", write(tmp_path / place / "a", words(10, 100)))
        prepare([source], tmp_path / place / "data", settings=BYTES)
    here, there = (Data.open(tmp_path / place / "data") for place in ("here", "there dir"))
    assert here.hash == there.hash
    other = PrepareSettings(tokenizer="bytes", evaluation_bytes=500, seed=1)
    prepare([source], tmp_path / "other", settings=other)
    assert Data.open(tmp_path / "other").hash != here.hash


def test_the_number_of_workers_changes_nothing(tmp_path):
    sources = [Source(name, write(tmp_path / name, words(i, 100))) for i, name in enumerate("ab")]
    chosen = PrepareSettings(vocabulary=400, evaluation_bytes=500)
    one = prepare(sources, tmp_path / "one", settings=chosen)
    two = prepare(sources, tmp_path / "two", settings=chosen, workers=2)
    assert one == two
    for file in (tmp_path / "one").rglob("*.*"):
        assert file_digest(file) == file_digest(
            tmp_path / "two" / file.relative_to(tmp_path / "one")
        )


def test_the_manifest_counts_what_was_written(tmp_path):
    source = Source("a", write(tmp_path / "a", words(11, 100)))
    manifest = prepare([source], tmp_path / "data", settings=BYTES)
    part = manifest["domains"]["a"]
    train = part["splits"]["train"]
    assert (
        len(np.fromfile(tmp_path / "data" / "a" / "train.bin", dtype=np.uint16)) == train["tokens"]
    )
    assert train["tokens"] == train["bytes"] + train["documents"]
    assert part["pool"] == {"tokens": train["tokens"], "bytes": train["bytes"]}
    assert part["bytes_per_token"] == pytest.approx(71 / 72)
    assert manifest["warnings"][0].startswith("a has 1 kB of validation text, less than 60 kB")
    files = json.loads((tmp_path / "data" / "a" / "files.json").read_text())
    size = (tmp_path / "a" / "text.jsonl").stat().st_size
    assert files["text.jsonl"] == {
        "bytes": size,
        "pieces": 100,
        "hash": files["text.jsonl"]["hash"],
    }


def test_a_pool_is_about_as_large_as_asked_and_the_whole_is_estimated(tmp_path):
    source = Source("a", write(tmp_path / "a", words(12, 1000)))
    whole = prepare([source], tmp_path / "whole", settings=BYTES)["domains"]["a"]
    chosen = PrepareSettings(tokenizer="bytes", evaluation_bytes=500, pool_tokens=20_000)
    part = prepare([source], tmp_path / "part", settings=chosen)["domains"]["a"]
    assert part["splits"]["train"]["tokens"] == pytest.approx(20_000, rel=0.03)
    assert part["pool"]["tokens"] == pytest.approx(whole["pool"]["tokens"], rel=0.01)
    assert part["splits"]["test"] == whole["splits"]["test"]
    assert set(documents(tmp_path / "part", "a", "train")) < set(
        documents(tmp_path / "whole", "a", "train")
    )


def test_a_given_tokenizer_is_used_as_it_is(tmp_path):
    given_file = tmp_path / "mine.json"
    given_file.write_text(train_bpe(["tide and gulls"], 270))
    source = Source("a", write(tmp_path / "a", words(13, 100)))
    chosen = PrepareSettings(tokenizer=str(given_file), evaluation_bytes=500)
    manifest = prepare([source], tmp_path / "data", settings=chosen)
    assert (tmp_path / "data" / "tokenizer.json").read_text() == given_file.read_text()
    assert sorted(everything(tmp_path / "data", "a")) == sorted(words(13, 100))
    given_file.write_text(train_bpe(["sails and webs"], 270))
    assert prepare([source], tmp_path / "data", settings=chosen)["inputs"] != manifest["inputs"]


def test_a_tokenizer_that_loses_text_is_an_error(tmp_path):
    lossy = json.loads(train_bpe(["tide and gulls"], 270))
    lossy["normalizer"] = {"type": "Replace", "pattern": {"String": "a"}, "content": ""}
    (tmp_path / "lossy.json").write_text(json.dumps(lossy))
    source = Source("a", write(tmp_path / "a", words(14, 100)))
    chosen = PrepareSettings(tokenizer=str(tmp_path / "lossy.json"), evaluation_bytes=500)
    with pytest.raises(DataError, match="expected a tokenizer that keeps the text"):
        prepare([source], tmp_path / "data", settings=chosen)
    assert not (tmp_path / "data").exists()


def test_an_experiment_is_prepared_by_its_two_files(tmp_path):
    write(tmp_path / "text" / "a", words(20, 100))
    write(tmp_path / "text" / "b", words(21, 100))
    study = tmp_path / "my study"
    study.mkdir()
    (study / "space.toml").write_text(
        '[domain."web:a"]\npath = "../text/a"\n[domain.b]\npath = "../text/b"\ntrain = false\n'
    )
    (study / "proxy.toml").write_text('tokens = 1000\n[data]\ntokenizer = "bytes"\n')
    manifest = prepare_experiment(Experiment(study))
    assert Experiment(study).manifest == manifest
    assert Data.open(study / "data").names == ("web:a",)
    assert (study / "data" / "web__a" / "train.bin").exists()
    (study / "space.toml").write_text("[domain.b]\n")
    with pytest.raises(ConfigError, match=r"space\.toml: domain 'b' has no `path`"):
        prepare_experiment(Experiment(study))


def test_names_that_are_none_or_collide_are_errors(tmp_path):
    path = write(tmp_path / "a", words(15, 50))
    for names, sentence in [
        (("A",), "'A' is no name of a domain"),
        (("..",), r"'\.\.' is no name"),
        (("a:b", "a__b"), "two domains would be written to 'a__b'"),
    ]:
        with pytest.raises(DataError, match=sentence):
            prepare([Source(name, path) for name in names], tmp_path / "data", settings=BYTES)
    with pytest.raises(DataError, match="no domain has training text"):
        prepare([Source("a", path, train=False)], tmp_path / "data", settings=BYTES)


def test_a_domain_of_which_nothing_is_left_is_an_error(tmp_path):
    blank = write(tmp_path / "blank", ["  \n", ""])
    with pytest.raises(DataError, match=r"domain 'blank' is empty: .*blank holds only white space"):
        prepare([Source("blank", blank)], tmp_path / "data", settings=BYTES)
    paths = [write(tmp_path / name, words(16, 50)) for name in ("a", "again")]
    sources = [Source(path.name, path) for path in paths]
    with pytest.raises(DataError, match="domain 'again' is empty"):
        prepare(sources, tmp_path / "data", settings=BYTES)
    tiny = write(tmp_path / "tiny", ["one", "two"])
    with pytest.raises(DataError, match="domain 'tiny' has only 6 bytes of text"):
        prepare([Source("tiny", tiny)], tmp_path / "data", settings=BYTES)


def test_bad_text_leaves_what_was_there(tmp_path):
    sources = [Source("a", write(tmp_path / "a", words(17, 50)))]
    out = tmp_path / "data"
    before = prepare(sources, out, settings=BYTES)
    (tmp_path / "a" / "z.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match="not UTF-8 at byte 0"):
        prepare(sources, out, settings=BYTES)
    assert Data.open(out).manifest == before


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path):
    sources = [Source("a", write(tmp_path / "a", words(18, 50)))]
    with pytest.raises(DataError, match="exists and is no prepared corpus"):
        prepare(sources, tmp_path / "a", settings=BYTES)
    assert (tmp_path / "a" / "text.jsonl").exists()


def test_a_full_disk_is_one_sentence_and_leaves_what_can_be_gone_on_with(tmp_path):
    write(tmp_path / "a", words(19, 2000))
    script = """
import resource, sys
from pathlib import Path
from mixopt.errors import ConfigError, DataError
from mixopt.experiment import Experiment
from proxies.prepare import PrepareSettings, Source, prepare
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    prepare([Source("a", Path("a"))], Path("data"), settings=PrepareSettings(tokenizer="bytes"))
except DataError as error:
    print(error)
"""
    repository = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "could not be written (File too large)" in done.stdout
    assert done.stdout.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a", "data.partial"}
    prepare([Source("a", tmp_path / "a")], tmp_path / "data", settings=BYTES)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "data"}
