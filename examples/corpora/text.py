"""Plain text out of what packages hold: HTML, manual pages, R's data, files of many documents."""

import re
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from html.parser import HTMLParser
from typing import TypeVar

UNSEEN = {"script", "style", "head", "nav", "aside", "header", "footer", "button", "noscript"}
LINES = set("p div br li ul ol dl dt dd tr table h1 h2 h3 h4 h5 h6 pre blockquote hr".split())
PAGE = 8000
MACROS_OF_TEXT = set("B I R SM BR RB BI IB IR RI SH SS TP IP SB Nm Fl Ar Sh Ss Op Cm Pa".split())

Item = TypeVar("Item")


class _Plain(HTMLParser):
    """Collects what a browser would show of the body."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0
        self.verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A new line, or the start of what is not shown."""
        self.hidden += tag in UNSEEN
        self.verbatim += tag == "pre"
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A new line."""
        if tag in LINES:
            self.parts.append("\n\n" if tag in ("p", "table") or tag[0] == "h" else "\n")

    def handle_endtag(self, tag: str) -> None:
        """The end of what is not shown."""
        self.hidden -= tag in UNSEEN and self.hidden > 0
        self.verbatim -= tag == "pre" and self.verbatim > 0
        if tag in LINES:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Text; white space of the source says nothing outside <pre>."""
        if not self.hidden:
            self.parts.append(data if self.verbatim else re.sub(r"\s+", " ", data))


def html_text(source: str) -> str:
    """The text of a page's body, a blank line between its paragraphs.

    >>> html_text("<head><title>x</title></head><p>a\\n <b>b</b> &amp; c</p><p>d<br>e")
    'a b & c\\n\\nd\\ne'
    """
    plain = _Plain()
    plain.feed(source)
    plain.close()
    lines = [line.strip(" ") for line in "".join(plain.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def man_text(source: str) -> str:
    """A manual page without its formatting: the words of macros stay, their names do not.

    >>> man_text('.TH X 1\\n.SH NAME\\nx \\\\- do \\\\fBit\\\\fP\\n.BR a " b"\\n.\\\\" no')
    '\\nNAME\\nx - do it\\na b'
    """
    lines = []
    for line in source.splitlines():
        macro = re.match(r"[.'] *([A-Za-z]*|\\\")(.*)", line)
        if macro is None:
            lines.append(line)
        elif macro[1] in MACROS_OF_TEXT:
            words = re.findall(r'"([^"]*)"|(\S+)', macro[2])
            joined = "" if len(macro[1]) == 2 and macro[1] not in ("SH", "SS", "SM", "TP") else " "
            heading = "\n" if macro[1] in ("SH", "SS", "Sh", "Ss") else ""
            lines.append(heading + joined.join(a or b for a, b in words))
        elif macro[1] in ("PP", "P", "LP", "Pp", "TP"):
            lines.append("")
    return _unescaped("\n".join(lines))


def r_strings(content: bytes) -> Iterator[list[str]]:
    """The vectors of strings in a data file of R's lazy loading (.rdb), empty strings among them.

    Each object of the file is its length, then a zlib stream; each string in it a flag, its length
    and its bytes. Other objects give short vectors or none.
    """
    position = 0
    while position + 4 < len(content):
        stream = zlib.decompressobj()
        data = stream.decompress(content[position + 4 :])
        position = len(content) - len(stream.unused_data)
        yield list(_strings(data))


def pages(text: str, size: int = PAGE) -> Iterator[str]:
    """A long text as documents: paragraphs in their order, joined until they have `size` letters.

    >>> list(pages("a\\n\\nb\\n\\nc", size=2))
    ['a\\n\\nb', 'c']
    """
    kept: list[str] = []
    length = 0
    for paragraph in re.split(r"\n{2,}", text):
        kept.append(paragraph)
        length += len(paragraph)
        if length >= size:
            yield "\n\n".join(kept)
            kept, length = [], 0
    if kept:
        yield "\n\n".join(kept)


def shuffled(items: Iterable[Item]) -> list[Item]:
    """Items in the order of a hash of their last letters, the same on every machine."""
    return sorted(items, key=lambda item: blake2b(str(item)[-200:].encode()).digest())


def part_of(document: str, parts: int) -> int:
    """Which of `parts` parts a document belongs to, by its hash."""
    return int.from_bytes(blake2b(document.encode(), digest_size=8).digest(), "big") % parts


_ESCAPES = {r"\-": "-", r"\ ": " ", r"\e": "\\", r"\~": " ", r"\(bu": "•"}
_ESCAPES |= {r"\(en": "–", r"\(em": "—", r"\(aq": "'", r"\(dq": '"'}
_ESCAPES |= {r"\(lq": "“", r"\(rq": "”", r"\(oq": "‘", r"\(cq": "’"}


def _unescaped(text: str) -> str:
    text = re.sub(r"\\f(\[\w*\]|\(..|.)|\\s[-+]?\d|\\[&,/:|^%]|\\\".*", "", text)
    text = re.sub(r"\\\(..|\\[-e~ ]", lambda found: _ESCAPES.get(found[0], " "), text)
    return re.sub(r"\\\[([^\]]*)\]", " ", text)


def _strings(data: bytes) -> Iterator[str]:
    flags = (b"\x00\x04\x00\x09", b"\x00\x00\x80\x09", b"\x00\x00\x40\x09")
    position = 0
    while position + 8 <= len(data):
        if data[position : position + 4] not in flags:
            position += 1
            continue
        length = int.from_bytes(data[position + 4 : position + 8], "big")
        yield data[position + 8 : position + 8 + length].decode(errors="replace")
        position += 8 + length
