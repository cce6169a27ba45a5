"""Which domain of a corpus helps which: bits a byte of one domain's text, packed after another's.

    python benchmarks/transfer.py CORPUS [--also A+B ...] [--prime-kb 300] [--out FILE]

CORPUS is a folder as `examples/corpus_debian.py` writes it (NAME/text.jsonl). LZMA packs some text
of a row's domain, then held-out text of a column's; printed is what the second adds. `(alone)` is
the held-out text by itself; `A+B` is half the text of A, then half of B's. LZMA repeats what it has
seen and learns little else: the table shows what texts share, and forecasts no model.
"""

import argparse
import json
import lzma
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mixopt.files import write_json

ALONE = "(alone)"


def main() -> None:
    """Measure, print and write."""
    options = _options()
    domains = {path.parent.name: read(path) for path in sorted(options.corpus.glob("*/text.jsonl"))}
    held = {name: text[: options.held_kb * 1000] for name, text in domains.items()}
    primes = {
        name: text[len(held[name]) :][: options.prime_kb * 1000] for name, text in domains.items()
    }
    for names in options.also:
        parts = [primes[name] for name in names.split("+")]
        primes[names] = b"".join(part[: len(part) // len(parts)] for part in parts)
    rows = transfer({ALONE: b"", **primes}, held)
    grid = Table("after", *held, title="bits a byte of held-out text")
    for name, row in rows.items():
        grid.add_row(name, *(f"{value:.2f}" for value in row.values()))
    Console(width=12 * (len(held) + 1)).print(grid)
    write_json(options.out, {"prime_kb": options.prime_kb, "bits_per_byte": rows})


def transfer(primes: Mapping[str, bytes], held: Mapping[str, bytes]) -> dict[str, dict[str, float]]:
    """Bits a byte of each held-out text after each other text."""
    return {
        name: {
            other: 8 * (_packed(prime + text) - _packed(prime)) / len(text)
            for other, text in held.items()
        }
        for name, prime in primes.items()
    }


def read(path: Path) -> bytes:
    """The documents of a domain, joined."""
    with path.open(encoding="utf-8") as file:
        return "\n".join(json.loads(line)["text"] for line in file).encode()


def _packed(text: bytes) -> int:
    return len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--also", nargs="+", default=[], metavar="A+B")
    parser.add_argument("--prime-kb", type=int, default=300)
    parser.add_argument("--held-kb", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("transfer.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
