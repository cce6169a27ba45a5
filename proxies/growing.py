"""Growing: a group of runs on its way through its stages, trunks first; to the worker it is one.

The trunks of a stage are members of a trainer. Where they part, each is written down under the
names of its heirs, from which the next stage's trainer goes on like from any other checkpoint.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mixopt.online.static import Static
from proxies.config import TrainConfig
from proxies.data import Data
from proxies.evaluate import Evaluation
from proxies.restarts import Restarts, trunk_name
from proxies.trainer import Member, Trainer
from proxies.trunks import Stage, Way, part_of, stages, work


class Growing:
    """Trains `members` from their checkpoints, or their beginning; `trainer` has the present ones.

    In the last stage, and so at the end, the trainer's members are the group's, in their order.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Data,
        names: Sequence[str],
        members: Sequence[Member],
        device: torch.device,
        restarts: Restarts,
    ) -> None:
        self._config, self._data, self._names = config, data, names
        self._members, self._device, self._restarts = tuple(members), device, restarts
        self._plan = stages([_way(one, config.steps) for one in members], config.steps)
        self._at, slot = self._reached()
        self.trainer = self._trainer(slot)
        self._first_work = self._work

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(P,) False for runs that diverged, with their trunk or by themselves."""
        own = self.trainer.alive
        return np.array([own[self._trunk_of(index)] for index in range(len(self._members))])

    @property
    def done(self) -> float:
        """The share of the group's training that is behind it."""
        return self._work / work(self._plan, self._config.steps)

    @property
    def done_here(self) -> float:
        """The share of the group's training that was done since this object was made."""
        return self.done - self._first_work / work(self._plan, self._config.steps)

    def advance(self) -> None:
        """Train one step; where trunks part, begin the next stage."""
        self.trainer.advance()
        if self.trainer.step == self._stage.end < self._config.steps:
            self._branch()

    def evaluate(self, windows: int) -> list[Evaluation | None]:
        """Scores of the runs on validation text, those of a trunk for all its heirs."""
        found = self.trainer.evaluate("validation", windows)
        return [found[self._trunk_of(index)] for index in range(len(self._members))]

    def save(self) -> None:
        """Write checkpoints. DataError where the disk is full, the older ones then remain."""
        self._restarts.save(self.trainer)

    def evidence_flops(self, index: int) -> float:
        """FLOPs of what a run's controller measured so far."""
        return self.trainer.evidence_flops[self._trunk_of(index)]

    def flops(self, index: int) -> float:
        """FLOPs of training a run: its part of every trunk that it goes through."""
        return self._config.flops * part_of(self._plan, index)

    @property
    def _stage(self) -> Stage:
        return self._plan[self._at]

    @property
    def _work(self) -> int:
        return work(self._plan, self.trainer.step)

    def _reached(self) -> tuple[int, Path | None]:
        """The last stage of which every member has a checkpoint, and where; else the first."""
        for at in reversed(range(len(self._plan))):
            slot = self._restarts.slot([one.run_id for one in self._trunks(at)])
            if slot is not None:
                return at, slot
        return 0, None

    def _trainer(self, slot: Path | None) -> Trainer:
        """Of the present stage, from the checkpoints in a slot or from the beginning."""
        trunks = self._trunks(self._at)
        if slot is None:
            return Trainer(self._config, self._data, self._names, trunks, self._device)
        return Trainer.resume(self._config, self._data, self._names, trunks, self._device, slot)

    def _trunks(self, at: int) -> list[Member]:
        """The members of a stage; in the last one the runs themselves."""
        first = [self._members[heirs[0]] for heirs in self._plan[at].heirs]
        if at == len(self._plan) - 1:
            return first
        return [replace(one, run_id=trunk_name(one.run_id, at)) for one in first]

    def _trunk_of(self, index: int) -> int:
        """The place in the trainer of what run `index` goes through now."""
        return next(at for at, heirs in enumerate(self._stage.heirs) if index in heirs)

    def _branch(self) -> None:
        """Go on from the trunks to the next stage; the old weights are let go before."""
        trunks, nexts = self._trunks(self._at), self._plan[self._at + 1].heirs
        parents = [self._trunk_of(heirs[0]) for heirs in nexts]
        self._at += 1
        names = [one.run_id for one in self._trunks(self._at)]
        slot = self._restarts.branch(self.trainer, list(zip(parents, names, strict=True)))
        del self.trainer
        self.trainer = self._trainer(slot)
        for one in trunks:
            self._restarts.clear(one.run_id)


def _way(member: Member, steps: int) -> Way | None:
    """What a member goes through; None where its controller decides on the way."""
    if not isinstance(member.controller, Static):
        return None
    text = None if member.pools is None else tuple(sorted(member.pools.items()))
    schedule = [(part, mixture.tobytes()) for part, mixture in member.controller.schedule]
    return Way.of((member.seed, text), schedule, steps)
