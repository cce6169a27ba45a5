"""`mixopt calibrate`: find the proxies' learning rate on the natural mixture, before `sample`."""

from __future__ import annotations

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, progress, say, table


def calibrate(
    folder: str = FOLDER,
    anyway: bool = typer.Option(
        False, "--anyway", help="even though runs are planned at the present rate"
    ),
    workers: int = typer.Option(None, min=1, help="processes; default: one a core, or one a GPU"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Train the natural mixture at half the rate, the rate and twice it; write the best one."""
    from mixopt.experiment import Experiment
    from proxies.calibration import calibrate

    with progress(quiet) as report:
        found = calibrate(
            Experiment(folder),
            anyway=anyway,
            workers=workers,
            progress=lambda now: report("calibrating", now.flops_done, now.flops_total),
        )
    if as_json:
        emit(found.to_json())
        return
    rows = [
        [f"{one.rate:.3g}", "diverged" if one.score is None else f"{one.score:.4f}"]
        for one in found.points
    ]
    table("the natural mixture", ["learning rate", f"mean {found.measure}"], rows)
    if found.inside:
        print(f"learning rate {found.rate:.3g}: rates on both sides are worse")
    else:
        print(
            f"learning rate {found.rate:.3g}: the best so far lies at the end of what was tried, "
            "the same command goes on from there"
        )
    if found.confirm_rate is not None:
        say(
            f"note: the larger proxy of [confirm] would train at {found.rate:.3g} too, by the rule "
            f"it takes {found.confirm_rate:.3g}: write `training = {{learning_rate = "
            f"{found.confirm_rate:.3g}}}` there",
            quiet,
        )
    what = "wrote it to" if found.written else "it stands in"
    say(f"{what} {folder}/proxy.toml, [training]", quiet)
