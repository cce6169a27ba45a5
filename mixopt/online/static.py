"""Static: replays a schedule fixed in advance; a plain mixture is a schedule of one phase."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.online.base import Controller, Feedback

Array = NDArray[np.float64]


@dataclass
class Static(Controller):
    """A schedule of (fraction of training, mixture (d,)) pairs.

    >>> static = Static(((0.5, np.array([1.0, 0.0])), (0.5, np.array([0.0, 1.0]))))
    >>> static.weights()
    array([1., 0.])
    """

    schedule: tuple[tuple[float, Array], ...]
    _progress: float = field(default=0.0, repr=False)

    def weights(self) -> Array:
        """The mixture of the present phase, (d,)."""
        end = 0.0
        for fraction, mixture in self.schedule:
            end += fraction
            if self._progress < end - 1e-9:
                return mixture
        return self.schedule[-1][1]

    def observe(self, feedback: Feedback) -> None:
        """Note how far training has come."""
        self._progress = feedback.step / feedback.steps

    def state(self) -> dict[str, Any]:
        """The share of training that is done."""
        return {"progress": self._progress}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on from `state`. DataError where it is another controller's."""
        if "progress" not in state:
            raise DataError(
                "the checkpoint is of a controller that moves the mixture, expected a schedule: go "
                "on with the controller it was made with, or start anew"
            )
        self._progress = float(state["progress"])
        return self
