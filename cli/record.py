"""`mixopt record`: write down the metrics of a planned run that was trained elsewhere."""

from __future__ import annotations

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, say


def record(
    folder: str = FOLDER,
    run: str = typer.Argument(..., help="id or name of a planned run"),
    file: str = typer.Argument(..., help="metrics: JSON {name: number} or CSV name,value"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Record the metrics of a run that your own trainer trained."""
    from pathlib import Path

    from mixopt.exchange.tables import read_metrics
    from mixopt.experiment import Experiment

    done = Experiment(folder).record(run, read_metrics(Path(file)))
    if as_json:
        emit({"id": done.id, "name": done.name, "metrics": dict(done.metrics)})
        return
    say(f"recorded {len(done.metrics)} metrics of {done.name or done.id}", quiet)
