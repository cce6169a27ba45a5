"""One step of the learner: what it moves, and that it reads nothing back from the device.

Fake tensors have shapes and types but no numbers: reading one to decide something is an error, as
it would be a wait on a GPU.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from proxies import learner as module
from proxies import model
from proxies.config import resolve
from proxies.learner import Learner
from proxies.styles import STYLES

SIZES = {"layers": 1, "width": 16, "heads": 2, "experts": 4, "hidden": 16, "context": 32}
CONFIG = resolve({"preset": "tiny", "tokens": 4096, "sizes": SIZES}, 257)


def test_a_step_with_slots_reads_nothing_back_and_keeps_fp32_state(monkeypatch):
    def empty(config, seed):
        own = model.shapes(config.sizes, config.vocabulary)
        return {name: torch.empty(shape) for name, shape in own.items()}

    monkeypatch.setattr(module, "initial", empty)
    for place in (model, module):  # as before compute capability 9.0
        monkeypatch.setattr(place, "slots_on", lambda *_: 32)
    with FakeTensorMode():
        learner = Learner(CONFIG, (0, 1, 2), torch.device("cpu"))
        batch = torch.zeros((3, CONFIG.sequences, 33), dtype=torch.int64)
        losses, nats = learner.learn(batch)
        assert losses.shape == (3,)
        assert nats.shape == (3, CONFIG.step_tokens)
        for name, tensor in learner.tensors().items():
            assert tensor.dtype == (torch.bool if name == "alive" else torch.float32)
        with pytest.raises(DataDependentOutputException):
            losses.sum().item()  # the test would notice


def test_a_step_moves_weights_moments_and_average():
    learner = Learner(CONFIG, (0, 1), torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    generator = torch.Generator().manual_seed(0)
    learner.learn(torch.randint(257, (2, CONFIG.sequences, 33), generator=generator))
    assert learner.step == 1
    moved = {name for name, tensor in learner.tensors().items() if not tensor.equal(before[name])}
    assert {f"{kind}/embedding" for kind in ("weight", "first", "second", "average")} <= moved


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_member_has_the_same_bits_alone_and_in_any_company(style):
    """A run whose neighbours died trains alone, and the table must not show it."""
    proxy = {"preset": "tiny", "tokens": 100_000, "style": style, "sizes": SIZES}
    config = resolve(proxy, 257)
    together, alone = (Learner(config, seeds, torch.device("cpu")) for seeds in ([1, 2, 3], [2]))
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        batch = torch.randint(257, (3, config.sequences, 33), generator=generator)
        expected, _ = together.learn(batch)
        found, _ = alone.learn(batch[1:2])
        assert torch.equal(found[0], expected[1])
    for name, tensor in alone.tensors().items():
        assert torch.equal(tensor[0], together.tensors()[name][1]), name
