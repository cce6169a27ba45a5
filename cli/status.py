"""`mixopt status`: what a study holds, what runs now, what failed and why."""

from __future__ import annotations

from cli.screen import FOLDER, JSON, QUIET, emit, say, table


def status(folder: str = FOLDER, as_json: bool = JSON, quiet: bool = QUIET) -> None:
    """Count runs by what planned them, and list failures with their reasons."""
    from mixopt.experiment import Experiment
    from mixopt.stages.status import status_of

    state = status_of(Experiment(folder))
    if as_json:
        emit(state.to_json())
        return
    header = ["planned by", "planned", "running", "finished", "diverged", "failed"]
    table(f"runs of {folder}", header, [[str(cell) for cell in row] for row in state.rows()])
    for name, error in state.errors.items():
        say(f"{name}: {error}", quiet)
    say(state.next_step, quiet)
