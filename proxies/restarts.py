"""Restarts: the `checkpoints/` folder, two slots, so that a group always has one complete step.

The members of a group are written one by one, and a process can die in between. A group is saved
to the slot that does not hold its last complete step, which is deleted only afterwards. What runs
have in common is kept under the name of a trunk, which begins with that of its first run.
"""

from collections.abc import Sequence
from pathlib import Path

from proxies import checkpoint
from proxies.trainer import Trainer

_TRUNK = ".trunk"


def trunk_name(run_id: str, stage: int) -> str:
    """What the trunk of a stage is called, after the first run that goes through it."""
    return f"{run_id}{_TRUNK}{stage}"


class Restarts:
    """Checkpoints of runs under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._slots = (folder / "a", folder / "b")

    def slot(self, ids: Sequence[str]) -> Path | None:
        """Where all these runs stand at one step, the later of two; None where they do not."""
        found = [(step, slot) for slot in self._slots if (step := self._common_step(slot, ids))]
        return max(found)[1] if found else None

    def latest(self, run_id: str) -> int:
        """The step that a run can resume from, 0 for its beginning."""
        return max(self._common_step(slot, [run_id]) or 0 for slot in self._slots)

    def alike(self, ids: Sequence[str]) -> list[list[str]]:
        """The runs in parts that can go on together; in one part wherever possible."""
        if self.slot(ids) is not None:
            return [list(ids)]
        parts: dict[int, list[str]] = {}
        for run_id in ids:
            parts.setdefault(self.latest(run_id), []).append(run_id)
        return list(parts.values())

    def save(self, trainer: Trainer) -> None:
        """Write every member; DataError where the disk is full, the older step then remains."""
        ids = [member.run_id for member in trainer.members]
        old = self.slot(ids)
        new = self._slots[1] if old == self._slots[0] else self._slots[0]
        trainer.save(new)
        for run_id in ids:
            checkpoint.path_of(self._slots[1 - self._slots.index(new)], run_id).unlink(
                missing_ok=True
            )

    def branch(self, trainer: Trainer, heirs: Sequence[tuple[int, str]]) -> Path:
        """Write members, by their places, under the names of what goes on from them; the folder."""
        folder = self._slots[0]
        for index, name in heirs:
            trainer.save_as(folder, index, name)
        return folder

    def clear(self, run_id: str) -> None:
        """Forget a run, and the trunks that are named after it."""
        for slot in self._slots:
            checkpoint.path_of(slot, run_id).unlink(missing_ok=True)
            for path in slot.glob(f"{run_id}{_TRUNK}*"):
                path.unlink(missing_ok=True)

    def _common_step(self, slot: Path, ids: Sequence[str]) -> int | None:
        """The step at which all the runs stand in a slot."""
        steps = set()
        for run_id in ids:
            state = checkpoint.read_state(slot, run_id)
            steps.add(None if state is None else int(state["step"]))
        return steps.pop() if len(steps) == 1 else None
