"""The only training loop: P proxies side by side, each with its own mixture, seed and controller.

A step: ask every controller for its shares, read a batch, move the weights, tell the controllers.
What a member learns does not depend on who trains beside it, up to rounding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixopt.errors import DataError
from mixopt.online.base import Controller, Feedback
from proxies import checkpoint
from proxies.config import TrainConfig
from proxies.data import Data, MixtureStream
from proxies.evaluate import Evaluation, evaluate
from proxies.kernels.cross_entropy import cross_entropy
from proxies.model import Output, forward, initial, stack
from proxies.optimiser import Optimiser
from proxies.router import balance_loss, z_loss


@dataclass(frozen=True)
class Member:
    """One run of a swarm."""

    run_id: str
    seed: int
    """Training seed of its block: first weights, window order and allocation follow from it."""
    controller: Controller
    """What sets the mixture; `Static` for a mixture or a schedule."""
    pools: Mapping[str, int] | None = None
    """Unique training tokens of each domain, to repeat text as the target would; None: all."""


class Trainer:
    """Trains members that share sizes and settings; `advance` until `step == steps`.

    `names` are the domains in the order of the controllers' shares. The caller sets the number of
    threads: one a process is fastest. Raises DataError where the corpus does not fit the settings.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Data,
        names: Sequence[str],
        members: Sequence[Member],
        device: torch.device,
    ) -> None:
        _check(config, data, members)
        self.config = config
        self.members = tuple(members)
        self.step = 0
        self._data = data
        self._names = tuple(names)
        self._device = device
        self._stream = MixtureStream(
            data,
            names,
            [member.seed for member in members],
            config.sizes.context,
            config.sequences,
            [member.pools for member in members],
        )
        own = [initial(config, member.seed) for member in members]
        self._weights = {
            name: weight.requires_grad_() for name, weight in stack(own, device).items()
        }
        self._optimiser = Optimiser(self._weights, config)
        layers, experts = config.sizes.layers, config.sizes.experts
        self._expert_shares = torch.zeros(layers, len(members), experts, device=device)
        self._losses: list[Tensor] = []
        # nats and tokens by domain since each member's last feedback
        self._since = torch.zeros(2, len(members), len(names), device=device)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.config.steps

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(P,) False for members whose loss or gradient stopped being a number: diverged."""
        return self._optimiser.alive.cpu().numpy().copy()

    @property
    def drawn(self) -> NDArray[np.int64]:
        """Sequences drawn from each domain, (P, d)."""
        return self._stream.drawn

    @property
    def marks(self) -> list[tuple[str, ...]]:
        """For each member, what a reader of its metrics should know."""
        kinds = {"pool_small": self._stream.small_pools, "pool_short": self._stream.short_pools}
        return [
            tuple(f"{kind}:{name}" for kind, pools in kinds.items() for name in pools[index])
            for index in range(len(self.members))
        ]

    @property
    def train_loss(self) -> NDArray[np.float32]:
        """Nats a token of each step so far, without auxiliary losses, (steps, P)."""
        if not self._losses:
            return np.empty((0, len(self.members)), dtype=np.float32)
        return torch.stack(self._losses).cpu().numpy()

    def advance(self) -> Tensor:
        """Train one step and return its losses (P,), still on the device."""
        shares = np.stack([member.controller.weights() for member in self.members])
        tokens, domains = self._stream.next(shares)
        batch = torch.from_numpy(tokens).to(self._device)
        losses, nats = self._learn(batch)
        self._losses.append(losses)
        self._note(nats, torch.from_numpy(domains).to(self._device))
        self.step += 1
        self._tell()
        return losses

    def evaluate(
        self, split: Literal["validation", "test"], windows: int
    ) -> list[Evaluation | None]:
        """Score the averaged weights on `windows` windows a domain; None for a diverged member."""
        questions = self._data.evaluation(split, self.config.sizes.context, windows)
        data = self._data
        found = evaluate(
            self._optimiser.average, self.config, questions, data.token_bytes, split, data.measures
        )
        return [one if alive else None for one, alive in zip(found, self.alive, strict=True)]

    def save(self, folder: Path) -> None:
        """Write one checkpoint a member into `folder`."""
        for index, member in enumerate(self.members):
            checkpoint.write(folder, member.run_id, self._tensors(index), self._state(index))

    @classmethod
    def resume(
        cls,
        config: TrainConfig,
        data: Data,
        names: Sequence[str],
        members: Sequence[Member],
        device: torch.device,
        folder: Path,
    ) -> Self:
        """Go on from the checkpoints of `members`, which may come from different swarms.

        Raises DataError where one is missing, belongs to other settings, data or domains, or stands
        at another step than the first. Controllers are restored in place.
        """
        trainer = cls(config, data, names, members, device)
        for index, member in enumerate(members):
            tensors, state = checkpoint.read(folder, member.run_id)
            trainer._restore(index, tensors, state)
        return trainer

    def _learn(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """One optimiser step on (P, B, T + 1) tokens: losses (P,) and the nats of tokens (P, N)."""
        output = forward(self._weights, self.config, batch[..., :-1])
        targets = batch[..., 1:].flatten(1)
        losses, nats = cross_entropy(output.hidden, self._weights["embedding"], targets)
        total = (losses + self._auxiliary(output)).sum()  # one member's gradient is its own
        gradients = torch.autograd.grad(total, list(self._weights.values()))
        losses = losses.detach()
        self._optimiser.update(dict(zip(self._weights, gradients, strict=True)), losses)
        return losses, nats

    def _auxiliary(self, output: Output) -> Tensor:
        """Balancing and z-loss of each member, averaged over layers, (P,)."""
        counts = torch.stack([routing.counts() for routing in output.routing])
        memory = min(self.step + 1.0, self.config.count_smoothing)
        now = counts / counts.sum(-1, keepdim=True)
        self._expert_shares = self._expert_shares.lerp(now, 1.0 / memory)
        terms = [
            self.config.balance * balance_loss(routing.probabilities, shares)
            + self.config.z_loss * z_loss(routing.logits)
            for routing, shares in zip(output.routing, self._expert_shares, strict=True)
        ]
        return torch.stack(terms).mean(0)

    def _note(self, nats: Tensor, domains: Tensor) -> None:
        """Add a step's nats and tokens (P, B sequences) to the sums by domain."""
        own = nats.unflatten(1, (*domains.shape[1:], -1))
        self._since[0].scatter_add_(1, domains, own.sum(-1))
        self._since[1].scatter_add_(1, domains, torch.full_like(own[..., 0], own.shape[-1]))

    def _tell(self) -> None:
        """Give feedback to the controllers whose turn it is."""
        due = [i for i, m in enumerate(self.members) if self.step % m.controller.every == 0]
        if not due:
            return
        nats, tokens = self._since[:, due].double().cpu().numpy()
        losses = np.divide(nats, tokens, out=np.full_like(nats, np.nan), where=tokens > 0)
        drawn = self._stream.drawn[due] * float(self.config.sizes.context)
        for row, index in enumerate(due):
            feedback = Feedback(
                step=self.step,
                steps=self.steps,
                tokens=self.step * self.config.step_tokens,
                drawn=drawn[row],
                train_loss=losses[row],
            )
            self.members[index].controller.observe(feedback)
        self._since[:, due] = 0.0

    def _stacked(self) -> dict[str, Tensor]:
        """Every tensor of the state with its leading axis P, by the name it has in a checkpoint."""
        optimiser = self._optimiser
        groups = {
            "weight": optimiser.weights,
            "first": optimiser.first,
            "second": optimiser.second,
            "average": optimiser.average,
        }
        named = {f"{kind}/{name}": t for kind, own in groups.items() for name, t in own.items()}
        named["expert_shares"] = self._expert_shares.transpose(0, 1)
        named["since"] = self._since.transpose(0, 1)
        named["alive"] = optimiser.alive
        return named

    def _tensors(self, index: int) -> dict[str, Tensor]:
        own = {name: tensor[index] for name, tensor in self._stacked().items()}
        return {**own, "losses": torch.from_numpy(self.train_loss[:, index])}

    def _state(self, index: int) -> dict[str, Any]:
        return {
            "step": self.step,
            "seed": self.members[index].seed,
            **self._identity(),
            "stream": self._stream.state(index),
            "controller": self.members[index].controller.state(),
        }

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on before its numbers mean anything here."""
        config = self.config.digest()
        return {"config": config, "data": self._data.hash, "domains": list(self._names)}

    def _restore(self, index: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        member = self.members[index]
        expected = {**self._identity(), "seed": member.seed}
        if index > 0:
            expected["step"] = self.step
        for key, value in expected.items():
            if state[key] != value:
                raise DataError(
                    f"the checkpoint of run {member.run_id} has {key} {state[key]!r}, expected "
                    f"{value!r}: delete it and the run starts from its beginning"
                )
        for name, tensor in self._stacked().items():
            tensor[index] = tensors[name].to(self._device)
        self._stream.restore(index, state["stream"])
        member.controller.restore(state["controller"])
        if index == 0:
            self.step = self._optimiser.step = state["step"]
            self._losses = list(torch.empty(self.step, len(self.members), device=self._device))
        for row, loss in zip(self._losses, tensors["losses"].tolist(), strict=True):
            row[index] = loss


def _check(config: TrainConfig, data: Data, members: Sequence[Member]) -> None:
    if config.vocabulary != data.vocabulary:
        raise DataError(
            f"the settings are for {config.vocabulary} tokens, the corpus has {data.vocabulary}: "
            "resolve them with the vocabulary of the corpus"
        )
    for member in members:
        if member.controller.needs:
            raise DataError(
                f"run {member.run_id}: its controller needs {sorted(member.controller.needs)}, "
                "which this trainer does not measure: choose one that needs train_loss only"
            )
