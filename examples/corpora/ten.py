"""The corpus `ten`: ten domains of Debian's and npm's packages that differ as real ones do.

Code, documentation, formal proofs, a dictionary, essays, contracts, another language, novels, test
logs and another script: some plentiful, some scarce, some that help each other.
"""

import gzip
import json
import sysconfig
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from corpus_small import read, text_of, told_files

from corpora.packages import Package
from corpora.recipe import Folders, Recipe, files, texts
from corpora.text import html_text, man_text, pages, r_strings, shuffled

KERNEL = Package(("linux-doc-6.1", "linux-doc-6.12"), "GPL-2")
METAMATH = Package(("metamath-databases",), "CC0-1.0 (set.mm), GPL-2+")
GCIDE = Package(("dict-gcide",), "GPL-1+")
ANARCHISM = Package(("anarchism",), "GFDL-1.1+ or GPL-2+")
SPDX = Package(("spdx-license-list",), "CC0-1.0", version="6.12.0")
HELP_DE = Package(("libreoffice-help-de",), "MPL-2.0")
MAN_DE = Package(("manpages-de",), "GPL-3+")
AUSTEN = Package(("r-cran-janeaustenr",), "public domain (the novels), MIT")
MARIADB = Package(("mariadb-test-data",), "GPL-2")
MAN_ZH = Package(("manpages-zh",), "GFDL-1.2+ and others, by page")


def python(folders: Folders) -> Iterator[str]:
    """The standard library that runs this."""
    return texts(shuffled(told_files([Path(sysconfig.get_paths()["stdlib"])], "*.py")))


def kernel(folders: Folders) -> Iterator[str]:
    """The sources of the kernel's documentation."""
    return texts(files(folders[KERNEL.name], "*.rst.txt"))


def maths(folders: Folders) -> list[str]:
    """Proofs in Metamath's language, with their comments, in the order of a hash."""
    (source,) = files(folders[METAMATH.name], "set.mm")
    return shuffled(pages(read(source)))


def dictionary(folders: Folders) -> list[str]:
    """Webster's dictionary of 1913 with additions, less its few bytes that are no UTF-8."""
    (source,) = files(folders[GCIDE.name], "*.dict.dz")
    text = gzip.decompress(source.read_bytes()).decode(errors="ignore")  # dictzip is gzip
    return shuffled(pages(text))


def essays(folders: Folders) -> Iterator[str]:
    """Argumentative prose: the FAQ of anarchism."""
    return map(html_text, texts(files(folders[ANARCHISM.name], "*.html")))


def legal(folders: Folders) -> Iterator[str]:
    """Licences in full."""
    for path in files(folders[SPDX.name], "licenses/*.json"):
        yield json.loads(read(path))["licenseText"]


def german(folders: Folders) -> Iterator[str]:
    """Help and manual pages in German."""
    helps = map(html_text, texts(files(folders[HELP_DE.name], "*.html")))
    return chain(helps, manuals(folders[MAN_DE.name], "man/de/"))


def literature(folders: Folders) -> list[str]:
    """Jane Austen's six novels."""
    found: list[str] = []
    for path in files(folders[AUSTEN.name], "Rdata.rdb"):
        novels = (lines for lines in r_strings(path.read_bytes()) if len(lines) > 1000)
        found += [page for lines in novels for page in pages("\n".join(lines))]
    return found


def sql(folders: Folders) -> Iterator[str]:
    """Tests of a database and what it answered: much of it the same again and again."""
    return texts(files(folders[MARIADB.name], "*.test", "*.result", "*.sql"))


def chinese(folders: Folders) -> Iterator[str]:
    """Manual pages in Chinese, in both scripts."""
    return manuals(folders[MAN_ZH.name], "man/zh_")


TEN = {
    "python": Recipe("Python code: the standard library that runs this", (), python),
    "kernel": Recipe("documentation of the Linux kernel (rST)", (KERNEL,), kernel),
    "maths": Recipe("formal proofs (Metamath's set.mm)", (METAMATH,), maths),
    "dictionary": Recipe("an English dictionary of 1913 (GCIDE)", (GCIDE,), dictionary),
    "essays": Recipe("argumentative prose (An Anarchist FAQ)", (ANARCHISM,), essays),
    "legal": Recipe("licences in full (SPDX)", (SPDX,), legal),
    "german": Recipe("German help and manual pages", (HELP_DE, MAN_DE), german),
    "literature": Recipe("Jane Austen's novels", (AUSTEN,), literature),
    "sql": Recipe("tests and answers of a database, repetitive", (MARIADB,), sql),
    "chinese": Recipe("Chinese manual pages", (MAN_ZH,), chinese),
}


def manuals(folder: Path, part: str) -> Iterator[str]:
    """The plain text of the manual pages of a language."""
    for path in files(folder, "*.gz"):
        if part in path.as_posix():
            yield man_text(unzipped(path))


def unzipped(path: Path) -> str:
    """The text of a gzip file; nothing where it is not UTF-8."""
    return text_of(gzip.decompress(path.read_bytes()))
