"""One file a run: round trip, and refusal of what is no checkpoint."""

import pytest
import torch
from safetensors.torch import save_file

from mixopt.errors import DataError
from proxies.checkpoint import path_of, read, read_state, write

TENSORS = {"weight/norm": torch.arange(4.0), "alive": torch.tensor(True)}


def test_round_trip(tmp_path):
    write(tmp_path, "r1", TENSORS, {"step": 3, "stream": {"drawn": [1, 2]}})
    tensors, state = read(tmp_path, "r1")
    assert (state["step"], state["stream"]) == (3, {"drawn": [1, 2]})
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert read_state(tmp_path, "r1") == state
    assert [path.name for path in tmp_path.iterdir()] == ["r1.safetensors"]


def test_a_second_write_replaces_the_first(tmp_path):
    for step in (1, 2):
        write(tmp_path, "r1", {"x": torch.full((2,), float(step))}, {"step": step})
    tensors, state = read(tmp_path, "r1")
    assert (state["step"], tensors["x"].tolist()) == (2, [2.0, 2.0])


def test_no_checkpoint_is_none(tmp_path):
    assert read_state(tmp_path, "r1") is None
    with pytest.raises(DataError, match="r1"):
        read(tmp_path, "r1")


@pytest.mark.parametrize("reader", [read, read_state])
def test_half_a_file_and_a_foreign_one_are_refused(tmp_path, reader):
    write(tmp_path, "r1", TENSORS, {"step": 1})
    path = path_of(tmp_path, "r1")
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DataError, match=r"not a checkpoint.*delete it"):
        reader(tmp_path, "r1")
    save_file(TENSORS, path)
    with pytest.raises(DataError, match="holds no state"):
        reader(tmp_path, "r1")
