"""Real text that lies on any machine with torch installed: five domains in bytes, for the examples.

Bytes are the tokens. `tables` repeats itself, `licences` is scarce.
"""

import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SEQUENCE = 128
"""Bytes of a sequence."""
HELD_OUT = 16
"""Sequences of each domain that are not trained on."""
_MOST = 600_000


def domains() -> dict[str, Tensor]:
    """Sequences (n, SEQUENCE) of each domain, in a fixed random order."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    found = {
        "python": _files(sorted(stdlib.glob("*.py"))),
        "headers": _files(sorted(_torch_headers().rglob("*.h"))),
        "readmes": "".join(_readmes()),
        "licences": _files(sorted(Path(sys.prefix).rglob("*.dist-info/**/LICENSE*"))[:20]),
        "tables": _files(sorted((stdlib / "encodings").glob("cp*.py"))),
    }
    return {name: _sequences(text) for name, text in found.items()}


def split(sequences: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What is trained on, and what is held out."""
    training = {name: rows[HELD_OUT:] for name, rows in sequences.items()}
    return training, {name: rows[:HELD_OUT] for name, rows in sequences.items()}


def print_table(
    log: Sequence[Mapping[str, Any]],
    epochs: Mapping[str, float],
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> None:
    """Shares at five times of the run, epochs, and held-out loss at its ends."""
    told = [line for line in log if "weights" in line]
    lines = [told[i] for i in np.linspace(0, len(told) - 1, 5).round().astype(int)]
    steps = "".join(f"{'step ' + str(line['step']):>10}" for line in lines)
    print(f"\n{'domain':<10}{steps}{'epochs':>9}{'loss before':>13}{'after':>7}")
    for name in epochs:
        shares = "".join(f"{100 * line['weights'][name]:>9.1f}%" for line in lines)
        print(f"{name:<10}{shares}{epochs[name]:>9.2f}{before[name]:>13.2f}{after[name]:>7.2f}")


def _files(paths: Iterable[Path]) -> str:
    text, size = [], 0
    for path in paths:
        if size > _MOST:
            break
        text.append(path.read_text(encoding="utf-8", errors="ignore"))
        size += len(text[-1])
    return "".join(text)


def _torch_headers() -> Path:
    spec = find_spec("torch")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "include" / "ATen" / "core"


def _readmes() -> Iterable[str]:
    packages = sorted(distributions(), key=lambda package: package.name.lower())
    return [(package.metadata["Description"] or "")[:20_000] for package in packages]


def _sequences(text: str) -> Tensor:
    data = np.frombuffer(text.encode()[:_MOST], dtype=np.uint8)
    rows = data[: len(data) // SEQUENCE * SEQUENCE].reshape(-1, SEQUENCE)
    return torch.from_numpy(np.random.default_rng(0).permutation(rows)).long()
