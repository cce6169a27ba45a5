"""A step recorded once and replayed: the same as steps as they are, for every style and rate.

There is no GPU here, so the test records in the way that a CUDA graph does: every operation of a
step with the tensors that it read and wrote, to be done again on the same memory. A number of the
host that a step used is then the number of the recorded step, and later steps would differ.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from proxies.config import resolve
from proxies.graph import WARM_UP_STEPS, Replayed, learn_on
from proxies.learner import Learner
from proxies.pace import Pace, pace
from proxies.probes import forked
from proxies.styles import STYLES

CPU = torch.device("cpu")
SIZES = {"layers": 2, "width": 16, "heads": 2, "experts": 4, "hidden": 16, "context": 32}
STEPS = 12  # every number of a step changes after the recorded one


class Tape(TorchDispatchMode):
    """Operations in their order, with their tensors, which it keeps alive."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, out))
        return out

    def again(self):
        """Do everything once more, into the same memory."""
        for func, args, kwargs, out in self.operations:
            read = {storage(one) for one in tensors([args, kwargs])}
            written = [one for one in tensors(out) if storage(one) not in read]
            if not written and func.is_view:
                continue
            new = func(*args, **kwargs)
            fresh = [one for one in tensors(new) if storage(one) not in read]
            for old, own in zip(written, fresh, strict=True):
                old.copy_(own)


class TapeRecorder:
    """A recorder on a CPU: recording changes nothing, as on CUDA."""

    def __init__(self, learner):
        self._learner = learner
        self.tape = Tape()

    def warm_up(self, step):
        return step()

    def record(self, step):
        state = {name: tensor.clone() for name, tensor in self._learner.tensors().items()}
        with self.tape:
            found = step()
        for name, tensor in self._learner.tensors().items():
            tensor.copy_(state[name])
        return found

    def replay(self):
        with torch.no_grad():
            self.tape.again()

    def there(self, values):
        return values


def tensors(tree):
    return [one for one in tree_leaves(tree) if isinstance(one, torch.Tensor)]


def storage(tensor):
    return tensor.untyped_storage().data_ptr()


def config(style="default", **training):
    proxy = {
        "preset": "tiny",
        "style": style,
        "tokens": STEPS * 64,
        "sizes": SIZES,
        "training": {"sequences": 2, **training},
    }
    return resolve(proxy, 97)


def batches(settings, proxies):
    make = torch.Generator().manual_seed(5)
    shape = (proxies, settings.sequences, settings.sizes.context + 1)
    return [torch.randint(97, shape, generator=make) for _ in range(STEPS)]


def replayed(learner, settings):
    shape = (len(learner.left_out), settings.sequences, settings.sizes.context + 1)
    recorder = TapeRecorder(learner)
    return Replayed(learner, shape, recorder), recorder


def assert_same_state(own, other):
    expected = other.tensors()
    for name, tensor in own.tensors().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("style", STYLES)
