"""export_run: what a run was trained on, as few phases, for a trainer that has stages.

Of a controlled run it is the path that its controller took. Its mean shares, and so the tokens of
every domain, stay what they were, however few the phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.errors import DataError
from mixopt.exchange import make_format
from mixopt.exchange.base import Decision, Schedule
from mixopt.exchange.sources import study_sources, with_sheet
from mixopt.files import file_digest, read_json
from mixopt.online.schedule import few_phases
from mixopt.runs import Run
from mixopt.stages.export import Exported, deliver, held_bytes
from mixopt.tokens import Bytes

if TYPE_CHECKING:
    from mixopt.experiment import Experiment


def export_run(
    exp: Experiment,
    to: str,
    path: Path,
    run: str,
    phases: int,
    trainer_bytes: Bytes | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    sources: Path | None = None,
    phase: int | None = None,
    check_paths: bool = False,
) -> Exported:
    """Write the schedule of one run, by id or name, in at most `phases` phases.

    The rest is as in `export_mixture`. Raises DataError for a run that left no schedule: one that
    is not finished, or was controlled elsewhere.
    """
    found = exp.run(run)
    schedule = tuple(few_phases(run_schedule(exp, found), phases))
    form = make_format(to, settings)
    known = study_sources(
        exp.space.domains, exp.space_file.domain, exp.folder, exp.manifest, held_bytes(exp)
    )
    decision = Decision(
        name=f"run:{found.name or found.id}",
        schedule=schedule,
        target_tokens=exp.space.target_tokens,
        caps=dict(zip(exp.space.names, exp.space.caps.tolist())),
        provenance={"space.toml": file_digest(exp.folder / "space.toml"), "run": found.id},
        sources=known if sources is None else with_sheet(known, sources),
    )
    decision = replace(decision, epochs=decision.source_epochs() or {})
    return deliver(
        decision if phase is None else decision.phase(phase),
        form,
        path,
        recounted=None if trainer_bytes is None else (held_bytes(exp), trainer_bytes),
        check_paths=check_paths,
        objective="run",
        mixture=found.name or found.id,
        verdict={"sentence": "what one run was trained on: nothing says that it is better"},
    )


def run_schedule(exp: Experiment, run: Run) -> Schedule:
    """The phases that a run was trained on, in the target's tokens. DataError where unknown."""
    if run.schedule is not None:
        return run.schedule
    path = exp.folder / "curves" / f"{run.id}.schedule.json"
    if not path.exists():
        raise DataError(
            f"run {run.name or run.id} has left no schedule in {path}: train it to its end here"
        )
    return tuple((one["fraction"], one["shares"]) for one in read_json(path)["phases"])
