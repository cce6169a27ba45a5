"""Early: what a run measured before its end, as points of a cheaper kind of run.

The metric `bpb@0.5/web` is `bpb/web` at half of a run's tokens. Its rate of learning had not fallen
yet, so such points are a kind of their own, and say of the run's end what both have in common.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixopt.runs import Run
from mixopt.table import Table


def with_early(table: Table, runs: Sequence[Run]) -> Table:
    """The table, then its runs again at each earlier share of their tokens that they measured.

    Such rows have the id of their run, the tokens that it had seen, and `cohort_at` as cohort.
    `runs` are those of the table, among others.
    """
    known = {run.id: run for run in runs}
    measured = [_by_share(known[run_id]) for run_id in table.ids]
    whole = table
    for share in shares(list(known.values())):
        losses = np.full(whole.losses.shape, np.nan)
        for i, found in enumerate(measured):
            values = [found.get(share, {}).get(name, np.nan) for name in whole.metrics]
            losses[i] = np.array(values) * whole.directions
        told = np.flatnonzero(np.isfinite(losses).any(axis=1))
        part = whole.select(told)
        table = table.plus(
            replace(
                part,
                losses=losses[told],
                scales=part.scales * [1.0, 1.0, share],
                cohorts=tuple(cohort_at(name, share) for name in part.cohorts),
            )
        )
    return table


def shares(runs: Sequence[Run]) -> tuple[float, ...]:
    """The shares of a run's tokens at which some finished run measured something, in order."""
    found = (share for run in runs if run.status == "finished" for share in _by_share(run))
    return tuple(sorted(set(found)))


def cohort_at(cohort: str, share: float) -> str:
    """A cohort's name with the share in its first word.

    >>> cohort_at("tiny-1a2b3c 1e6/1e6/1e7 data", 0.5)
    'tiny-1a2b3c@0.5 1e6/1e6/1e7 data'
    """
    first, space, rest = cohort.partition(" ")
    return f"{first}@{share:g}{space}{rest}"


def _by_share(run: Run) -> dict[float, dict[str, float]]:
    """The metrics of a run under the names that they have at its end, by share of its tokens."""
    found: dict[float, dict[str, float]] = {}
    for name, value in run.metrics.items():
        kind, slash, rest = name.partition("/")
        plain, _, at = kind.partition("@")
        share = _share(at)
        if share is not None:
            found.setdefault(share, {})[f"{plain}{slash}{rest}"] = value
    return found


def _share(text: str) -> float | None:
    """A number strictly between 0 and 1; None for other words, such as `test`."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 < value < 1.0 else None
