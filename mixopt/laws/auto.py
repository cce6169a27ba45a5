"""auto: EDL-GP with a guard for each metric, (EDL + GP) / 2, GP or EDL, by fixed rules.

EDL falls in every share: over-repetition, thresholds and domains that harm are out of its reach.
    two domains                                   GP
    fewer than 2 runs a domain                    EDL
    EDL's error on runs left out > 1.5 x GP's     GP
    else                                          the mean of both
EDL alone is never taken on the evidence of left-out runs: a swarm that fills the space does not
visit the places where it fails.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mixopt.errors import ConfigError
from mixopt.laws.base import Array
from mixopt.laws.edl_gp import EDLGP, Members

FEW = 2
"""Runs a domain under which EDL stands alone."""
WORSE = 1.5
"""Ratio of EDL's left-out error to the process's above which the process stands alone."""


_GUARD_FOLDS = 2


@dataclass
class Auto(EDLGP):
    """The law that is taken where nobody chooses one."""

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigError(f"auto: expected folds of 2 and more, got {self.folds}")

    def _shares(self, held: Members) -> Array:
        measured = np.isfinite(self.train_losses_).sum(axis=0)
        d = self.train_weights_.shape[1]
        edl_error, gp_error = (
            _root_mean_square(part - self.train_losses_) for part in (held.edl, held.gp)
        )
        shares = super()._shares(held)
        shares[edl_error > WORSE * gp_error] = (0.0, 1.0)
        shares[measured < FEW * d] = (1.0, 0.0)
        if d == 2:
            shares[:] = (0.0, 1.0)
        return shares

    def mean_only(self) -> Self:
        """The guard needs runs left out, in fewer parts."""
        return replace(self, folds=min(self.folds, _GUARD_FOLDS))

    def notes(self) -> tuple[str, ...]:
        """How many metrics have which law."""
        edl, gp = (int((self.shares_[:, column] == 1).sum()) for column in (0, 1))
        both = len(self.shares_) - edl - gp
        counts = {"(edl + gp) / 2": both, "gp alone": gp, "edl alone": edl}
        parts = [f"{name} for {count}" for name, count in counts.items() if count]
        return (f"auto: {', '.join(parts)} of {len(self.shares_)} metrics", *super().notes())


def _root_mean_square(errors: Array) -> Array:
    """(m,) over the runs that were left out; 0 where none was."""
    known = np.isfinite(errors)
    squares = np.where(known, errors, 0.0) ** 2
    return np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1))
