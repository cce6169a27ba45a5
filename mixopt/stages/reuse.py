"""reuse: tie what did not change since an older study, so that only what changed is run anew."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixopt.config import DomainSpec, read_space
from mixopt.errors import ConfigError, MixoptError, nearest
from mixopt.files import write_atomic
from mixopt.reuse import Reuse, compare, reuse
from mixopt.space import Space, space_from
from mixopt.stages.propose import read_mixtures

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

BEGIN = "# --- kept by `mixopt reuse`: delete to the end of this part to free the shares again"
END = "# --- end of what is kept"


@dataclass(frozen=True)
class Reused:
    """What was kept of which mixture."""

    kept: Reuse
    objective: str
    mixture: str

    def to_json(self) -> dict[str, Any]:
        """The decision for machines."""
        change = self.kept.change
        return {
            "objective": self.objective,
            "mixture": self.mixture,
            "kept": dict(self.kept.shares),
            "added": list(change.added),
            "removed": list(change.removed),
            "revised": list(change.revised),
            "studied": list(self.kept.free),
            "runs": self.kept.runs,
            "runs_without": self.kept.runs_without,
        }


def reuse_study(
    old: Experiment,
    new: Experiment,
    objective: str | None,
    mixture: str | None,
    revised: Sequence[str] = (),
) -> Reused:
    """Tie the domains of `new` that are as in `old` at the shares of a mixture of its proposal.

    The ties are constraints at the end of the new `space.toml`; asked again, they are replaced.
    Raises ConfigError for unknown names, InfeasibleError where the new limits leave no room.
    """
    document = read_mixtures(old)
    goal = _chosen("objective", objective, list(document["objectives"]))
    entries = {entry["name"]: entry for entry in document["objectives"][goal]["entries"]}
    picks = [name for name, entry in entries.items() if entry["role"] == "proposal"]
    name = _chosen("mixture", mixture, [*picks, *(x for x in entries if x not in picks)])
    change = compare(_located(old), _located(new), revised)
    made = reuse(change, entries[name]["shares"])
    _write(new, made)
    return Reused(made, goal, name)


def _located(exp: Experiment) -> dict[str, DomainSpec]:
    """The domains with their paths as seen from anywhere."""
    return {
        name: spec
        if spec.path is None
        else spec.model_copy(update={"path": str((exp.folder / spec.path).resolve())})
        for name, spec in exp.space_file.domain.items()
    }


def _write(exp: Experiment, made: Reuse) -> None:
    """Put the ties into `space.toml`, or leave it as it was."""
    path = exp.folder / "space.toml"
    before = path.read_text(encoding="utf-8")
    own = re.sub(f"\n*{re.escape(BEGIN)}.*?{re.escape(END)}\n", "\n", before, flags=re.DOTALL)
    lines = [
        f"[[constraint]]\nname = {json.dumps(tie.name)}\nmin = {tie.minimum}\nmax = {tie.maximum}\n"
        f"coefficients = {_inline(tie.coefficients)}\n"
        for tie in made.ties()
    ]
    write_atomic(path, own.rstrip("\n") + "\n\n" + "\n".join([BEGIN, *lines, END]) + "\n")
    try:
        space_from(read_space(path), _counts(exp.space))
    except MixoptError:
        write_atomic(path, before)
        raise


def _counts(space: Space) -> dict[str, float]:
    """Tokens of the domains as the study knows them."""
    return {
        name: count for name, count in zip(space.names, space.tokens.tolist()) if count == count
    }


def _inline(values: Mapping[str, float]) -> str:
    pairs = (f"{json.dumps(name)} = {value!r}" for name, value in values.items())
    return "{" + ", ".join(pairs) + "}"


def _chosen(kind: str, name: str | None, known: Sequence[str]) -> str:
    if name is None:
        return known[0]
    if name not in known:
        raise ConfigError(f"the proposal has no {kind} called {name!r}, {nearest(name, known)}")
    return name
