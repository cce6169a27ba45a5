"""Pace: the numbers of a training step that change with the step, and nothing else does.

    rate: linear warm-up, constant, linear to 0 over the last `decay`
    share = 1 - (1 - 1/t)^(gamma + 1) for step t = 1, 2, ...: the average weighs it by t^gamma
    counted = 1 / min(t, smoothing): balancing looks at the mean of the last steps' counts

They are floats where a step runs as it is, and tensors on the device where a graph replays it: a
recorded step must not hold a number of the step at which it was recorded.
"""

from typing import NamedTuple

from torch import Tensor

from proxies.config import TrainConfig

_SHORT = 1000
"""Steps under which the bias of the experts needs larger steps to arrive."""
_FASTER = 5.0
_SLOWING = 0.2


class Pace(NamedTuple):
    """What changes with the step."""

    rate: float | Tensor
    """Learning rate."""
    step: float | Tensor
    """Steps made before."""
    share: float | Tensor
    """How far the averages move towards what is present."""
    counted: float | Tensor
    """How far the shares of the experts move towards those of the batch."""
    bias: float | Tensor
    """Size of the step of the experts' bias."""


def pace(config: TrainConfig, step: int) -> Pace:
    """The pace of step 0, 1, ..., in floats."""
    return Pace(
        learning_rate(config, step),
        float(step),
        averaged_share(config, step + 1),
        1.0 / min(step + 1.0, config.count_smoothing),
        bias_step(config, step),
    )


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of step 0, 1, ...: linear warm-up, constant, linear to 0 over the last `decay`."""
    rise = (step + 1) / config.warmup_steps if config.warmup_steps else 1.0
    tail = config.decay * config.steps
    fall = (config.steps - step) / tail if tail else 1.0
    return config.learning_rate * min(1.0, rise, fall)


def averaged_share(config: TrainConfig, step: int) -> float:
    """How far step 1, 2, ... moves the average towards the present weights."""
    return 1.0 - (1.0 - 1.0 / step) ** (config.average + 1.0)


def bias_step(config: TrainConfig, step: int) -> float:
    """Size of the bias's step at step 0, 1, ...: u, and in runs under 1,000 steps 5 u, which falls
    to u over the last fifth.
    """
    if config.steps >= _SHORT:
        return config.bias_step
    left = (config.steps - step) / (_SLOWING * config.steps)
    return config.bias_step * (1.0 + (_FASTER - 1.0) * min(1.0, left))
