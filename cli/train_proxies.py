"""`mixopt train-proxies`: train what is planned, each run once; the same command resumes."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.screen import FOLDER, JSON, QUIET, count, duration, emit, progress, say, table


def train_proxies(
    folder: str = FOLDER,
    workers: int = typer.Option(None, min=1, help="processes; default: one a core, or one a GPU"),
    devices: str = typer.Option(None, help="GPUs to use, as in 0,1, or cpu; default: all visible"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Train every planned run exactly once."""
    import proxies
    from mixopt.errors import RunsFailedError
    from proxies.plateau import plateau
    from proxies.study import Study

    with progress(quiet) as report:
        summary = proxies.train(
            folder,
            workers=workers,
            on=None if devices is None else devices.split(","),
            progress=lambda now: report("training", now.flops_done, now.flops_total),
        )
    level = plateau(Study.open(Path(folder)))
    if as_json:
        emit({**summary.to_json(), "plateau": None if level is None else level.to_json()})
    elif not (summary.finished or summary.diverged or summary.failed or summary.left):
        say("every planned run is done, nothing was trained", quiet)
    else:
        table(
            "runs",
            ["finished now", "diverged", "failed", "left", "time", "tokens/s"],
            [
                [
                    str(summary.finished),
                    str(summary.diverged),
                    str(summary.failed),
                    str(summary.left),
                    duration(summary.seconds),
                    count(summary.tokens_per_second),
                ]
            ],
        )
    if level is not None and not as_json:
        print(level.sentence())
        if level.advice is not None:
            print(level.advice)
    if summary.failed:
        raise RunsFailedError(
            f"{summary.failed} runs failed: `mixopt status {folder}` says why, "
            "the others can be fitted"
        )
