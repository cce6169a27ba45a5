"""Learner: the weights of P proxies, what moves them, and one step of it.

    loss = cross-entropy + balancing of the experts;  clip;  AdamW;  average;  bias of the experts

A member's gradient is its own, so what it learns does not depend on who learns beside it, up to
rounding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from proxies.balance import Balance
from proxies.config import TrainConfig
from proxies.kernels.cross_entropy import cross_entropy
from proxies.kernels.experts import slots_on
from proxies.kernels.layout import overflow
from proxies.model import forward, initial, stack
from proxies.optimiser import Optimiser
from proxies.pace import Pace, pace
from proxies.router import Routing


class Learner:
    """P proxies of one configuration; `seeds` are those of their first weights."""

    def __init__(self, config: TrainConfig, seeds: Sequence[int], device: torch.device) -> None:
        self.config = config
        own = [initial(config, seed) for seed in seeds]
        self.weights = {
            name: weight.requires_grad_() for name, weight in stack(own, device).items()
        }
        self.optimiser = Optimiser(self.weights, config)
        self.balance = Balance(config, len(seeds), device)
        self.left_out = torch.zeros(len(seeds), device=device)
        """(P,) assignments that found their expert full, where experts have a fixed number of slots
        (CUDA before compute capability 9.0)."""

    @property
    def step(self) -> int:
        """Steps made."""
        return self.optimiser.step

    def learn(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """One optimiser step on (P, B, T + 1) tokens: losses (P,) and the nats of tokens (P, N)."""
        found = self.move(batch, pace(self.config, self.step))
        self.optimiser.step += 1
        return found

    def move(self, batch: Tensor, now: Pace) -> tuple[Tensor, Tensor]:
        """`learn` at a given pace, which counts no step: all that it changes is on the device."""
        biases = self.balance.biases(self.balance.bias)
        output = forward({**self.weights, **biases}, self.config, batch[..., :-1])
        targets = batch[..., 1:].flatten(1)
        losses, nats = cross_entropy(output.hidden, self.weights["embedding"], targets)
        auxiliary = self.balance.loss(output.routing, self.config.sequences, now)
        total = (losses + auxiliary).sum()  # one member's gradient is its own
        gradients = torch.autograd.grad(total, list(self.weights.values()))
        losses = losses.detach()
        self._count_left_out(output.routing, batch.device)
        self.optimiser.move(dict(zip(self.weights, gradients, strict=True)), losses, now)
        self.balance.update(now)
        return losses, nats

    def _count_left_out(self, routing: Sequence[Routing], device: torch.device) -> None:
        sizes = self.config.sizes
        slots = slots_on(device, self.config.step_tokens, sizes.active, sizes.experts)
        if slots is not None:
            self.left_out += sum(overflow(layer.counts(), slots) for layer in routing)

    def averaged(self) -> dict[str, Tensor]:
        """What is evaluated: the averages of the weights, and of the biases of styles with one."""
        return {**self.optimiser.average, **self.balance.biases(self.balance.average)}

    def tensors(self) -> dict[str, Tensor]:
        """The state with its leading axis P, by the name it has in a checkpoint: views."""
        optimiser = self.optimiser
        groups = {
            "weight": optimiser.weights,
            "first": optimiser.first,
            "second": optimiser.second,
            "average": optimiser.average,
        }
        named = {f"{kind}/{name}": t for kind, own in groups.items() for name, t in own.items()}
        return {
            **named,
            **self.balance.tensors(),
            "alive": optimiser.alive,
            "left_out": self.left_out,
        }
