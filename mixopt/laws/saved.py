"""A fitted law on the disk: `law.json` for people and programs, `law.npz` for arrays; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.arrays import packed
from mixopt.errors import DataError
from mixopt.files import file_digest, read_json, write_atomic, write_json
from mixopt.laws import make_law
from mixopt.laws.base import Law

_ARRAY = "@array"


def save_law(folder: Path, name: str, law: Law, about: Mapping[str, Any]) -> None:
    """Write `law.npz`, then `law.json`, which names the other by its hash."""
    arrays: dict[str, np.ndarray] = {}
    state = without_arrays(law.state(), arrays, "state")
    write_atomic(folder / "law.npz", packed(arrays))
    document = {
        **about,
        "law": name,
        "settings": law.settings(),
        "state": state,
        "arrays": file_digest(folder / "law.npz"),
    }
    write_json(folder / "law.json", document)


def load_law(folder: Path) -> tuple[Law, dict[str, Any]]:
    """The fitted law of a study, and what `fit` wrote about it.

    Raises DataError when there is none, or when the two files do not belong together.
    """
    path = folder / "law.json"
    if not path.exists():
        raise DataError(f"{folder} has no law yet: run `mixopt fit {folder}`")
    document = read_json(path)
    arrays_path = folder / "law.npz"
    if not arrays_path.exists() or file_digest(arrays_path) != document["arrays"]:
        raise DataError(
            f"{arrays_path} is not the one that {path} names: run `mixopt fit {folder}`"
        )
    with np.load(arrays_path, allow_pickle=False) as arrays:
        state = with_arrays(document["state"], arrays)
    law = make_law(document["law"], document["settings"])
    return law.restore(state), document


def without_arrays(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """The value with every array replaced by its name in `arrays`."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {_ARRAY: path}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: without_arrays(item, arrays, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_arrays(item, arrays, f"{path}.{i}") for i, item in enumerate(value)]
    json.dumps(value, allow_nan=False)
    return value


def with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value with the names of `without_arrays` replaced by their arrays."""
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: with_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [with_arrays(item, arrays) for item in value]
    return value