def test_replayed_steps_are_the_steps_as_they_are(style):
    settings = config(style)
    assert settings.steps == STEPS
    plain, other = (Learner(settings, (0, 1), CPU) for _ in range(2))
    steps, recorder = replayed(other, settings)
    for batch in batches(settings, 2):
        losses, nats = plain.learn(batch)
        own_losses, own_nats = steps.learn(batch)
        torch.testing.assert_close(own_losses, losses, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(own_nats, nats, rtol=1e-4, atol=1e-4)
    assert recorder.tape.operations
    assert other.step == plain.step == STEPS
    assert_same_state(other, plain)


class Baked(Replayed):
    """A step that uses one number of the host."""

    field = ""

    def _step(self):
        now = Pace(*self._numbers.unbind())
        own = getattr(pace(self._learner.config, self._learner.step), self.field)
        return self._learner.move(self._batch, now._replace(**{self.field: own}))


@pytest.mark.parametrize("field", Pace._fields)
def test_a_number_of_the_host_would_be_noticed(field):
    settings = config("deepseek", balance=1e-2)
    plain, other = (Learner(settings, (0, 1), CPU) for _ in range(2))
    steps = Baked(other, (2, 2, 33), TapeRecorder(other))
    steps.field = field
    for batch in batches(settings, 2):
        plain.learn(batch)
        steps.learn(batch)
    with pytest.raises(AssertionError):
        assert_same_state(other, plain)


def test_a_replay_reads_no_number_back():
    learner = Learner(config(), (0, 1), CPU)
    steps, recorder = replayed(learner, config())
    for batch in batches(config(), 2)[: WARM_UP_STEPS + 1]:
        steps.learn(batch)
    names = {func.overloadpacket.__name__ for func, *_ in recorder.tape.operations}
    assert not names & {"_local_scalar_dense", "nonzero", "is_nonzero", "bincount", "unique"}
    assert {"_fused_adamw_", "_grouped_mm"} <= names  # of the whole step


def test_results_of_a_step_outlive_the_next():
    steps, _ = replayed(Learner(config(), (0, 1), CPU), config())
    kept, copies = [], []
    for batch in batches(config(), 2):
        kept.append(steps.learn(batch))
        copies.append([one.clone() for one in kept[-1]])
    for own, other in zip(kept, copies, strict=True):
        assert own[0].equal(other[0])
        assert own[1].equal(other[1])


def test_a_restored_state_is_where_replays_go_on():
    plain, other = Learner(config(), (0, 1), CPU), Learner(config(), (0, 1), CPU)
    steps, _ = replayed(other, config())
    text = batches(config(), 2)
    for batch in reversed(text[:8]):
        steps.learn(batch)
    for batch in text[:5]:
        plain.learn(batch)
    for name, tensor in other.tensors().items():
        tensor.copy_(plain.tensors()[name])
    other.optimiser.step = 5
    for batch in text[5:]:
        losses, _ = plain.learn(batch)
        torch.testing.assert_close(steps.learn(batch)[0], losses, rtol=1e-5, atol=1e-5)


def test_a_proxy_that_diverges_within_a_replay_leaves_its_neighbour_alone():
    found = []
    for sick in (False, True):
        learner = Learner(config(), (0, 1), CPU)
        steps, _ = replayed(learner, config())
        for index, batch in enumerate(batches(config(), 2)):
            if sick and index == 7:
                learner.tensors()["weight/norm"][1, 0] = float("nan")
            steps.learn(batch)
        found.append(learner)
    clean, sick = found
    assert clean.optimiser.alive.all()
    assert sick.optimiser.alive.tolist() == [True, False]
    for name, tensor in sick.tensors().items():
        assert tensor[0].equal(clean.tensors()[name][0]), name


def test_a_fork_of_a_replayed_learner_is_none_of_its_steps():
    learner = Learner(config(), (0, 1), CPU)
    steps, _ = replayed(learner, config())
    text = batches(config(), 2)
    for batch in text[:6]:
        steps.learn(batch)
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    fork = forked(learner, 1, 3, CPU)
    fork.learn(text[6][[1, 1, 1]])
    assert (fork.step, learner.step) == (7, 6)
    for name, tensor in learner.tensors().items():
        assert tensor.equal(before[name]), name


def test_a_cpu_needs_no_recording():
    learner = Learner(config(), (0,), CPU)
    assert learn_on(learner, CPU) == learner.learn


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("style", STYLES)
def test_a_cuda_graph_follows_steps_as_they_are(style):
    device, settings = torch.device("cuda"), config(style)
    plain, other = (Learner(settings, (0, 1), device) for _ in range(2))
    learn = learn_on(other, device)
    for batch in batches(settings, 2):
        losses, _ = plain.learn(batch.to(device))
        torch.testing.assert_close(learn(batch.to(device))[0], losses, rtol=0, atol=0.02)
