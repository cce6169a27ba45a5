"""export: a mixture for the user's trainer, read back and checked; or the planned runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.corpus import corpus_from_csv
from mixopt.errors import ConfigError, DataError, nearest
from mixopt.exchange import make_format
from mixopt.exchange.base import Decision, Format, Told, mean_shares
from mixopt.exchange.base import export as checked
from mixopt.exchange.planned import write_planned
from mixopt.exchange.recount import recount, recount_schedule
from mixopt.exchange.sheet import few
from mixopt.exchange.sources import missing_files, study_sources, with_sheet
from mixopt.files import file_digest, write_atomic
from mixopt.runs import held_phases
from mixopt.stages.propose import read_mixtures
from mixopt.tokens import Bytes, target_bytes

if TYPE_CHECKING:
    from mixopt.experiment import Experiment


@dataclass(frozen=True)
class Exported:
    """What was written, what the trainer will make of it, and how sure the study is of it."""

    path: Path
    objective: str
    mixture: str
    shares: Mapping[str, float]
    """As written: in tokens of the target's tokenizer, or of the trainer's."""
    unit: str
    counts: str
    """What the numbers of the file count."""
    rows: tuple[Told, ...]
    """Every domain as the trainer will read it."""
    error: float
    """Largest difference of a share from what was decided."""
    notes: tuple[str, ...]
    verdict: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The export for machines."""
        return {
            "path": str(self.path),
            "objective": self.objective,
            "mixture": self.mixture,
            "shares": dict(self.shares),
            "unit": self.unit,
            "counts": self.counts,
            "trainer": [asdict(row) for row in self.rows],
            "error": self.error,
            "notes": list(self.notes),
            "verdict": dict(self.verdict),
        }


def export_mixture(
    exp: Experiment,
    to: str,
    path: Path,
    objective: str | None,
    mixture: str | None,
    trainer_bytes: Bytes | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    sources: Path | None = None,
    phase: int | None = None,
    check_paths: bool = False,
) -> Exported:
    """Write one mixture of the proposal in the format called `to`.

    `objective` defaults to the first of space.toml, `mixture` to its first proposal. With
    `trainer_bytes`, the bytes a token of a trainer that counts in other tokens than the target's,
    shares are written in its tokens. `settings` are the format's options; `sources` is a CSV of
    paths and counts that differ from what the study knows; `phase`, from 1, exports one phase of a
    schedule. Raises StaleError when the proposal is behind the law, or the law behind the table,
    and DataError where bytes a token are needed and unknown, for what the format cannot say, and,
    with `check_paths`, for paths that this machine does not have.
    """
    document = read_mixtures(exp)
    goal = _chosen("objective", objective, list(document["objectives"]))
    told = document["objectives"][goal]
    entries = {entry["name"]: entry for entry in told["entries"]}
    proposals = [name for name, entry in entries.items() if entry["role"] == "proposal"]
    name = _chosen("mixture", mixture, list(entries), proposals[0])
    form = make_format(to, settings)
    decision = _decision(exp, f"{goal}:{name}", entries[name], sources)
    return deliver(
        decision if phase is None else decision.phase(phase),
        form,
        path,
        recounted=None if trainer_bytes is None else (held_bytes(exp), trainer_bytes),
        check_paths=check_paths,
        objective=goal,
        mixture=name,
        verdict=_confirmed(exp, goal) or told["verdict"],
    )


def deliver(
    decision: Decision,
    form: Format,
    path: Path,
    *,
    recounted: tuple[Bytes, Bytes] | None,
    check_paths: bool,
    objective: str,
    mixture: str,
    verdict: Mapping[str, Any],
) -> Exported:
    """Write a decision, read it back, and say what its reader must know of the file.

    `recounted` are the bytes a token of the target's tokenizer and of a trainer's, to write shares
    in the latter's tokens.
    """
    if recounted is not None:
        decision = recount(decision, *recounted)
    notes = _path_notes(decision, form, check_paths)
    done = checked(decision, form)
    write_atomic(path, done.text)
    return Exported(
        path=path,
        objective=objective,
        mixture=mixture,
        shares=mean_shares(decision.schedule),
        unit=decision.unit,
        counts=form.unit,
        rows=done.rows,
        error=done.error,
        notes=(*done.notes, *notes),
        verdict=verdict,
    )


def export_planned(exp: Experiment, to: str, path: Path, trainer_bytes: Bytes | None = None) -> int:
    """Write the planned runs for another trainer as `csv` or `json` lines; returns how many.

    With `trainer_bytes` their shares are in the trainer's tokens, as in `export_mixture`.
    """
    runs = exp.runs()
    told = None
    if trainer_bytes is not None:
        told = partial(recount_schedule, held=held_bytes(exp), wanted=trainer_bytes)
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


def held_bytes(exp: Experiment) -> Bytes:
    """Bytes a token of the target's tokenizer by domain, where they are known."""
    return target_bytes(exp.space_file.domain, exp.manifest)


def _path_notes(decision: Decision, form: Format, check_paths: bool) -> tuple[str, ...]:
    """What is said of sources without a path, and of paths that this machine does not have.

    Raises DataError for the latter with `check_paths`.
    """
    if form.ending is None:
        return ()
    notes = []
    nameless = [name for name, source in decision.used.items() if source.path is None]
    if nameless:
        notes.append(f"no path is known of {few(nameless)}: the name stands in its place")
    if missing := missing_files(decision.used, form.ending):
        told = f"this machine has no {few([path + form.ending for path in missing])}"
        if check_paths:
            raise DataError(f"{told}: mend the path, or leave --check-paths out")
        notes.append(f"{told}: the trainer's must (--check-paths makes this an error)")
    return tuple(notes)


def _decision(exp: Experiment, name: str, entry: Mapping[str, Any], sheet: Path | None) -> Decision:
    """A mixture of the ranking with what its reader must know."""
    space = exp.space
    files = ("space.toml", "law.json", "proposal.json", "data/manifest.json")
    hashes = {
        item: file_digest(exp.folder / item) for item in files if (exp.folder / item).exists()
    }
    specs = exp.space_file.domain
    sources = study_sources(space.domains, specs, exp.folder, exp.manifest, held_bytes(exp))
    known = {key: value for key, value in entry["epochs"].items() if value is not None}
    return Decision(
        name=name,
        schedule=held_phases(space.schedule(np.array(entry["row"]))),
        target_tokens=space.target_tokens,
        epochs=known,
        caps=dict(zip(space.names, space.caps.tolist())),
        provenance=hashes,
        sources=sources if sheet is None else with_sheet(sources, sheet),
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
