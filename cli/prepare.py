"""`mixopt prepare`: text into token files, by domain and split."""

from __future__ import annotations

from typing import Any

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
    header, rows = _rows(manifest["domains"])
    table(f"{folder}/data", header, rows)


def _rows(domains: dict[str, dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A row for each domain; what is the same for all of them has no column."""
    columns = {
        "train tokens": lambda part: _tokens(part, "train"),
        "validation": lambda part: _tokens(part, "validation"),
        "test": lambda part: _tokens(part, "test"),
        "full pool": lambda part: count(part["pool"]["tokens"]),
        "read": lambda part: f"{100 * part['read']:.3g} %",
        "bytes/token": lambda part: _number(part["bytes_per_token"]),
        "target's": lambda part: _number(part.get("target_bytes_per_token")),
        "duplicates": lambda part: str(part["duplicates"]),
        "nearly": lambda part: str(part["near_duplicates"]),
    }
    if all(part["read"] == 1.0 for part in domains.values()):
        del columns["read"]
    if not any("target_bytes_per_token" in part for part in domains.values()):
        del columns["target's"]
    if not any(part["near_duplicates"] for part in domains.values()):
        del columns["nearly"]
    rows = [[name, *(told(part) for told in columns.values())] for name, part in domains.items()]
    return ["domain", *columns], rows


def _tokens(part: dict[str, Any], split: str) -> str:
    return count(part["splits"][split]["tokens"]) if split in part["splits"] else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
