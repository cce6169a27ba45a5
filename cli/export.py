"""`mixopt export`: the winner for your trainer, or the planned runs for your own proxies."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, say


def export(
    folder: str = FOLDER,
    to: str = typer.Option(..., "--to", help="json or megatron; csv or json with --runs"),
    out: Path = typer.Option(..., "-o", help="file to write"),
    runs: str = typer.Option(None, help="planned: the runs to train elsewhere, not a mixture"),
    objective: str = typer.Option(None, help="default: the first of space.toml"),
    mixture: str = typer.Option(None, help="a name of the ranking; default: the first proposal"),
    bytes_per_token: Path = typer.Option(
        None, help="a CSV (name,bytes_per_token) where the trainer's tokenizer is not the target's"
    ),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Write a mixture in the format of a trainer; the file is read back and checked."""
    from mixopt.experiment import Experiment
    from mixopt.stages.export import export_mixture, export_planned, read_bytes

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
    done = export_mixture(exp, to, out, objective, mixture, trainer)
    if as_json:
        emit(done.to_json())
        return
    say(f"{done.objective}: {done.verdict['sentence']}", quiet)
    say(f"wrote {done.mixture} of {done.objective} to {out} ({to}, read back and checked)", quiet)
    say_unit(bytes_per_token, quiet)


def say_unit(bytes_per_token: Path | None, quiet: bool) -> None:
    """Whose tokens the shares are in, where they are not the target's."""
    if bytes_per_token is not None:
        say(f"shares are in the trainer's tokens, by the bytes a token of {bytes_per_token}", quiet)
