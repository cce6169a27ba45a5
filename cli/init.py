"""`mixopt init`: write the two files of an experiment, with comments that teach."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.screen import JSON, QUIET, emit, say


def init(
    folder: str = typer.Argument(..., help="the experiment's new folder"),
    source: str = typer.Option(
        ..., "--from", help="a corpus folder (one folder a domain), or a domains.csv"
    ),
    target_tokens: float = typer.Option(
        None, min=1.0, help="training tokens of the full-size run; caps follow from it"
    ),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Write space.toml and proxy.toml for a corpus."""
    from mixopt.stages.init import init_study

    written = init_study(Path(folder), Path(source), target_tokens)
    if as_json:
        emit(written.to_json())
        return
    say(f"wrote {written.space} ({len(written.domains)} domains) and {written.proxy}", quiet)
    step = f"prepare {folder}" if written.has_text else f"sample {folder} -n 24"
    say(f"read them, then: mixopt {step}", quiet)
