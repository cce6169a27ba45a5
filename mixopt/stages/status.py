"""status: where a study stands, and the command that brings it on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mixopt.claims import Claims
from mixopt.runs import CALIBRATION

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

_COLUMNS = ("planned", "running", "finished", "diverged", "failed")


@dataclass(frozen=True)
class Status:
    """Runs by origin and state, the errors, and what to do next."""

    counts: dict[str, dict[str, int]]
    """origin -> state -> runs."""
    errors: dict[str, str]
    results: dict[str, bool]
    """Which result files exist."""
    next_step: str

    def rows(self) -> list[list[str | int]]:
        """A row for each origin, in the order of `planned running finished diverged failed`."""
        return [
            [origin, *(states.get(column, 0) for column in _COLUMNS)]
            for origin, states in self.counts.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """The status for machines."""
        return asdict(self)


def status_of(exp: Experiment) -> Status:
    """Read the table, the claims and the results of a study."""
    _ = exp.space_file  # a mistake in it is worth more than a next step
    runs = exp.runs()
    claims = Claims(exp.folder / "claims")
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        busy = run.status == "planned" and not claims.is_free(run.id)
        states = counts.setdefault(run.origin or "unknown", dict.fromkeys(_COLUMNS, 0))
        states["running" if busy else run.status] += 1
    results = {
        name: (exp.folder / name).exists()
        for name in ("data/manifest.json", "law.json", "proposal.json", "confirmation.json")
    }
    errors = {run.name or run.id: run.error for run in runs if run.error and not run.metrics}
    return Status(counts, errors, results, _next_step(exp, counts, results))


def how_to_train(exp: Experiment) -> str:
    """The commands that give planned runs their results: elsewhere where no data is prepared."""
    if exp.manifest is not None:
        return f"mixopt train-proxies {exp.folder}"
    return (
        f"mixopt export {exp.folder} --runs planned --to csv -o planned.csv, train them, "
        f"mixopt record {exp.folder} ID FILE"
    )


def _next_step(exp: Experiment, counts: dict[str, dict[str, int]], results: dict[str, bool]) -> str:
    """The first command whose result is missing."""
    folder = exp.folder
    waiting = sum(states["planned"] + states["running"] for states in counts.values())
    if set(counts) <= {CALIBRATION}:
        return f"nothing is planned yet: mixopt sample {folder} -n 24"
    if waiting:
        return f"{waiting} runs are not finished: {how_to_train(exp)}"
    for name, command in (
        ("law.json", "fit"),
        ("proposal.json", "propose"),
        ("confirmation.json", "confirm"),
    ):
        if not results[name] and (command != "confirm" or exp.has_proxy):
            return f"next: mixopt {command} {folder}"
    return f"next: mixopt export {folder} --to json -o mixture.json"
