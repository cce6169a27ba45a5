"""Early: scores of runs on their way, kept beside their curves until the run is done.

`bpb@0.5/web` is `bpb/web` after half of the run's steps. What was scored before a kill is not
scored again; the training itself is what it would be without.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mixopt.files import read_json, write_json

_TOLD = ("bpb", "loss")


class EarlyScores:
    """Scores at `shares` of `steps`, in files of `folder`."""

    def __init__(self, folder: Path, shares: Sequence[float], steps: int) -> None:
        self._folder = folder
        self._due = {max(1, round(share * steps)): f"{share:g}" for share in shares}

    def due(self, step: int) -> bool:
        """Whether runs are to be scored after this many steps."""
        return step in self._due

    def note(self, run_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Keep what a run scored at a step that was due."""
        kept = self.of(run_id)
        for name, value in metrics.items():
            kind, _, domain = name.partition("/")
            if kind in _TOLD:
                kept[f"{kind}@{self._due[step]}/{domain}"] = value
        write_json(self._path(run_id), kept)

    def of(self, run_id: str) -> dict[str, float]:
        """What a run scored so far, by metric."""
        path = self._path(run_id)
        return read_json(path) if path.exists() else {}

    def clear(self, run_id: str) -> None:
        """Forget a run: the table has its scores."""
        self._path(run_id).unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.early.json"
