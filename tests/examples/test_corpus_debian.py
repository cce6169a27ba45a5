"""The corpora of packages: their pure parts, how a build resumes, what it says when it cannot."""

import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from corpora.codes import WORD, code_book, glossed, noise, recited
from corpora.packages import Missing, Package, Store, _untar
from corpora.recipe import Recipe, collect, files
from corpora.ten import TEN
from corpora.text import html_text, man_text, pages, part_of, r_strings, shuffled
from corpora.trouble import TROUBLE
from corpus_debian import Builder
from hypothesis import given
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[2] / "examples" / "corpus_debian.py"
LONG = "a paragraph that is long enough to be told from others, says number {0}. " * 4


def test_a_page_is_what_a_browser_shows():
    page = """<html><head><title>no</title><style>p {}</style></head><body><nav>menu</nav>
    <h1>Title</h1><p>one
    two &lt;3</p><script>no()</script><pre>  kept
  as is</pre><ul><li>a</li><li>b</li></ul></body></html>"""
    assert html_text(page) == "Title\n\none two <3\n\nkept\nas is\n\na\n\nb"


def test_a_page_with_unclosed_and_stray_tags_is_read_to_its_end():
    assert html_text("</script></head>a<p>b<pre>c</b></i>") == "a\n\nb\nc"


def test_a_manual_page_loses_its_macros_and_keeps_their_words():
    page = '.\\" a comment\n.TH LS 1 "2022"\n.SH NAME\nls \\- list\n.PP\n.BR \\-a ", all"\n.nr x 1'
    assert man_text(page) == "\nNAME\nls - list\n\n-a, all"


def test_the_strings_of_r_come_out_whole():
    def vector(*strings: str) -> bytes:
        parts = [s.encode() for s in strings]
        body = b"".join(b"\0\x04\0\x09" + len(p).to_bytes(4, "big") + p for p in parts)
        return b"X\n\0\0\0\x03\0\0\0\x10" + len(parts).to_bytes(4, "big") + body

    objects = [zlib.compress(vector("Emma", "", "by Jane")), zlib.compress(vector("Finis"))]
    content = b"".join(len(packed).to_bytes(4, "big") + packed for packed in objects)
    assert list(r_strings(content)) == [["Emma", "", "by Jane"], ["Finis"]]


@given(st.lists(st.text("ab c", min_size=1, max_size=30).filter(str.strip)), st.integers(1, 50))
def test_pages_join_to_the_text_again(paragraphs, size):
    text = "\n\n".join(paragraphs)
    found = list(pages(text, size))
    assert "\n\n".join(found) == text
    assert all(len(page) >= size for page in found[:-1])


def test_the_order_of_a_hash_does_not_depend_on_the_order_of_the_files():
    names = [f"a/{i}.txt" for i in range(50)]
    assert shuffled(names) == shuffled(names[::-1])
    assert shuffled(names) != names
    halves = [part_of(name, 2) for name in names]
    assert 10 < sum(halves) < 40


def test_noise_cannot_be_compressed_below_six_bits_a_letter():
    text = "".join(noise(os.urandom(30_000), 3000))
    assert len(zlib.compress(text.encode(), 9)) > 0.74 * len(text)


def test_a_code_is_a_permutation_that_only_the_code_book_tells():
    documents = ["these words come often and these come again " * 5, "words and words again come"]
    book = code_book(documents, 4, seed=3)
    assert sorted(book) == sorted(book.values()) == sorted(["these", "words", "come", "again"])
    assert code_book(documents[::-1], 4, seed=3) == book
    entries = "\n".join(recited(book, entries=3, documents=8, seed=0)).splitlines()
    assert len(entries) == 24
    assert {entries.count(f"{word} ({code})") for word, code in book.items()} == {6}


@given(st.integers(1, 4), st.integers(0, 5))
def test_each_code_occurs_a_few_times_and_the_text_is_otherwise_as_it_was(times, seed):
    documents = ["these words come often, these come again. " * 3, "Words! words and again come"]
    book = code_book(documents, 4, seed=3)
    found = list(glossed(documents, book, times, seed))
    for word, code in book.items():
        total = sum(WORD.findall(text).count(word) for text in documents)
        assert "\n".join(found).count(f"{word} ({code})") == min(times, total)
    assert [re.sub(r" \(\w+\)", "", text) for text in found] == documents


