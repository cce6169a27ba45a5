"""`mixopt prepare`: text into token files, by domain and split."""

from __future__ import annotations

from cli.screen import FOLDER, JSON, QUIET, count, emit, progress, say, table


def prepare(folder: str = FOLDER, as_json: bool = JSON, quiet: bool = QUIET) -> None:
    """Tokenise the text of every domain that space.toml names; nothing is done twice."""
    from mixopt.experiment import Experiment
    from proxies.prepare import prepare_experiment

    stages: set[str] = set()

    def note(stage: str, done: int, total: int) -> None:
        stages.add(stage)
        report(stage, done, total)

    with progress(quiet) as report:
        manifest = prepare_experiment(Experiment(folder), note)
    if as_json:
        emit(manifest)
        return
    if stages == {"unchanged"}:
        say("text and settings are unchanged, nothing was done", quiet)
    for remark in manifest["warnings"]:
        say(f"note: {remark}", quiet)
    rows = [
        [
            name,
            *(
                count(part["splits"][split]["tokens"]) if split in part["splits"] else "-"
                for split in ("train", "validation", "test")
            ),
            count(part["pool"]["tokens"]),
            f"{part['bytes_per_token']:.2f}",
            str(part["duplicates"]),
        ]
        for name, part in manifest["domains"].items()
    ]
    header = [
        "domain",
        "train tokens",
        "validation",
        "test",
        "full pool",
        "bytes/token",
        "duplicates",
    ]
    table(f"{folder}/data", header, rows)
