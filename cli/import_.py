"""`mixopt import`: CSV tables of a swarm that was trained elsewhere."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, say, table
from mixopt.exchange.dialects import DIALECTS


def import_(
    folder: str = FOLDER,
    mixtures: Path = typer.Option(..., help="CSV: a line for each run, a column for each domain"),
    metrics: Path = typer.Option(None, help="CSV: a line for each run, a column for each metric"),
    weights: str = typer.Option(None, help="pattern of the columns with shares, e.g. 'ratio_*'"),
    metric_columns: str = typer.Option(None, help="pattern of the columns with metrics"),
    id_column: str = typer.Option(None, "--id", help="column that joins the two files"),
    scale: str = typer.Option(None, help="parameters,active parameters,tokens of every run"),
    scale_column: str = typer.Option(None, help="column that holds the three"),
    dialect: str = typer.Option("generic", "--from", help=", ".join(DIALECTS)),
    priors: Path = typer.Option(None, help="Olmix's YAML or JSON: tokens, natural shares, caps"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Create a study from CSV files, or add runs to one; what is known is not added twice."""
    from mixopt.stages.importing import import_study

    if scale and scale_column:
        raise typer.BadParameter("give --scale or --scale-column, not both")
    done = import_study(
        Path(folder),
        mixtures,
        metrics,
        weights=weights,
        metric_columns=metric_columns,
        id=id_column,
        scale=scale_column or (_numbers(scale) if scale else None),
        dialect=dialect,
        priors=priors,
    )
    if as_json:
        emit(done.to_json())
        return
    if done.renaming and not quiet:
        rows = [[old, new] for old, new in done.renaming.items()]
        table("renamed", ["column", "is called"], rows)
    for note in done.notes:
        say(f"note: {note}", quiet)
    say(
        f"{done.new} of {done.runs} runs are new in {folder}: "
        f"{len(done.domains)} domains, {len(done.metrics)} metrics",
        quiet,
    )


def _numbers(text: str) -> tuple[float, float, float]:
    """The three numbers of --scale."""
    try:
        parameters, active, tokens = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"--scale takes three numbers with commas, got {text!r}"
        ) from error
    return parameters, active, tokens
