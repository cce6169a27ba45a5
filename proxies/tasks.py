"""Tasks by their gold completions: sum of -ln p(completion | prompt) / (ln 2 x its UTF-8 bytes).

A task is a file of JSON lines with `prompt` and `completion`. Each begins as a document does, after
an end of document; prompt and completion become tokens apart, so that every run scores the same
bytes. A prompt that does not fit into the context loses its beginning, a completion that does not
loses its end. The same measure is the whole suite of Olmix (arXiv:2602.12237).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.data import Data
from proxies.tokenizer import encode


@dataclass(frozen=True)
class Task:
    """The items of one file as tokens."""

    name: str
    prompts: tuple[NDArray[np.int64], ...]
    """Each with the end of a document before it."""
    completions: tuple[NDArray[np.int64], ...]
    bytes: NDArray[np.int64]
    """UTF-8 bytes of each completion (I,)."""


@dataclass(frozen=True)
class TaskWindows:
    """The items of a task as rows that fit into a context."""

    rows: tuple[NDArray[np.int64], ...]
    scored: NDArray[np.int64]
    """How many tokens at the end of each row are scored (I,)."""
    bytes: NDArray[np.int64]
    """UTF-8 bytes of those tokens (I,)."""
    cut: int
    """Completions that lost their end."""


def read_tasks(files: Mapping[str, str], folder: Path, data: Data) -> tuple[Task, ...]:
    """The tasks of `[evaluation.tasks]`: name -> a file, seen from `folder`.

    Raises DataError for tokens without their tokenizer, a file that cannot be read, and a line that
    is not an item.
    """
    if files and "bpb" not in data.measures:
        raise DataError(
            f"[evaluation.tasks] of {folder / 'proxy.toml'} are text, and {data.folder} holds "
            "tokens without their tokenizer: name its tokenizer.json in [data] and prepare again, "
            "or leave the tasks out"
        )
    return tuple(_read_task(name, folder / file, data) for name, file in files.items())


def encode_texts(texts: Sequence[str], data: Data) -> list[NDArray[np.int64]]:
    """The tokens of each text by the tokenizer of a prepared corpus."""
    path = data.folder / "tokenizer.json"
    tokens, lengths = encode(texts, path if path.exists() else None)
    return np.split(tokens.astype(np.int64), np.cumsum(lengths)[:-1])


def fit_task(task: Task, context: int, token_bytes: NDArray[np.integer]) -> TaskWindows:
    """The items as rows of at most context + 1 tokens, of which the first is never scored."""
    rows, scored, size = [], [], []
    for prompt, completion, length in zip(task.prompts, task.completions, task.bytes):
        kept = completion[:context]
        rows.append(np.concatenate([prompt, kept])[-(context + 1) :])
        scored.append(len(kept))
        size.append(length if len(kept) == len(completion) else token_bytes[kept].sum())
    cut = sum(len(completion) > context for completion in task.completions)
    return TaskWindows(tuple(rows), np.array(scored), np.array(size), cut)


def _read_task(name: str, path: Path, data: Data) -> Task:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist: expected the JSON lines of task {name!r}, named in "
            "[evaluation.tasks] of proxy.toml"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} could not be read as UTF-8 text: {error}") from error
    items = [
        _item(line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not items:
        raise DataError(f'{path} is empty: expected lines like {{"prompt": "", "completion": ""}}')
    prompts = encode_texts([prompt for prompt, _ in items], data)
    completions = encode_texts([completion for _, completion in items], data)
    for completion in completions:
        if not len(completion):
            raise DataError(f"{path}: the tokenizer makes no token of a completion: leave it out")
    return Task(
        name,
        tuple(np.append(data.eos, prompt) for prompt in prompts),
        tuple(completions),
        np.array([len(completion.encode()) for _, completion in items]),
    )


def _item(line: str, where: str) -> tuple[str, str]:
    """(prompt, completion) of one line."""
    try:
        values: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error}), expected one object a line") from error
    if not isinstance(values, dict):
        raise DataError(
            f'{where}: expected an object with "prompt" and "completion", got {line[:40]!r}'
        )
    for key in ("prompt", "completion"):
        if not isinstance(values.get(key), str):
            got = f"got {values[key]!r}" if key in values else "it is missing"
            raise DataError(f"{where}: expected text in {key!r}, {got}")
        _check_text(values[key], key, where)
    if not values["completion"]:
        raise DataError(f"{where}: 'completion' is empty, so there is nothing to score")
    return values["prompt"], values["completion"]


def _check_text(text: str, key: str, where: str) -> None:
    """JSON may hold half of a surrogate pair, which is no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {key!r} is not UTF-8 text: {error}") from error
