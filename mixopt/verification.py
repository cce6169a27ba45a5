"""Verification: mixtures to train next, because laws that err differently claim them as optima.

A law that falls in every share cannot show over-repetition, a threshold or a domain that harms,
and no cross-validation notices where no run went. The optima of EDL, of the Gaussian process and
of their mean, trained and fitted again, are how the runs themselves find out.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.laws.edl_gp import EDLGP
from mixopt.problem import Problem
from mixopt.proposers import propose
from mixopt.proposers.base import APART, distance

Array = NDArray[np.float64]


def verification_picks(problem: Problem, count: int, rng: np.random.Generator) -> Array:
    """Up to `count` rows (count, width) to train: the optima of `edl_gp`, `gp` and `edl`, then
    what `edl_gp` proposes beside its own.

    The laws are fitted to the problem's table; its own law is not asked. Rows lie at least .1 apart
    in L1; fewer come back where the limits leave no room. Raises DataError without a table or an
    objective, or for a count below 1.
    """
    if problem.table is None:
        raise DataError("nothing to verify without finished runs: train what is planned")
    if count < 1:
        raise DataError(f"expected a count of 1 or more mixtures to verify, got {count}")
    table = problem.table
    mean = EDLGP(folds=0).fit(table.weights, table.losses, table.info)
    members = [mean.parts()[name] for name in ("gp", "edl")]
    own = propose("exact", replace(problem, law=mean), count + len(members), rng)
    theirs = [propose("exact", replace(problem, law=law), 1, rng) for law in members]
    return _apart(problem, np.concatenate([own[:1], *theirs, own[1:]]), count)


def _apart(problem: Problem, rows: Array, count: int) -> Array:
    """The first `count` rows that lie .1 from all that are kept before them."""
    kept = rows[:1]
    for row in rows[1:]:
        if len(kept) < count and distance(problem.space, kept, row).min() >= APART:
            kept = np.concatenate([kept, row[None]])
    return kept
