"""export: a mixture for the user's trainer, read back and checked; or the planned runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import ConfigError, nearest
from mixopt.exchange import make_format
from mixopt.exchange.base import Decision
from mixopt.exchange.base import export as checked_text
from mixopt.exchange.planned import write_planned
from mixopt.files import file_digest, write_atomic
from mixopt.stages.propose import read_proposal

if TYPE_CHECKING:
    from mixopt.experiment import Experiment


@dataclass(frozen=True)
class Exported:
    """What was written, and how sure the study is of it."""

    path: Path
    objective: str
    mixture: str
    shares: Mapping[str, float]
    verdict: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The export for machines."""
        return {
            "path": str(self.path),
            "objective": self.objective,
            "mixture": self.mixture,
            "shares": dict(self.shares),
            "verdict": dict(self.verdict),
        }


def export_mixture(
    exp: Experiment, to: str, path: Path, objective: str | None, mixture: str | None
) -> Exported:
    """Write one mixture of the proposal in the format called `to`.

    `objective` defaults to the first of space.toml, `mixture` to its first proposal. Raises
    StaleError when the proposal is behind the law, or the law behind the table.
    """
    document = read_proposal(exp)
    goal = _chosen("objective", objective, list(document["objectives"]))
    told = document["objectives"][goal]
    entries = {entry["name"]: entry for entry in told["entries"]}
    proposals = [name for name, entry in entries.items() if entry["role"] == "proposal"]
    name = _chosen("mixture", mixture, list(entries), proposals[0])
    entry = entries[name]
    text = checked_text(_decision(exp, f"{goal}:{name}", entry), make_format(to))
    write_atomic(path, text)
    verdict = _confirmed(exp, goal) or told["verdict"]
    return Exported(path, goal, name, entry["shares"], verdict)


def export_planned(exp: Experiment, to: str, path: Path) -> int:
    """Write the planned runs for another trainer as `csv` or `json` lines; returns how many."""
    runs = exp.runs()
    write_atomic(path, write_planned(runs, to))
    return sum(run.status == "planned" for run in runs)


def _decision(exp: Experiment, name: str, entry: Mapping[str, Any]) -> Decision:
    """A mixture of the ranking with what its reader must know."""
    space = exp.space
    files = ("space.toml", "law.json", "proposal.json", "data/manifest.json")
    hashes = {
        item: file_digest(exp.folder / item) for item in files if (exp.folder / item).exists()
    }
    known = {key: value for key, value in entry["epochs"].items() if value is not None}
    return Decision(
        name=name,
        schedule=space.schedule(np.array(entry["row"])),
        target_tokens=space.target_tokens,
        epochs=known,
        caps=dict(zip(space.names, space.caps.tolist())),
        provenance=hashes,
    )


def _confirmed(exp: Experiment, objective: str) -> dict[str, Any] | None:
    """The verdict of `confirm` on an objective, where it was run for this proposal."""
    from mixopt.stages.confirm import read_confirmation

    found = read_confirmation(exp)
    return None if found is None else found["objectives"][objective]["verdict"]


def _chosen(kind: str, name: str | None, known: Sequence[str], default: str | None = None) -> str:
    if name is None:
        return default or known[0]
    if name not in known:
        raise ConfigError(f"the proposal has no {kind} called {name!r}, {nearest(name, known)}")
    return name
