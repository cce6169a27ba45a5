"""Scales as coordinates: ln active size, ln total by active, ln tokens, against the runs' own.

A scale is (non-embedding parameters, active ones, training tokens). The largest is that of most
training FLOPs, active parameters times tokens.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import DataError
from mixopt.laws.base import Array

_SAME = 1e-6
"""Logarithms nearer than this are one scale."""
_NAMES = ("active parameters", "total by active parameters", "training tokens")


@dataclass(frozen=True)
class Axes:
    """What the training runs say of scale, and where predictions are made unless told."""

    rows: Array
    """(3, 3) least, greatest and default coordinates; (0, 3) where no scale is known."""

    @classmethod
    def of(cls, scales: Array | None, default: ArrayLike | None) -> Self:
        """The axes of training scales (n, 3); `default` (3,) or the largest of them.

        Raises DataError when scales are not positive and finite, or when the default asks for a
        scale that the runs cannot speak of.
        """
        if scales is None:
            if default is not None:
                raise DataError(
                    "expected runs of known scale to predict at another one, got runs without: "
                    "say the scale of the runs, or leave the law's setting `scale` out"
                )
            return cls(np.empty((0, 3)))
        points = _coordinates(scales)
        largest = points[np.argmax(points[:, 0] + points[:, 2])]
        axes = cls(np.stack([points.min(axis=0), points.max(axis=0), largest]))
        if default is None:
            return axes
        asked = _coordinates(np.asarray(default, dtype=np.float64).reshape(1, -1))
        axes.relative(asked, 1)
        return cls(np.vstack([axes.rows[:2], asked]))

    @property
    def sized(self) -> bool:
        """Whether runs differ in size, by active or total parameters."""
        return bool(self._varies[:2].any())

    @property
    def sparse(self) -> bool:
        """Whether runs differ in the ratio of total to active parameters."""
        return bool(self._varies[1])

    @property
    def timed(self) -> bool:
        """Whether runs differ in training tokens."""
        return bool(self._varies[2])

    def at(self, scales: ArrayLike | None, count: int) -> Array:
        """Coordinates (count, 3) of candidates, less the middle of the runs'.

        `scales` is (count, 3), or (3,) for all of them; None: the default. Raises DataError where
        tokens or size differ from the runs' only one: nothing is known of that axis. The ratio of
        total to active parameters plays no part where no run varied it.
        """
        if scales is None:
            return self.relative(self.rows[2:], count)
        if len(self.rows) == 0:
            raise DataError(
                "the runs have no known scale, so the law cannot predict at a given one: "
                "say the scale of the runs, or predict without scales"
            )
        return self.relative(_coordinates(np.atleast_2d(np.asarray(scales, np.float64))), count)

    def relative(self, points: Array, count: int) -> Array:
        """Coordinates (1 or count, 3) as (count, 3) less the middle of the runs'."""
        if len(self.rows) == 0:
            return np.zeros((count, 3))
        if len(points) not in (1, count):
            raise DataError(f"expected one scale or one a mixture ({count}), got {len(points)}")
        for axis, known in ((0, self.sized), (2, self.timed)):
            apart = np.abs(points[:, axis] - self.rows[0, axis])
            if not known and (apart > _SAME).any():
                raise DataError(
                    f"the runs all have {np.exp(self.rows[0, axis]):.4g} {_NAMES[axis]}, so the "
                    f"law cannot predict at {np.exp(points[apart.argmax(), axis]):.4g}: "
                    "train runs at a second value, or predict at theirs"
                )
        middle = self.rows[:2].mean(axis=0)
        out = np.broadcast_to(points - middle, (count, 3)).copy()
        out[:, ~self._varies] = 0.0
        return out

    @property
    def _varies(self) -> NDArray[np.bool_]:
        if len(self.rows) == 0:
            return np.zeros(3, dtype=bool)
        return self.rows[1] - self.rows[0] > _SAME


def scale_groups(scales: Array | None, count: int) -> NDArray[np.int64]:
    """(count,) numbers that runs of one scale share, from the smallest scale to the largest."""
    if scales is None:
        return np.zeros(count, dtype=np.int64)
    points = np.round(_coordinates(scales), 5)
    flops = points[:, 0] + points[:, 2]
    _, groups = np.unique(np.column_stack([flops, points]), axis=0, return_inverse=True)
    return groups.reshape(-1)


def same_scale(one: ArrayLike, other: ArrayLike) -> bool:
    """Whether two scales (3,) are one."""
    points = _coordinates(np.stack([np.asarray(one, np.float64), np.asarray(other, np.float64)]))
    return bool(np.abs(points[0] - points[1]).max() < _SAME)


def _coordinates(scales: Array) -> Array:
    """(k, 3) scales as logarithms; checked."""
    scales = np.asarray(scales, dtype=np.float64)
    if scales.ndim != 2 or scales.shape[1] != 3 or not (np.isfinite(scales) & (scales > 0)).all():
        raise DataError(
            "expected scales (k, 3) of parameters, active parameters and tokens, all above 0, "
            f"got {scales.tolist() if scales.size < 10 else f'shape {scales.shape}'}"
        )
    total, active, tokens = np.log(scales).T
    return np.column_stack([active, total - active, tokens])
