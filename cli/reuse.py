"""`mixopt reuse`: keep the shares of what did not change since an older study."""

from __future__ import annotations

import typer

from cli.screen import JSON, QUIET, emit, say, table


def reuse(
    old: str = typer.Argument(..., help="the folder of the older study, with a proposal"),
    new: str = typer.Argument(..., help="the folder of the new one, with its own space.toml"),
    objective: str = typer.Option(None, help="of the old proposal; default: its first"),
    mixture: str = typer.Option(None, help="of the old proposal; default: its first"),
    revised: list[str] = typer.Option([], help="a domain whose text is another now; repeatable"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Tie the domains that did not change, and say what is run anew and what that saves."""
    from mixopt.experiment import Experiment
    from mixopt.stages.reuse import reuse_study

    done = reuse_study(Experiment(old), Experiment(new), objective, mixture, revised)
    if as_json:
        emit(done.to_json())
        return
    kept, change = done.kept, done.kept.change
    said = [
        ["kept, tied to each other", ", ".join(kept.shares)],
        ["added", ", ".join(change.added)],
        ["revised", ", ".join(change.revised)],
        ["removed", ", ".join(change.removed)],
        ["studied", ", ".join(kept.free)],
    ]
    table(
        f"against {old}, {done.mixture} of {done.objective}",
        ["", "domains"],
        [line for line in said if line[1]],
    )
    print(
        f"{kept.columns} columns in place of {len(kept.shares) + len(kept.free)}: "
        f"{kept.runs} runs in place of {kept.runs_without}, {kept.runs_without - kept.runs} saved"
    )
    say(f"tied in {new}/space.toml; next: mixopt sample {new} -n {kept.runs}", quiet)
