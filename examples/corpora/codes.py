"""Text made to be troublesome: noise that nobody can learn, and a code that one domain must teach.

The code gives each frequent word another one, at random: nothing but the code book says which. A
text glossed with it (`river (table)`) is as hard as its codes are unknown, and each code occurs in
it too seldom to be learned there.
"""

import base64
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

WORD = re.compile(r"\b[a-z]{4,}\b")


def noise(content: bytes, size: int) -> Iterator[str]:
    """Bytes as base64, `size` of them a document: 6 bits a letter, and nothing to learn."""
    for start in range(0, len(content), size):
        yield base64.encodebytes(content[start : start + size]).decode()


def code_book(documents: Iterable[str], count: int, seed: int) -> dict[str, str]:
    """A code word for each of the most frequent words of four letters or more: another of them.

    >>> sorted(code_book(["some words here", "here some"], 2, seed=0).values())
    ['here', 'some']
    """
    counts = Counter(word for text in documents for word in WORD.findall(text))
    words = sorted(sorted(counts), key=lambda word: -counts[word])[:count]
    codes = random.Random(seed).sample(words, len(words))
    return dict(zip(words, codes, strict=True))


def recited(book: dict[str, str], entries: int, documents: int, seed: int) -> Iterator[str]:
    """The code book read aloud: documents of `entries` entries, all of them in a new order a round.

    >>> list(recited({"some": "here"}, entries=1, documents=2, seed=0))
    ['some (here)', 'some (here)']
    """
    rng = random.Random(seed)
    ahead: list[str] = []
    for _ in range(documents):
        while len(ahead) < entries:
            ahead += rng.sample(sorted(book), len(book))
        yield "\n".join(f"{word} ({book[word]})" for word in ahead[:entries])
        ahead = ahead[entries:]


def glossed(documents: Sequence[str], book: dict[str, str], times: int, seed: int) -> Iterator[str]:
    """Documents in which `times` occurrences of a word, any of them, are followed by its code word.

    >>> list(glossed(["some words", "some some"], {"some": "here"}, times=3, seed=0))
    ['some (here) words', 'some (here) some (here)']
    """
    rng = random.Random(seed)
    counts = Counter(word for text in documents for word in WORD.findall(text) if word in book)
    chosen = {
        word: set(rng.sample(range(counts[word]), min(times, counts[word])))
        for word in sorted(counts)
    }
    met: Counter[str] = Counter()

    def gloss(found: re.Match[str]) -> str:
        word = found[0]
        met[word] += 1
        return f"{word} ({book[word]})" if met[word] - 1 in chosen.get(word, ()) else word

    for document in documents:
        yield WORD.sub(gloss, document)
