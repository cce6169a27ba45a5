"""import: a swarm that was trained elsewhere becomes an experiment, or joins one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.errors import DataError
from mixopt.exchange.priors import Priors, read_priors
from mixopt.exchange.tables import ImportResult, Scale, check_agreement, imported_runs
from mixopt.experiment import Experiment
from mixopt.files import write_atomic
from mixopt.table import FALLING


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
    priors: Path | None = None,
) -> Imported:
    """Add the runs of a CSV pair to the study in `folder`, which is made where there is none.

    Runs that the table holds already are not added again. `priors` is a file of Olmix with token
    counts, natural shares and caps, for a study that is made here. Raises DataError for what
    cannot be read and for runs that contradict the table.
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
    known = Priors() if priors is None else read_priors(priors, found.domains)
    if is_new:
        write_atomic(folder / "space.toml", _space_text(found, mixtures, known))
    elif priors is not None:
        raise DataError(f"{folder / 'space.toml'} is there already, write the priors into it")
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
        notes=(*_notes(exp, found, is_new), *known.notes),
    )


def _holds(held: Any, run: Any) -> bool:
    """Whether the table has all that an imported run would tell."""
    return held is not None and set(run.metrics) <= set(held.metrics)


def _notes(exp: Experiment, found: ImportResult, is_new: bool) -> tuple[str, ...]:
    """What a reader should know about the import."""
    notes = [f"left out: {sentence}" for sentence in found.left_out]
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
    undeclared = found.undeclared(exp.directions)
    if undeclared:
        notes.append(
            f"say whether these rise or fall, under [metrics] in {exp.folder / 'space.toml'}: "
            + ", ".join(undeclared)
        )
    apart = [name for name in found.metrics if name not in _averaged(found)]
    if is_new and apart:
        notes.append(
            f"left out of [objective.mean], whose other metrics are losses: {', '.join(apart)} "
            f'(to include them, name them in its over and set kind = "absolute" in '
            f"{exp.folder / 'space.toml'})"
        )
    return tuple(notes)


def _averaged(found: ImportResult) -> tuple[str, ...]:
    """What the default objective is the mean of: the losses, or all metrics where none is one.

    A gain in accuracy and one in a loss have no common unit; how many sd of the one are worth one
    of the other is for the user to say.
    """
    losses = [name for name in found.metrics if name.partition("/")[0] in FALLING]
    return tuple(losses) or found.metrics


def _space_text(found: ImportResult, mixtures: Path, priors: Priors) -> str:
    domains = "".join(_domain_text(name, priors) for name in found.domains)
    undeclared = found.undeclared({})
    averaged = _averaged(found)
    over = json.dumps(list(averaged))
    directed = {*undeclared, *found.directions} & {*averaged}
    kind = 'kind = "absolute"   # ratios need metrics that fall\n' if directed else ""
    total = priors.target_tokens
    target = "# tokens = 1_000_000_000_000" if total is None else f"tokens = {total:.0f}"
    return (
        f"# Made by `mixopt import` from {mixtures.name}. With [target] tokens and the domains'\n"
        "# unique tokens, caps on repetition follow.\n\n"
        f"[target]\n{target}\n\n{domains}{_prior_text(priors)}{_metrics_text(found, undeclared)}\n"
        f"[objective.mean]\n{kind}over = {over}\n"
    )


def _domain_text(name: str, priors: Priors) -> str:
    """A domain's table, with its tokens and epochs where they are known."""
    tokens = priors.tokens.get(name)
    lines = [f"[domain.{json.dumps(name)}]"]
    lines.append("# tokens = 1_000_000_000" if tokens is None else f"tokens = {tokens:.0f}")
    if priors.max_epochs is not None:
        lines.append(f"max_epochs = {priors.max_epochs!r}")
    return "\n".join(lines) + "\n\n"


def _prior_text(priors: Priors) -> str:
    """The prior, where it is not the shares of the tokens."""
    if priors.shares is None:
        return ""
    lines = [f"{json.dumps(name)} = {share!r}" for name, share in priors.shares.items()]
    return "[prior]\n" + "\n".join(lines) + "\n\n"


def _metrics_text(found: ImportResult, undeclared: Sequence[str]) -> str:
    """Directions of the metrics; a comment where only the user knows them."""
    if found.directions:
        lines = [f'{json.dumps(name)} = "{way}"' for name, way in found.directions.items()]
        return "\n".join(["[metrics]", *lines, ""])
    lines = ["[metrics]", *(f'{json.dumps(name)} = "up"   # or "down"' for name in undeclared)]
    return "".join(f"# {line}\n" for line in lines) if undeclared else ""
