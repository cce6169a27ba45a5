"""One file a run, RUN_ID.safetensors: its tensors, and the rest of its state as JSON in the header.

A single file is replaced as a whole, so tensors and state can never be of two different steps.
Members of a swarm are written apart: any that stand at the same step can go on together.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mixopt.errors import DataError
from mixopt.files import to_json, write_atomic

_SCHEMA = 1


def path_of(folder: Path, run_id: str) -> Path:
    """Where the checkpoint of a run lies."""
    return folder / f"{run_id}.safetensors"


def write(
    folder: Path, run_id: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Replace the checkpoint of a run by these tensors and this JSON state."""
    header = {"state": to_json({**state, "schema": _SCHEMA})}
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path_of(folder, run_id), save(content, metadata=header))


def read(folder: Path, run_id: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and the state of a run; DataError if there is no sound file."""
    path = path_of(folder, run_id)
    try:
        with safe_open(path, framework="pt") as file:
            state = _state(path, file.metadata())
            return {name: file.get_tensor(name) for name in file.keys()}, state
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, str(error)) from error


def read_state(folder: Path, run_id: str) -> dict[str, Any] | None:
    """The state alone, which is quick; None if the run has no checkpoint."""
    path = path_of(folder, run_id)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return _state(path, file.metadata())
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, str(error)) from error


def _state(path: Path, header: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        state = json.loads((header or {})["state"])
    except (KeyError, ValueError) as error:
        raise _unreadable(path, "its header holds no state") from error
    if state.get("schema") != _SCHEMA:
        raise _unreadable(path, f"its schema is {state.get('schema')}, expected {_SCHEMA}")
    return state


def _unreadable(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} is not a checkpoint ({reason}): delete it and the run starts from its beginning"
    )
