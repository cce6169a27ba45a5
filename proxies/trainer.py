"""The only training loop: P proxies side by side, each with its own mixture, seed and controller.

A step: ask every controller for its shares, read a batch, move the weights, tell the controllers.
What a member learns does not depend on who trains beside it, up to rounding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixopt.errors import DataError
from mixopt.online.base import Controller, Feedback
from mixopt.online.static import Static
from mixopt.online.trail import Trail
from proxies import checkpoint
from proxies.allocation import Allocation, MakeAllocator
from proxies.config import TrainConfig
from proxies.data import Data, MixtureStream
from proxies.evaluate import Evaluation, evaluate
from proxies.graph import learn_on
from proxies.learner import Learner
from proxies.model import Weights
from proxies.probes import MEASURED, Probes


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
    reference: Mapping[str, float] | None = None
    """Losses of a reference run by domain, for controllers that compare with one."""


class Trainer:
    """Trains members that share sizes and settings; `advance` until `step == steps`.

    `names` are the domains in the order of the controllers' shares. The caller sets the number of
    threads: one a process is fastest. `allocator` decides the domains of sequences. Raises
    DataError where the corpus does not fit the settings.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Data,
        names: Sequence[str],
        members: Sequence[Member],
        device: torch.device,
        allocator: MakeAllocator = Allocation,
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
            allocator,
        )
        self._learner = Learner(config, [member.seed for member in members], device)
        self._learn = learn_on(self._learner, device)
        self._losses: list[Tensor] = []
        self._probes = Probes(config, data, self._names, device)
        self._evidence_flops = [0.0] * len(members)
        self._trails = {
            index: Trail(names, self.steps)
            for index, member in enumerate(members)
            if not isinstance(member.controller, Static)
        }
        # nats and tokens by domain since each member's last feedback
        self._since = torch.zeros(2, len(members), len(names), device=device)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.config.steps

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(P,) False for members whose loss or gradient stopped being a number: diverged."""
        return self._learner.optimiser.alive.cpu().numpy().copy()

    @property
    def drawn(self) -> NDArray[np.int64]:
        """Sequences drawn from each domain, (P, d)."""
        return self._stream.drawn

    @property
    def marks(self) -> list[tuple[str, ...]]:
        """For each member, what a reader of its metrics should know."""
        kinds = {"pool_small": self._stream.small_pools, "pool_short": self._stream.short_pools}
        full = self._learner.left_out.cpu().numpy()
        return [
            tuple(f"{kind}:{name}" for kind, pools in kinds.items() for name in pools[index])
            + member.controller.remarks()
            + ((f"experts_full:{full[index]:.0f}",) if full[index] else ())
            for index, member in enumerate(self.members)
        ]

    @property
    def evidence_flops(self) -> tuple[float, ...]:
        """FLOPs of what controllers needed beside training, by member."""
        return tuple(self._evidence_flops)

    def trail(self, index: int) -> Trail | None:
        """The path of a member whose controller moves; None for a schedule fixed in advance."""
        return self._trails.get(index)

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
        losses, nats = self._learn(self._there(tokens))
        self._losses.append(losses)
        self._note(nats, self._there(domains))
        self.step += 1
        for index, trail in self._trails.items():
            trail.step(shares[index])
        self._tell()
        return losses

    @property
    def averaged(self) -> Weights:
        """The weights that a proxy is judged by, (P, ...)."""
        return self._learner.averaged()

    def evaluate(
        self, split: Literal["validation", "test"], windows: int
    ) -> list[Evaluation | None]:
        """Score the averaged weights on `windows` windows a domain; None for a diverged member."""
        questions = self._data.evaluation(split, self.config.sizes.context, windows)
        data = self._data
        average = self.averaged
        found = evaluate(average, self.config, questions, data.token_bytes, split, data.measures)
        return [one if alive else None for one, alive in zip(found, self.alive, strict=True)]

    def save(self, folder: Path) -> None:
        """Write one checkpoint a member into `folder`."""
        for index, member in enumerate(self.members):
            self.save_as(folder, index, member.run_id)

    def save_as(self, folder: Path, index: int, run_id: str) -> None:
        """Write a checkpoint from which a run of this name goes on as member `index`."""
        checkpoint.write(folder, run_id, self._tensors(index), self._state(index))

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

    def _there(self, rows: NDArray[np.int64]) -> Tensor:
        """Rows on the device; the host goes on meanwhile."""
        if self._device.type == "cpu":
            return torch.from_numpy(rows)
        return torch.from_numpy(rows).pin_memory().to(self._device, non_blocking=True)

    def _note(self, nats: Tensor, domains: Tensor) -> None:
        """Add a step's nats and tokens (P, B sequences) to the sums by domain."""
        own = nats.unflatten(1, (*domains.shape[1:], -1))
        self._since[0].scatter_add_(1, domains, own.sum(-1))
        self._since[1].scatter_add_(1, domains, torch.full_like(own[..., 0], own.shape[-1]))

    def _tell(self) -> None:
        """Give feedback, with the evidence that they need, to the controllers whose turn it is."""
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
            self._hear(index, feedback)
        self._since[:, due] = 0.0

    def _hear(self, index: int, feedback: Feedback) -> None:
        """One member's controller observes; that of a diverged one hears nothing more."""
        member = self.members[index]
        controller, needs = member.controller, member.controller.needs
        if needs:
            if not self.alive[index]:
                return
            found = self._probes.measure(
                needs, controller.probes(), self._learner, self._stream, index
            )
            self._evidence_flops[index] += found.flops
            feedback = replace(
                feedback,
                eval_loss=found.eval_loss,
                gram=found.gram,
                influence=found.influence,
                probe_loss=found.probe_loss,
                reference=_in_order(member.reference, self._names),
            )
        controller.observe(feedback)
        if index in self._trails:
            self._trails[index].mark(controller.weights(), controller.reasons())

    def _stacked(self) -> dict[str, Tensor]:
        """Every tensor of the state with its leading axis P, by the name it has in a checkpoint."""
        named = self._learner.tensors()
        named["since"] = self._since.transpose(0, 1)
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
            **self._state_of_trail(index),
        }

    def _state_of_trail(self, index: int) -> dict[str, Any]:
        trail = self._trails.get(index)
        if trail is None:
            return {}
        return {"trail": trail.state(), "evidence_flops": self._evidence_flops[index]}

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
        if index in self._trails:
            self._trails[index].restore(state["trail"])
            self._evidence_flops[index] = state["evidence_flops"]
        if index == 0:
            self.step = self._learner.optimiser.step = state["step"]
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
        needs = member.controller.needs
        if needs - MEASURED:
            raise DataError(
                f"run {member.run_id}: its controller needs {sorted(needs - MEASURED)}, which this "
                f"trainer does not measure: it measures {', '.join(sorted(MEASURED))}"
            )
        if "reference" in needs and member.reference is None:
            raise DataError(
                f"run {member.run_id}: its controller needs the losses of a reference run: name "
                "one that is finished"
            )


def _in_order(
    losses: Mapping[str, float] | None, names: Sequence[str]
) -> NDArray[np.float64] | None:
    """Losses by name as an array (d,), NaN for a domain without one."""
    if losses is None:
        return None
    return np.array([losses.get(name, np.nan) for name in names])
