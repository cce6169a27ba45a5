"""`mixopt predict`: what the law says of mixtures of your own."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, rounded, say, table


def predict(
    folder: str = FOLDER,
    mixtures: Path = typer.Option(..., help="CSV: id and a column of shares for each domain"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Predict the metrics of given mixtures, each with its standard deviation."""
    from mixopt.experiment import Experiment
    from mixopt.stages.predict import predict_file

    found = predict_file(Experiment(folder), mixtures)
    if as_json:
        emit(found.to_json())
        return
    rows = [
        [name, *(f"{rounded(mean, sd)} ± {rounded(sd, sd)}" for mean, sd in values.values())]
        for name, values in found.mixtures.items()
    ]
    table(f"predicted by {found.law} (± one sd of the mean)", ["mixture", *found.metrics], rows)
    for name in found.outside:
        say(f"note: {name} lies outside the limits: {found.outside[name]}", quiet)
