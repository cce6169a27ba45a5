"""`mixopt export`: the winner for your trainer, or the planned runs for your own proxies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, say, table

if TYPE_CHECKING:
    from mixopt.stages.export import Exported


def export(
    folder: str = FOLDER,
    to: str = typer.Option(
        ..., "--to", help="a format, see docs/export.md; csv or json with --runs"
    ),
    out: Path = typer.Option(..., "-o", help="file to write"),
    runs: str = typer.Option(None, help="planned: the runs to train elsewhere, not a mixture"),
    objective: str = typer.Option(None, help="default: the first of space.toml"),
    mixture: str = typer.Option(None, help="a name of the ranking; default: the first proposal"),
    run: str = typer.Option(None, help="instead, what the run of this id or name was trained on"),
    phases: int = typer.Option(3, min=1, help="at most so many phases of --run"),
    bytes_per_token: Path = typer.Option(
        None, help="a CSV (name,bytes_per_token) where the trainer's tokenizer is not the target's"
    ),
    sources: Path = typer.Option(
        None, help="a CSV (name, and any of path,validation,tokens,documents) for the trainer"
    ),
    samples: str = typer.Option(None, help="what the trainer draws: documents or sequences"),
    steps: int = typer.Option(None, min=1, help="steps of the training, for phases"),
    batch: int = typer.Option(None, min=1, help="sequences a step, for levanter's phases"),
    phase: int = typer.Option(None, min=1, help="one phase of a schedule, from 1"),
    check_paths: bool = typer.Option(False, help="a path that is not here is an error"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Write a mixture in the format of a trainer; the file is read back and checked."""
    from mixopt.experiment import Experiment
    from mixopt.stages.export import export_mixture, export_planned, read_bytes
    from mixopt.stages.export_run import export_run

    exp = Experiment(folder)
    trainer = None if bytes_per_token is None else read_bytes(bytes_per_token)
    if runs is not None:
        if runs != "planned":
            raise typer.BadParameter(f"--runs takes 'planned', got {runs!r}")
        count = export_planned(exp, to, out, trainer)
        if as_json:
            emit({"path": str(out), "runs": count})
        else:
            say(f"wrote {count} planned runs to {out}", quiet)
            say_unit(bytes_per_token, quiet)
        return
    options = {"samples": samples, "steps": steps, "batch": batch}
    told = {name: value for name, value in options.items() if value is not None}
    common = {"sources": sources, "phase": phase, "check_paths": check_paths}
    if run is not None:
        done = export_run(exp, to, out, run, phases, trainer, settings=told, **common)
    else:
        done = export_mixture(exp, to, out, objective, mixture, trainer, settings=told, **common)
    if as_json:
        emit(done.to_json())
        return
    say(f"{done.objective}: {done.verdict['sentence']}", quiet)
    show(done)
    for note in done.notes:
        say(f"note: {note}", quiet)
    say(f"wrote {done.mixture} of {done.objective} to {out} ({to}, read back and checked)", quiet)
    say_unit(bytes_per_token, quiet)


def show(done: Exported) -> None:
    """What the trainer will make of the file."""
    from mixopt.exchange.base import TOLERANCE

    phased = max(row.phase for row in done.rows) > 1
    rows = [
        [
            f"{row.domain} ({row.phase})" if phased else row.domain,
            f"{100 * row.wanted:.3f}",
            f"{100 * row.read:.3f}",
            "?" if row.epochs is None else f"{row.epochs:.3g}",
        ]
        for row in done.rows
        if row.wanted
    ]
    first = "domain (phase)" if phased else "domain"
    table("what the trainer reads", [first, "wanted %", "trainer reads %", "epochs"], rows)
    without = [row.domain for row in done.rows if not row.wanted and row.phase == 1]
    if without and not phased:
        say(f"left out, without a share: {', '.join(without)}")
    if done.error > TOLERANCE:
        say(f"the trainer counts in {done.counts}: shares differ by up to {done.error:.1e}")


def say_unit(bytes_per_token: Path | None, quiet: bool) -> None:
    """Whose tokens the shares are in, where they are not the target's."""
    if bytes_per_token is not None:
        say(f"shares are in the trainer's tokens, by the bytes a token of {bytes_per_token}", quiet)
