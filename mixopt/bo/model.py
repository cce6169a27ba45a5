"""The process behind `bo`: SingleTaskGP on sqrt(w) with an ARD Matern-5/2 kernel.

y = f(sqrt(w)) + e, outcomes standardised. Where replicates tell the noise of a run, each mixture
has the variance sigma^2 / (its runs); else one noise is learned. Length scales have wide log-normal
priors that do not grow with the number of domains: in sqrt(w) no two mixtures are further apart
than sqrt(2).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from botorch.exceptions import ModelFittingError
from botorch.exceptions.warnings import InputDataWarning, OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms.input import InputTransform
from botorch.models.transforms.outcome import Standardize
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from linear_operator.utils.errors import NanError, NotPSDError
from linear_operator.utils.warnings import NumericalWarning
from numpy.typing import NDArray
from torch import Tensor

from mixopt.errors import MixoptError

Array = NDArray[np.float64]

_SMALLEST = 1e-6
"""Added to each share: the slope of sqrt(w) at zero is infinite."""
_SEARCHED = 192
"""Runs on which the settings are sought where there are more; all of them condition the process."""
_ITERATIONS = 60
_LEAST_NOISE = 1e-5
_SINGULAR = (NotPSDError, NanError, ModelFittingError)


class SingularError(MixoptError):
    """The process cannot be computed: its covariance is not positive even with jitter."""


@dataclass(frozen=True, eq=False)
class Observations:
    """What a process learns from."""

    rows: Array
    """(n, width) different mixtures."""
    values: Array
    """(n,) their mean objective."""
    variances: Array | None
    """(n,) of each mean; None: unknown, to be learned."""


class Roots(InputTransform, torch.nn.Module):
    """w -> sqrt(w + 1e-6), inside the model, so that limits stay linear outside."""

    transform_on_train = True
    transform_on_eval = True
    transform_on_fantasize = True
    is_one_to_many = False

    def transform(self, X: Tensor) -> Tensor:
        """Roots of shares."""
        return torch.sqrt(X.clamp_min(0.0) + _SMALLEST)


def fit_process(data: Observations) -> SingleTaskGP:
    """The process with settings of greatest posterior density; SingularError where none works."""
    rows = _part(data)
    with warnings.catch_warnings():
        _silence()
        try:
            found = _fitted(rows)
            if len(rows.rows) == len(data.rows):
                return found
            whole = _process(data)
            whole.covar_module.load_state_dict(found.covar_module.state_dict())
            whole.mean_module.load_state_dict(found.mean_module.state_dict())
            if data.variances is None:
                whole.likelihood.load_state_dict(found.likelihood.state_dict())
            return whole.eval()
        except _SINGULAR as error:
            raise SingularError(f"the Gaussian process is singular: {error}") from error


def posterior(model: SingleTaskGP, rows: Array) -> tuple[Array, Array]:
    """Mean and sd (k,) of the noise-free objective at rows (k, width)."""
    with torch.no_grad(), warnings.catch_warnings():
        _silence()
        told = model.posterior(torch.as_tensor(rows, dtype=torch.double))
        mean, variance = told.mean.squeeze(-1), told.variance.squeeze(-1)
    return mean.numpy(), variance.clamp_min(0.0).sqrt().numpy()


def _silence() -> None:
    """Warnings that are expected here; the fallbacks are said in the notes of a plan."""
    warnings.simplefilter("ignore", InputDataWarning)  # shares are no unit cube
    warnings.simplefilter("ignore", OptimizationWarning)  # a fit may stop at its iterations
    warnings.simplefilter("ignore", NumericalWarning)  # jitter is added to near-singular matrices


def _process(data: Observations) -> SingleTaskGP:
    noise = None
    if data.variances is not None:
        floor = _LEAST_NOISE * max(float(data.values.var()), 1e-30)
        noise = _tensor(np.maximum(data.variances, floor))[:, None]
    model = SingleTaskGP(
        _tensor(data.rows),
        _tensor(data.values)[:, None],
        noise,
        covar_module=_kernel(data.rows.shape[1]),
        outcome_transform=Standardize(1),
        input_transform=Roots(),
    )
    return model.to(torch.double)


def _kernel(width: int) -> ScaleKernel:
    lengths = LogNormalPrior(0.7, 1.0)
    base = MaternKernel(
        2.5,
        ard_num_dims=width,
        lengthscale_prior=lengths,
        lengthscale_constraint=GreaterThan(0.02, initial_value=2.0),
    )
    return ScaleKernel(
        base,
        outputscale_prior=LogNormalPrior(1.0, 1.5),
        outputscale_constraint=GreaterThan(1e-3, initial_value=1.0),  # the prior has none at 0
    )


def _fitted(data: Observations) -> SingleTaskGP:
    model = _process(data)
    likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
    fit_gpytorch_mll(
        likelihood,
        optimizer_kwargs={"options": {"maxiter": _ITERATIONS}},
        max_attempts=1,
        pick_best_of_all_attempts=True,
    )
    return model.eval()


def _part(data: Observations) -> Observations:
    """The runs on which settings are sought: the better half of them, and a random rest."""
    n = len(data.rows)
    if n <= _SEARCHED:
        return data
    order = np.argsort(data.values, kind="stable")
    half = _SEARCHED // 2
    rest = np.random.default_rng(0).permutation(order[half:])[: _SEARCHED - half]
    rows = np.sort(np.concatenate([order[:half], rest]))
    variances = None if data.variances is None else data.variances[rows]
    return Observations(data.rows[rows], data.values[rows], variances)


def _tensor(values: Array) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.double)
