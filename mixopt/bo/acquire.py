"""The next batch by qLogNoisyExpectedImprovement (Ament et al. 2023), one point after the other.

Expected improvement over the best of the noise-free runs, which are not known either: joint draws
at all runs integrate them out. Points that are planned, and those of the batch before, are pending:
the improvement over them counts. Limits are passed to the optimiser as they are, in shares.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective, LinearMCObjective
from botorch.exceptions.warnings import BotorchWarning, OptimizationWarning
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from linear_operator.utils.errors import NanError, NotPSDError
from linear_operator.utils.warnings import NumericalWarning
from numpy.typing import NDArray
from torch import Tensor

from mixopt.bo.model import SingularError
from mixopt.space import Space

Array = NDArray[np.float64]

_DRAWS = 64
_STARTS = 2
_ITERATIONS = 25
_CHUNK = 256
WIDEST = 60
"""Columns above which candidates are taken as they are: the optimiser would take minutes."""


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Log expected improvement of one more point, given runs and what is pending."""

    value: qLogNoisyExpectedImprovement

    @classmethod
    def of(
        cls,
        model: SingleTaskGP,
        runs: Array,
        pending: Array,
        seed: int,
        trend: Callable[[Array], Array] | None = None,
    ) -> "Acquisition":
        """Of the runs (n, width) and pending points (p, width). Raises SingularError.

        `trend` is what the process is a residual to; with one, there are no slopes to climb.
        """
        lower = LinearMCObjective(torch.tensor([-1.0], dtype=torch.double))
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            _silence()
            torch.manual_seed(seed)  # pruning draws from torch's own generator
            try:
                return cls(
                    qLogNoisyExpectedImprovement(
                        model,
                        _tensor(runs),
                        sampler=SobolQMCNormalSampler(torch.Size([_DRAWS]), seed=seed),
                        objective=lower if trend is None else _with_trend(trend),
                        X_pending=_tensor(pending) if len(pending) else None,
                        prune_baseline=True,
                    )
                )
            except (NotPSDError, NanError) as error:
                raise SingularError(f"the Gaussian process is singular: {error}") from error

    def at(self, rows: Array) -> Array:
        """Of each of the rows (k, width), (k,)."""
        with torch.no_grad(), warnings.catch_warnings():
            _silence()
            parts = [
                self.value(_tensor(rows[start : start + _CHUNK])[:, None])
                for start in range(0, len(rows), _CHUNK)
            ]
        return torch.cat(parts).numpy()

    def climbed(self, space: Space, starts: Array) -> Array:
        """The best point (width,) that the starts (k, width) lead to inside the limits."""
        equal, equal_to, limit, limit_to = space.linear()
        bounds = _tensor(np.stack([space.lower, space.upper]))
        with warnings.catch_warnings():
            _silence()
            found, _ = optimize_acqf(
                self.value,
                bounds,
                q=1,
                num_restarts=len(starts),
                batch_initial_conditions=_tensor(starts)[:, None],
                equality_constraints=_constraints(equal, equal_to),
                inequality_constraints=_constraints(-limit, -limit_to) or None,
                options={"maxiter": _ITERATIONS, "batch_limit": 1},
            )
        return space.project(np.maximum(found.detach().numpy(), 0.0))[0]


def next_point(acquisition: Acquisition, space: Space, rows: Array, values: Array) -> Array:
    """The best row (width,) after a climb from the best of `rows` (k, width) by their values."""
    best = np.argsort(-values, kind="stable")[:_STARTS]
    if space.width > WIDEST:
        return rows[best[0]]
    climbed = acquisition.climbed(space, rows[best])
    better = acquisition.at(climbed[None])[0] > values[best[0]]
    return climbed if better else rows[best[0]]


def _with_trend(trend: Callable[[Array], Array]) -> GenericMCObjective:
    """Minus the residual and its trend at the points themselves."""

    def value(samples: Tensor, X: Tensor | None = None) -> Tensor:
        assert X is not None
        rows = X.detach().numpy()
        flat = trend(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape[:-1])
        return -(samples.squeeze(-1) + torch.as_tensor(flat))

    return GenericMCObjective(value)


def _constraints(coefficients: Array, at_least: Array) -> list[tuple[Tensor, Tensor, float]]:
    """BoTorch's (indices, coefficients, right-hand side) of each row."""
    found = []
    for row, value in zip(coefficients, at_least):
        used = np.flatnonzero(row)
        found.append((torch.as_tensor(used), _tensor(row[used]), float(value)))
    return found


def _silence() -> None:
    """Warnings that are expected here: climbs that end at their iterations, jitter."""
    warnings.simplefilter("ignore", BotorchWarning)
    warnings.simplefilter("ignore", OptimizationWarning)
    warnings.simplefilter("ignore", NumericalWarning)
    warnings.simplefilter("ignore", RuntimeWarning)  # SLSQP steps past a bound by rounding


def _tensor(values: Array) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.double)
