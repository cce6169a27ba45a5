"""Memory that training P proxies needs, from their sizes, before anything is started.

    weights, gradients, two moments, average:  5 x 4 bytes a parameter
    activations kept for the backward pass:    a count of floats a token and layer
    logits of one chunk of the head, twice;    the runtime

The counts are those of this code (`forward`), and a test holds them against the peak of real steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixopt.errors import ConfigError
from proxies.config import TrainConfig

_FLOAT = 4
_STATES = 5
_RUNTIME = 330e6
"""Of a process with torch, and what the first operations load; resident size on a CPU."""
_RUNTIME_ON_CUDA = 700e6
_LOGITS_ON_CUDA = 1 << 26
_MARGIN = 0.9
"""Of the free memory; the rest is for fragments and for what others take meanwhile."""


@dataclass(frozen=True)
class Memory:
    """Bytes that P proxies need, by what grows them."""

    weights: float
    """Weights without the embeddings, with their gradients, moments and average."""
    vocabulary: float
    """The same of the embeddings, and the logits."""
    activations: float
    runtime: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.vocabulary + self.activations + self.runtime


def needed(config: TrainConfig, proxies: int, device: str = "cpu") -> Memory:
    """What one process needs to train `proxies` proxies side by side.

    >>> from proxies.config import resolve
    >>> config = resolve({"preset": "tiny", "tokens": 200_000}, 4096)
    >>> one, four = (needed(config, count).total for count in (1, 4))
    >>> round((four - one) / 3e6)  # MB a proxy
    16
    """
    sizes = config.sizes
    embeddings = config.vocabulary * sizes.width
    tokens = config.step_tokens
    if device == "cpu":
        logits = 2.0 * min(max(2 * sizes.width, 128), 512, tokens) * config.vocabulary
    else:
        # a recorded step keeps its own for good, and evaluation needs some beside them
        logits = 3.0 * min(_LOGITS_ON_CUDA, proxies * tokens * config.vocabulary)
    return Memory(
        weights=float(_FLOAT * _STATES * proxies * sizes.parameters()),
        # beside the states, a second gradient: that of looking tokens up
        vocabulary=_FLOAT * ((_STATES + 1) * proxies * embeddings + logits),
        activations=_FLOAT * proxies * tokens * _floats_a_token(config),
        runtime=_RUNTIME if device == "cpu" else _RUNTIME_ON_CUDA,
    )


def most_that_fit(config: TrainConfig, devices: Sequence[str]) -> int:
    """How many proxies each worker can hold beside the others.

    Raises ConfigError where it is none, and says which number to lower.
    """
    device, room = devices[0], _room(devices)
    count = 0
    while count < 64 and needed(config, count + 1, device).total <= room:
        count += 1
    if count == 0:
        raise ConfigError(_refusal(config, devices, room))
    return count


def _floats_a_token(config: TrainConfig) -> float:
    """Activations of one token that live at the peak of a step."""
    sizes = config.sizes
    width, routed, shared = sizes.width, sizes.active * sizes.hidden, sizes.shared * sizes.hidden
    attention = 11 * width + sizes.heads
    experts = 3 * width + 2 * sizes.active * width + 3 * routed + 3 * shared + 5 * sizes.experts
    backward = 4 * sizes.active * width + 4 * routed
    return sizes.layers * (attention + experts) + 6 * width + backward


def _room(devices: Sequence[str]) -> float:
    """Bytes that each worker may take."""
    if devices[0] == "cpu":
        return _MARGIN * _free_memory() / len(devices)
    import torch

    free, _ = torch.cuda.mem_get_info(torch.device(devices[0]))
    return _MARGIN * free / devices.count(devices[0])


def _free_memory() -> float:
    """Bytes that a program here can still take: of the machine, or of its container."""
    found = [float("inf")]
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        found.append(1024.0 * float(fields["MemAvailable"].split()[0]))
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current"))
    if limit.exists() and limit.read_text().strip().isdigit():
        found.append(float(limit.read_text()) - float(used.read_text()))
    return min(found)


def _refusal(config: TrainConfig, devices: Sequence[str], room: float) -> str:
    need = needed(config, 1, devices[0])
    advice = {
        need.weights: "lower width, layers or experts under [sizes]",
        need.vocabulary: "prepare the corpus with a smaller vocabulary",
        need.activations: "lower sequences under [training] or context under [sizes]",
        need.runtime: "give it more memory",
    }
    what = advice[max(advice)]
    if len(devices) > 1 and need.total <= room * len(devices):
        what = f"train with --workers {int(room * len(devices) / need.total)}"
    elif need.total - need.runtime <= 0.1 * need.runtime:
        what = "give it more memory"
    return (
        f"one proxy needs {need.total / 1e9:.2g} GB to train and each of {len(devices)} workers "
        f"has {room / 1e9:.2g} GB: {what}"
    )
