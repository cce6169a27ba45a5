"""Cuts long text into documents: one ends behind the last line end before each multiple of 4 MiB.

Where 4 MiB have no line end, it ends behind their last whole character. So a cut depends on one
block of bytes alone, and a file can be entered at any block.
"""

from collections.abc import Iterator

BLOCK = 4 << 20
"""Bytes of a document, about, where it is cut."""
LONGEST = 2 * BLOCK
"""Bytes of a document at most."""


def last_break(block: bytes) -> int:
    """Where to cut a full block of bytes: after its last line, else after its last character.

    >>> last_break(b"one\\ntwo"), last_break("naive é".encode()[:-1])
    (4, 6)
    """
    newline = block.rfind(b"\n") + 1
    if newline:
        return newline
    for back in range(1, min(4, len(block)) + 1):
        byte = block[-back]
        if byte >= 0xC0:  # a character begins here
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(block) if back >= length else len(block) - back
        if byte < 0x80:
            break
    return len(block)


def cut_text(text: str) -> Iterator[str]:
    """A text in documents that join to it again, one where it is short enough."""
    if len(text) <= LONGEST // 4 or len(content := text.encode()) <= LONGEST:
        yield text
        return
    start = 0
    for block in range(BLOCK, len(content), BLOCK):
        end = block - BLOCK + last_break(content[block - BLOCK : block])
        yield content[start:end].decode()
        start = end
    yield content[start:].decode()
