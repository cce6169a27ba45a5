"""`mixopt init`: write the two files of an experiment, with comments that teach."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.screen import JSON, QUIET, emit, say


def init(
    folder: str = typer.Argument(..., help="the experiment's new folder"),
    source: str = typer.Option(
        None, "--from", help="a corpus: a folder, or a file of text, for each domain"
    ),
    domains: str = typer.Option(
        None, help="a CSV: name, and any of path, tokens, group, max_epochs, train, ..."
    ),
    levels: int = typer.Option(
        1, min=1, help="levels of folders with --from; 2: web/news is the domain web:news"
    ),
    target_tokens: float = typer.Option(
        None, min=1.0, help="training tokens of the full-size run; caps follow from it"
    ),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Write space.toml and proxy.toml for a corpus."""
    from mixopt.stages.init import init_study

    if (source is None) == (domains is None):
        raise typer.BadParameter("say where the text is: either --from CORPUS or --domains CSV")
    written = init_study(Path(folder), Path(source or domains), target_tokens, levels)
    if as_json:
        emit(written.to_json())
        return
    say(f"wrote {written.space} ({len(written.domains)} domains) and {written.proxy}", quiet)
    for note in written.notes:
        say(f"assumed: {note}", quiet)
    step = f"prepare {folder}" if written.has_text else f"sample {folder} -n 24"
    say(f"read them, then: mixopt {step}", quiet)
