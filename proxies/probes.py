"""Probes: the costly evidence of controllers, measured on one member of a swarm when asked for.

Nothing here needs a second model or a second program: gradients by domain are those of the member's
weights stacked d times, one domain a layer of the stack and one backward pass for all; forks of the
member are proxies of the same kind, trained side by side, on the text that the member reads next.
What it costs is counted in FLOPs. The member itself is left as it is, to the bit.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxies.balance import Balance
from proxies.config import TrainConfig
from proxies.data import Data, MixtureStream
from proxies.evaluate import evaluate
from proxies.evidence_cost import SEQUENCES, WINDOWS, look_flops
from proxies.kernels.cross_entropy import cross_entropy
from proxies.learner import Learner
from proxies.model import Weights, forward
from proxies.optimiser import Optimiser
from proxies.seeds import stream

Array = NDArray[np.float64]

MEASURED = frozenset({"eval_loss", "gram", "influence", "reference", "probe_loss"})
"""What a controller may need."""

_AT_ONCE = 16  # copies of a member in one stack
_EXPERTS = 1023  # of all copies together: one grouped product takes no more on a GPU
_EPS = 1e-8


@dataclass(frozen=True)
class Evidence:
    """What was measured, and what it cost; None where it was not asked for."""

    flops: float = 0.0
    eval_loss: Array | None = None
    """(m,)"""
    gram: Array | None = None
    """(d, d)"""
    influence: Array | None = None
    """(m, d)"""
    probe_loss: Array | None = None
    """(a, m)"""


class Probes:
    """Measures members of swarms that train on the domains `names` of a corpus."""

    def __init__(
        self, config: TrainConfig, data: Data, names: tuple[str, ...], device: torch.device
    ) -> None:
        self._config = config
        self._data = data
        self._names = names
        self._device = device
        self._at_once = max(1, min(_AT_ONCE, _EXPERTS // config.sizes.experts))

    def measure(
        self,
        needs: frozenset[str],
        mixtures: tuple[Array, int] | None,
        learner: Learner,
        text: MixtureStream,
        index: int,
    ) -> Evidence:
        """The evidence of member `index`: fields of `needs`, and forks under `mixtures` (a, d)."""
        found = {}
        if "eval_loss" in needs:
            found["eval_loss"] = self.held_out_loss(_member(learner, index))[0]
        if needs & {"gram", "influence"}:
            gradients = self.domain_gradients(learner, text, index)
            if "gram" in needs:
                found["gram"] = _numbers(gradients @ gradients.T)
            if "influence" in needs:
                targets = self.target_gradients(learner, index)
                found["influence"] = influence(targets, gradients, curvature(learner, index))
        if "probe_loss" in needs and mixtures is not None:
            rows, steps = mixtures
            found["probe_loss"] = self.fork_losses(rows, steps, learner, text, index)
        d, m = len(self._names), len(self._data.evaluation_names)
        return Evidence(look_flops(self._config, needs, mixtures, d, m), **found)

    def held_out_loss(self, weights: Weights) -> Array:
        """Nats a token of each evaluation domain (P, m); NaN for proxies that give no numbers."""
        data, context = self._data, self._config.sizes.context
        questions = data.evaluation("validation", context, WINDOWS)
        scores = evaluate(
            weights, self._config, questions, data.token_bytes, "validation", ("loss",)
        )
        missing = [np.nan] * len(questions.names)
        return np.array(
            [
                missing
                if one is None
                else [one.metrics[f"loss/{name}"] for name in questions.names]
                for one in scores
            ]
        )

    def domain_gradients(self, learner: Learner, text: MixtureStream, index: int) -> Tensor:
        """Gradients (d, n) of the loss on a few windows of each domain's training text."""
        seed = text.seed(index)
        batches = [
            text.examples(index, column, SEQUENCES, stream(seed, "gradients", name, learner.step))
            for column, name in enumerate(self._names)
        ]
        return self._gradients(learner, index, np.stack(batches))

    def target_gradients(self, learner: Learner, index: int) -> Tensor:
        """Gradients (m, n) of the loss on held-out text of each evaluation domain."""
        context = self._config.sizes.context
        questions = self._data.evaluation("validation", context, SEQUENCES)
        columns = [np.flatnonzero(questions.domain == i) for i in range(len(questions.names))]
        rows = np.stack([np.resize(own, SEQUENCES) for own in columns])
        return self._gradients(learner, index, questions.tokens[rows])

    def fork_losses(
        self, rows: Array, steps: int, learner: Learner, text: MixtureStream, index: int
    ) -> Array:
        """Held-out losses (a, m) of forks of a member after `steps` steps under each mixture."""
        losses = []
        for start in range(0, len(rows), self._at_once):
            part = rows[start : start + self._at_once]
            fork = forked(learner, index, len(part), self._device)
            reader = text.forked(index, len(part))
            for _ in range(steps):
                tokens, _ = reader.next(part)
                fork.learn(torch.from_numpy(tokens).to(self._device))
            losses.append(self.held_out_loss(_present(fork)))
        return np.concatenate(losses)

    def _gradients(self, learner: Learner, index: int, batches: NDArray[np.int64]) -> Tensor:
        """Gradients (g, n) of the member's loss on each of the batches (g, B, T + 1)."""
        own = _member(learner, index)
        found = []
        for start in range(0, len(batches), self._at_once):
            part = torch.from_numpy(batches[start : start + self._at_once]).to(self._device)
            found.append(_stacked_gradients(own, set(learner.weights), self._config, part))
        return torch.cat(found)


