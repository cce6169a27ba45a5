"""import: a swarm that was trained elsewhere becomes an experiment, or joins one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.exchange.tables import ImportResult, Scale, check_agreement, imported_runs
from mixopt.experiment import Experiment
from mixopt.files import write_atomic


@dataclass(frozen=True)
class Imported:
    """What came in."""

    runs: int
    new: int
    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    renaming: Mapping[str, str]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The import for machines."""
        return {
            "runs": self.runs,
            "new": self.new,
            "domains": list(self.domains),
            "metrics": list(self.metrics),
            "renaming": dict(self.renaming),
            "notes": list(self.notes),
        }


def import_study(
    folder: Path,
    mixtures: Path,
    metrics: Path | None,
    *,
    weights: str | None = None,
    metric_columns: str | None = None,
    id: str | None = None,
    scale: Scale | str | None = None,
    dialect: str = "generic",
) -> Imported:
    """Add the runs of a CSV pair to the study in `folder`, which is made where there is none.

    Runs that the table holds already are not added again. Raises DataError for what cannot be read
    and for runs that contradict the table.
    """
    exp = Experiment(folder)
    is_new = not (folder / "space.toml").exists()
    found = imported_runs(
        mixtures,
        metrics,
        weights=weights,
        metric_columns=metric_columns,
        id=id,
        scale=scale,
        dialect=dialect,
        known=None if is_new else exp.space.names,
    )
    if is_new:
        write_atomic(folder / "space.toml", _space_text(found, mixtures))
    existing = exp.runs()
    check_agreement(existing, found.runs)
    held = {run.id: run for run in existing}
    new = [run for run in found.runs if not _holds(held.get(run.id), run)]
    if new:
        exp.append(new)
    return Imported(
        runs=len(found.runs),
        new=len(new),
        domains=found.domains,
        metrics=found.metrics,
        renaming=found.renaming,
        notes=_notes(exp, found),
    )


def _holds(held: Any, run: Any) -> bool:
    """Whether the table has all that an imported run would tell."""
    return held is not None and set(run.metrics) <= set(held.metrics)


def _notes(exp: Experiment, found: ImportResult) -> tuple[str, ...]:
    """What a reader should know about the import."""
    notes = []
    if found.renormalised == len(found.runs):
        notes.append(
            f"no mixture summed to 1 exactly, all were renormalised: if one of these columns is no "
            f"share, name the others with --weights: {', '.join(found.domains)}"
        )
    elif found.renormalised:
        notes.append(
            f"{found.renormalised} mixtures missed a sum of 1 by at most 0.01, renormalised"
        )
    if found.unmeasured:
        notes.append(f"{found.unmeasured} mixtures have no metrics and count as planned")
    if not any(spec.tokens for spec in exp.space_file.domain.values()):
        notes.append(
            "token counts are unknown: there are no caps and the prior is uniform "
            f"([domain.NAME] tokens in {exp.folder / 'space.toml'} changes that)"
        )
    undeclared = found.undeclared(exp.space_file.metrics)
    if undeclared:
        notes.append(
            f"say whether these rise or fall, under [metrics] in {exp.folder / 'space.toml'}: "
            + ", ".join(undeclared)
        )
    return tuple(notes)


def _space_text(found: ImportResult, mixtures: Path) -> str:
    domains = "".join(
        f"[domain.{json.dumps(name)}]\n# tokens = 1_000_000_000\n\n" for name in found.domains
    )
    undeclared = found.undeclared({})
    lines = ["[metrics]", *(f'{json.dumps(name)} = "up"   # or "down"' for name in undeclared)]
    metrics = "".join(f"# {line}\n" for line in lines) if undeclared else ""
    over = json.dumps(list(found.metrics))
    kind = 'kind = "absolute"   # ratios need metrics that fall\n' if undeclared else ""
    return (
        f"# Made by `mixopt import` from {mixtures.name}. With [target] tokens and the domains'\n"
        "# unique tokens, caps on repetition follow.\n\n"
        f"[target]\n# tokens = 1_000_000_000_000\n\n{domains}{metrics}\n"
        f"[objective.mean]\n{kind}over = {over}\n"
    )
