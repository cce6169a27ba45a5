"""Bootstrap over evaluation documents: what a comparison owes to the text that was chosen.

Documents of each domain are drawn anew with replacement, the same ones for every arm and seed; the
bits per byte of a domain are sum(nats) / (ln 2 sum(bytes)) over its drawn documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.objective import Objective
from mixopt.runs import Run

Array = NDArray[np.float64]

DRAWS = 1000
_METRIC = "bpb@test/"


@dataclass(frozen=True)
class Windows:
    """Test windows that every run scored: W of them, in D evaluation domains."""

    names: tuple[str, ...]
    """(D,)"""
    bytes: NDArray[np.int64]
    """(W,)"""
    domain: NDArray[np.int64]
    """(W,) index into `names`."""
    document: NDArray[np.int64]
    """(W,) which document of its domain a window comes from."""


def resampled_values(
    objective: Objective,
    reference: Array,
    cells: Sequence[Sequence[Run | None]],
    folder: Path,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Array | None:
    """The objective of each arm and seed on texts drawn anew, (draws, A, S); NaN without a run.

    `cells` are the runs by arm and seed, `folder` holds the windows of each (`ID.npz`).
    `reference` (m,): oriented losses of p0'. None where the windows do not tell the objective: runs
    scored elsewhere, or metrics other than bits per byte on test text.
    Raises DataError where two runs scored different text.
    """
    runs = [run for row in cells for run in row if run is not None and run.status == "finished"]
    paths = [folder / f"{run.id}.npz" for run in runs]
    if not runs or not all(path.exists() for path in paths):
        return None
    windows, nats = _read(paths)
    columns = _columns(objective, windows)
    if columns is None:
        return None
    bpb = resampled_bpb(windows, nats, draws, rng)
    metrics = np.full((draws, len(runs), len(objective.metrics)), np.nan)
    for metric, domain in columns.items():
        metrics[:, :, metric] = bpb[:, :, domain]
    values = objective.value(metrics, reference)
    places = {run.id: i for i, run in enumerate(runs)}
    filled = np.full((draws, len(cells), len(cells[0])), np.nan)
    for a, row in enumerate(cells):
        for b, run in enumerate(row):
            if run is not None and run.id in places:
                filled[:, a, b] = values[:, places[run.id]]
    return filled


def resampled_bpb(windows: Windows, nats: Array, draws: int, rng: np.random.Generator) -> Array:
    """Bits per byte (draws, R, D) of R runs with `nats` (R, W) on documents drawn anew."""
    found = np.full((draws, len(nats), len(windows.names)), np.nan)
    for domain in np.unique(windows.domain):
        inside = windows.domain == domain
        _, document = np.unique(windows.document[inside], return_inverse=True)
        count = int(document.max()) + 1
        to_document = np.eye(count)[document]  # (windows, documents)
        times = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
        total_nats = times @ (nats[:, inside] @ to_document).T
        total_bytes = times @ (windows.bytes[inside] @ to_document)
        found[:, :, domain] = total_nats / (np.log(2.0) * total_bytes[:, None])
    return found


def _read(paths: Sequence[Path]) -> tuple[Windows, Array]:
    """The windows that all runs scored and their nats (R, W)."""
    nats, first = [], None
    for path in paths:
        windows, own = _read_one(path)
        first = first or windows
        same = windows.names == first.names and all(
            np.array_equal(getattr(windows, name), getattr(first, name))
            for name in ("bytes", "domain", "document")
        )
        if not same:
            raise DataError(
                f"{path} was scored on other text than {paths[0]}: runs are compared only on the "
                "same windows, remove it and train the run again"
            )
        nats.append(own)
    assert first is not None
    return first, np.stack(nats)


def _read_one(path: Path) -> tuple[Windows, Array]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            names = tuple(file["names"].tolist())
            windows = Windows(names, file["bytes"], file["domain"], file["document"])
            return windows, file["nats"].astype(np.float64)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} does not hold the windows of a run: {error}") from error


def _columns(objective: Objective, windows: Windows) -> dict[int, int] | None:
    """Metric -> evaluation domain for all metrics that play a part, None if one is not told."""
    columns = {}
    for i in np.flatnonzero(objective.weights > 0):
        metric = objective.metrics[i]
        domain = metric.removeprefix(_METRIC)
        if not metric.startswith(_METRIC) or domain not in windows.names:
            return None
        columns[int(i)] = windows.names.index(domain)
    return columns
