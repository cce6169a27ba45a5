"""export: a mixture for the user's trainer, read back and checked; or the planned runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.corpus import corpus_from_csv
from mixopt.errors import ConfigError, DataError, nearest
from mixopt.exchange import make_format
from mixopt.exchange.base import Decision, Schedule
from mixopt.exchange.base import export as checked_text
from mixopt.exchange.planned import write_planned
from mixopt.exchange.recount import recount, recount_schedule
from mixopt.files import file_digest, write_atomic
from mixopt.stages.propose import read_proposal
from mixopt.tokens import Bytes, target_bytes

if TYPE_CHECKING:
    from mixopt.experiment import Experiment


@dataclass(frozen=True)
class Exported:
    """What was written, and how sure the study is of it."""

    path: Path
    objective: str
    mixture: str
    shares: Mapping[str, float]
    """As written: in tokens of the target's tokenizer, or of the trainer's."""
    unit: str
    verdict: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The export for machines."""
        return {
            "path": str(self.path),
            "objective": self.objective,
            "mixture": self.mixture,
            "shares": dict(self.shares),
            "unit": self.unit,
            "verdict": dict(self.verdict),
        }


def export_mixture(
    exp: Experiment,
    to: str,
    path: Path,
    objective: str | None,
    mixture: str | None,
    trainer_bytes: Bytes | None = None,
) -> Exported:
    """Write one mixture of the proposal in the format called `to`.

    `objective` defaults to the first of space.toml, `mixture` to its first proposal. With
    `trainer_bytes`, the bytes a token of a trainer that counts in other tokens than the target's,
    shares are written in its tokens. Raises StaleError when the proposal is behind the law, or the
    law behind the table, and DataError where bytes a token are needed and unknown.
    """
    document = read_proposal(exp)
    goal = _chosen("objective", objective, list(document["objectives"]))
    told = document["objectives"][goal]
    entries = {entry["name"]: entry for entry in told["entries"]}
    proposals = [name for name, entry in entries.items() if entry["role"] == "proposal"]
    name = _chosen("mixture", mixture, list(entries), proposals[0])
    entry = entries[name]
    decision = _decision(exp, f"{goal}:{name}", entry)
    if trainer_bytes is not None:
        decision = recount(decision, _held(exp), trainer_bytes)
    write_atomic(path, checked_text(decision, make_format(to)))
    verdict = _confirmed(exp, goal) or told["verdict"]
    shares = _mean_shares(decision.schedule)
    return Exported(path, goal, name, shares, decision.unit, verdict)


def export_planned(exp: Experiment, to: str, path: Path, trainer_bytes: Bytes | None = None) -> int:
    """Write the planned runs for another trainer as `csv` or `json` lines; returns how many.

    With `trainer_bytes` their shares are in the trainer's tokens, as in `export_mixture`.
    """
    runs = exp.runs()
    told = None
    if trainer_bytes is not None:
        told = partial(recount_schedule, held=_held(exp), wanted=trainer_bytes)
    write_atomic(path, write_planned(runs, to, told))
    return sum(run.status == "planned" for run in runs)


def read_bytes(path: Path) -> dict[str, float]:
    """Bytes a token by domain, from a CSV with the columns `name` and `bytes_per_token`.

    Raises DataError, with the line, for what is none.
    """
    found: dict[str, float] = {}
    for name, spec in corpus_from_csv(path).domains.items():
        if spec.bytes_per_token is None:
            raise DataError(f"{path}: expected bytes_per_token for {name!r}")
        found[name] = spec.bytes_per_token
    return found


def _held(exp: Experiment) -> Bytes:
    return target_bytes(exp.space_file.domain, exp.manifest)


def _mean_shares(schedule: Schedule) -> dict[str, float]:
    """Shares by domain over all phases."""
    names = dict.fromkeys(name for _, mixture in schedule for name in mixture)
    return {name: sum(part * mix.get(name, 0.0) for part, mix in schedule) for name in names}


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
