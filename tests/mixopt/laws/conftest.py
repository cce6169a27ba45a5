"""The mixture that the exact proposer finds for a fitted law."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mixopt.laws.base import Law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.exact import Exact, Solution
from mixopt.space import Domain, Space
from mixopt.testing import table_of

Array = NDArray[np.float64]
Solve = Callable[..., Solution]


@pytest.fixture
def solve() -> Solve:
    """solve(law, scale) -> the minimum of the sum of the fitted law's metrics by `scale`."""

    def solved(law: Law, scale: float = 1.0) -> Solution:
        weights, losses = law.train_weights_, law.train_losses_
        table, m = table_of(weights, losses), losses.shape[1]
        space = Space([Domain(f"domain{j}") for j in range(weights.shape[1])])
        unit = np.full(m, scale)
        objective = Objective("sum", "absolute", table.metrics, np.ones(m), scale=unit)
        return Exact().solve(Problem(space, table, law, objective), np.random.default_rng(0))

    return solved