def forked(learner: Learner, index: int, count: int, device: torch.device) -> Learner:
    """`count` proxies that each go on from where member `index` of a learner stands."""
    fork = copy.copy(learner)  # and no first weights, which take a while to draw
    fork.weights = {
        name: weight.detach()[[index] * count].requires_grad_()
        for name, weight in learner.weights.items()
    }
    fork.optimiser = Optimiser(fork.weights, learner.config)
    fork.balance = Balance(learner.config, count, device)
    fork.left_out = torch.zeros(count, device=device)
    own = learner.tensors()
    for name, tensor in fork.tensors().items():
        tensor.copy_(own[name][index].expand_as(tensor))
    fork.optimiser.step = learner.optimiser.step
    return fork


def influence(targets: Tensor, gradients: Tensor, inverse: Tensor) -> Array:
    """S (m, d): what a step against gradient j, scaled by `inverse` (n,), takes off loss i."""
    return _numbers((targets * inverse) @ gradients.T)


def curvature(learner: Learner, index: int) -> Tensor:
    """The inverse curvature (n,) that stands for H^-1: that of the optimiser, 1 / sqrt(v)."""
    beta2 = learner.config.beta2
    correction = 1.0 - beta2 ** max(learner.step, 1)
    second = learner.optimiser.second
    flat = torch.cat([second[name][index].flatten() for name in learner.weights])
    return 1.0 / ((flat / correction).sqrt() + _EPS)


def _stacked_gradients(
    own: Weights, trained: set[str], config: TrainConfig, batches: Tensor
) -> Tensor:
    """One backward pass for all batches: layer g of the stack reads batch g and nothing else."""
    copies = {
        name: weight.detach().expand(len(batches), *weight.shape[1:]).clone()
        for name, weight in own.items()
    }
    leaves = [copies[name].requires_grad_() for name in own if name in trained]
    output = forward(copies, config, batches[..., :-1])
    losses, _ = cross_entropy(output.hidden, copies["embedding"], batches[..., 1:].flatten(1))
    gradients = torch.autograd.grad(losses.sum(), leaves)
    return torch.cat([one.flatten(1) for one in gradients], dim=1)


def _present(learner: Learner) -> dict[str, Tensor]:
    """The weights of all members as they now are, not averaged, with the biases of styles."""
    weights: Mapping[str, Tensor] = learner.optimiser.weights
    return {**weights, **learner.balance.biases(learner.balance.bias)}


def _member(learner: Learner, index: int) -> dict[str, Tensor]:
    """The same of one member, (1, ...)."""
    return {name: weight[index : index + 1] for name, weight in _present(learner).items()}


def _numbers(values: Tensor) -> Array:
    return values.double().cpu().numpy()
