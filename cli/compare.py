"""`mixopt compare`: methods that move the mixture, their replays and baselines, side by side."""

from __future__ import annotations

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, rounded, say, table


def compare(
    folder: str = FOLDER,
    objective: str = typer.Option(None, help="what to compare; default: the first of space.toml"),
    against: str = typer.Option("uniform", help="the method that the others are held against"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Compare controlled runs, static replays of their mean, and baselines, on paired seeds."""
    from mixopt.experiment import Experiment
    from mixopt.stages.compare import sentence

    report = Experiment(folder).compare(objective, against)
    if as_json:
        emit(report.to_json())
        return
    rows = []
    for line in report.lines:
        se = line.se or 0.0
        unknown = "-"
        rows.append(
            [
                line.name,
                str(line.runs),
                rounded(line.objective, report.noise or 0.0),
                unknown if line.difference is None else rounded(line.difference, se),
                unknown if line.se is None else rounded(line.se, line.se),
                unknown if line.upper is None else rounded(line.upper, se),
                f"{line.worst:.3f}",
                unknown if line.flops is None else f"{line.flops:.2f}",
            ]
        )
    header = [
        "method",
        "runs",
        report.objective,
        f"minus {report.against}",
        "se",
        "below, 95 %",
        "worst domain",
        "FLOPs",
    ]
    table(f"{report.objective}, lower is better, {report.blocks} seeds", header, rows)
    say(sentence(report, report.lines), quiet)
