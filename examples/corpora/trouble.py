"""The corpus `trouble`: eight domains, each chosen to mislead a way of choosing mixtures.

`devil` is scarce. `perl` and `perl_again` are halves of one text: only the sum of their shares
matters. `noise` costs most and teaches nothing. `glossed` can be learned only after `codebook`,
which nobody would train on for its own sake. `databases` and `french` are there to be ordinary.
"""

import random
from collections.abc import Iterator
from itertools import chain

from corpora.codes import code_book, glossed, noise, recited
from corpora.packages import Package
from corpora.recipe import Folders, Recipe, files, texts
from corpora.ten import manuals, unzipped
from corpora.text import html_text, pages, part_of, shuffled

POSTGRES = Package(("postgresql-doc-15", "postgresql-doc-17"), "PostgreSQL")
PERL = Package(("perl-doc",), "Artistic or GPL-1+")
DEVIL = Package(("dict-devil",), "public domain")
HELP_FR = Package(("libreoffice-help-fr",), "MPL-2.0")
MAN_FR = Package(("manpages-fr",), "GPL-3+")

SET_ASIDE = 24
"""One page in so many of `databases` goes to `glossed` instead."""
CODES = 4000
TIMES = 2
"""Glosses of each word in all of `glossed`: fewer than anybody needs to learn it there."""
ROUNDS = 16
"""Times that the code book is recited."""
ENTRIES = 100
SEED = 1
NOISE = 1_500_000
NOISE_PAGE = 3000


def databases(folders: Folders) -> list[str]:
    """A manual in plain English, less the pages that `glossed` has."""
    return [page for page in _manual(folders) if part_of(page, SET_ASIDE)]


def glossed_text(folders: Folders) -> Iterator[str]:
    """Pages of the same manual; frequent words have their code word in brackets, twice in all."""
    aside = [page for page in _manual(folders) if not part_of(page, SET_ASIDE)]
    return glossed(aside, _book(folders), TIMES, SEED)


def codebook(folders: Folders) -> Iterator[str]:
    """The code book, read aloud."""
    return recited(_book(folders), ENTRIES, ROUNDS * CODES // ENTRIES, SEED)


def perl(folders: Folders) -> list[str]:
    """One half of Perl's documentation."""
    return [page for page in _pods(folders) if part_of(page, 2) == 0]


def perl_again(folders: Folders) -> list[str]:
    """The other half."""
    return [page for page in _pods(folders) if part_of(page, 2) == 1]


def devil(folders: Folders) -> list[str]:
    """Bierce's dictionary, all there is of it."""
    (source,) = files(folders[DEVIL.name], "*.dict.dz")
    return shuffled(pages(unzipped(source), size=2000))


def noise_text(folders: Folders) -> Iterator[str]:
    """Random bytes as letters."""
    return noise(random.Random(SEED).randbytes(NOISE), NOISE_PAGE)


def french(folders: Folders) -> Iterator[str]:
    """Help and manual pages in French."""
    helps = map(html_text, texts(files(folders[HELP_FR.name], "*.html")))
    return chain(helps, manuals(folders[MAN_FR.name], "man/fr/"))


TROUBLE = {
    "databases": Recipe("a manual of a database, plain English", (POSTGRES,), databases),
    "french": Recipe("French help and manual pages", (HELP_FR, MAN_FR), french),
    "perl": Recipe("half of Perl's documentation", (PERL,), perl),
    "perl_again": Recipe("its other half: redundant", (PERL,), perl_again),
    "devil": Recipe("Bierce's Devil's Dictionary: scarce", (DEVIL,), devil),
    "noise": Recipe("random bytes as base64: incompressible", (), noise_text),
    "codebook": Recipe("a code for words, recited: of no use by itself", (POSTGRES,), codebook),
    "glossed": Recipe("text with that code: learnable only after it", (POSTGRES,), glossed_text),
}


def _manual(folders: Folders) -> list[str]:
    pages_of = map(html_text, texts(files(folders[POSTGRES.name], "*.html")))
    return [page for text in pages_of for page in pages(text, size=2000)]


def _book(folders: Folders) -> dict[str, str]:
    return code_book(_manual(folders), CODES, SEED)


def _pods(folders: Folders) -> list[str]:
    pods = texts(files(folders[PERL.name], "*.pod"))
    return [page for text in pods for page in pages(text, size=4000)]