def test_a_domain_is_unrepeated_capped_and_without_binaries():
    documents = [LONG.format(i % 6) for i in range(12)] + ["\0" + LONG.format(99)]
    recipe = Recipe("test", (), lambda folders: documents)
    kept, cut = collect(recipe, {}, 10**6)
    assert [text.strip() for text in kept] == [LONG.format(i).strip() for i in range(6)]
    assert not cut
    kept, cut = collect(recipe, {}, 2 * len(kept[0]))
    assert (len(kept), cut) == (2, True)


def test_links_are_left_out(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert files(tmp_path, "*.txt") == [tmp_path / "a.txt"]


@pytest.mark.parametrize("recipes", [TEN, TROUBLE], ids=["ten", "trouble"])
def test_domains_have_names_that_init_takes_and_say_what_they_are(recipes):
    for name, recipe in recipes.items():
        assert re.fullmatch("[a-z_]+", name)
        assert recipe.about
        assert all(package.licence for package in recipe.packages)
    assert not set(TEN) & set(TROUBLE)


def test_recipes_find_their_text_in_unpacked_packages(tmp_path):
    pods = tmp_path / "perl-doc"
    pods.mkdir()
    for number in range(12):
        (pods / f"{number}.pod").write_text(LONG.format(number))
    first, second = (
        list(TROUBLE[name].documents({"perl-doc": pods})) for name in ("perl", "perl_again")
    )
    assert len(first) + len(second) == 12
    assert not set(first) & set(second)
    manual = tmp_path / "manpages-zh" / "man" / "zh_CN" / "ls.1.gz"
    manual.parent.mkdir(parents=True)
    manual.write_bytes(gzip.compress(".SH 名\n.B ls\n列出".encode()))
    (found,) = TEN["chinese"].documents({"manpages-zh": tmp_path / "manpages-zh"})
    assert found == "\n名\nls\n列出"


def test_a_second_build_makes_nothing_anew(tmp_path):
    made = []

    def documents(folders):
        made.append(1)
        return [LONG.format(i) for i in range(3)]

    recipe = Recipe("test", (), documents)
    line = Builder(tmp_path, "ten", 10**6).build("mine", recipe)
    assert Builder(tmp_path, "ten", 10**6).build("mine", recipe) == line
    assert len(made) == 1
    (tmp_path / "mine" / "text.jsonl").write_text("torn")
    Builder(tmp_path, "ten", 10**6).build("mine", recipe)
    assert len(made) == 2
    Builder(tmp_path, "ten", 10**5).build("mine", recipe)  # another cap is another corpus
    assert len(made) == 3
    entry = json.loads((tmp_path / "manifest.json").read_text())["domains"]["mine"]
    assert (entry["documents"], entry["cut"]) == (3, False)
    with pytest.raises(SystemExit, match="holds the corpus 'ten'"):
        Builder(tmp_path, "trouble", 10**6)


def test_a_package_that_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    deb = tmp_path / "some_1.deb"
    deb.write_bytes(b"abc")
    record = {"package": "some", "registry": "debian", "version": "1", "file": deb.name}
    record |= {"bytes": 3, "sha256": "", "licence": "none"}
    record["sha256"] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "some.json").write_text(json.dumps(record))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert Store(tmp_path).fetch(Package(("some",), "none")).version == "1"
    deb.write_bytes(b"abd")  # not what the record says
    with pytest.raises(Missing, match="apt-get is not on this machine"):
        Store(tmp_path).fetch(Package(("some",), "none"))


def test_an_archive_stays_in_its_folder_and_links_are_left_out(tmp_path):
    with tarfile.open(tmp_path / "some-1.tgz", "w:gz") as archive:
        for name in ("package/a.txt", "../outside.txt", "/tmp/absolute.txt"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, BytesIO(b"text"))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "here").mkdir()
    _untar(tmp_path / "some-1.tgz", tmp_path / "here")
    assert [path.name for path in (tmp_path / "here").rglob("*")] == ["package", "a.txt"]
    assert not (tmp_path / "outside.txt").exists()


def test_without_the_clients_it_says_what_is_missing_and_builds_the_rest(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "out", "--cap-mb", "0.1"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "kernel is missing: apt-get is not on this machine" in done.stderr
    assert "legal is missing: npm is not on this machine" in done.stderr
    assert "--without kernel maths" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "python" / "text.jsonl").exists()
    assert not (tmp_path / "out" / "domains.csv").exists()
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "out", "--cap-mb", "0.1", "--without", "pyton"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "no domain 'pyton'" in done.stderr
