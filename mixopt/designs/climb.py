"""climb: CLIMB's iterated bootstrapping (Diao et al. 2025, arXiv:2504.13161).

Round 1 is RegMix's swarm. In later rounds boosted trees, fitted to the objective of all runs, rank
fresh draws of that swarm, and the next runs are taken at random from the best of them that were not
run. Rounds shrink as 4:2:1. Trees are the paper's: depth 4, 5 runs a leaf, L1 and L2 penalties,
stopped after 20 rounds without progress on held-out runs. How many draws count as the best the
paper does not print; here a multiple of the runs to plan.
"""

from dataclasses import dataclass

import lightgbm
import numpy as np

from mixopt.designs.base import Array, Plan
from mixopt.designs.search import Known, Search, pick_apart, untaken
from mixopt.laws.base import mixture_groups
from mixopt.problem import Problem
from mixopt.proposers.simulate import dirichlet_rows

_HELD_OUT = 5
"""One run in so many stops the trees."""


@dataclass
class Climb(Search):
    """Random ones of the mixtures that boosted trees rank first."""

    first: str = "dirichlet"
    starts: int | None = None
    samples: int = 20_000
    """Draws that are ranked."""
    top: int = 4
    """Multiple of the runs to plan that counts as the best."""
    depth: int = 4
    runs_a_leaf: int = 5
    rounds: int = 1000
    patience: int = 20
    penalty: float = 1.0
    """Of the leaves' values, L1 and L2 alike, for a standardised objective."""

    def _search(self, problem: Problem, known: Known, count: int, rng: np.random.Generator) -> Plan:
        rows = problem.candidates
        if rows is None:
            rows = dirichlet_rows(problem.space, self.samples, rng)
        order = np.argsort(self.predicted(known, rows, rng), kind="stable")
        ranked = untaken(problem, rows[order], known.table.weights)
        top = max(count, min(self.top * count, len(ranked)))
        best = pick_apart(problem, ranked, top, known.table.weights)
        return Plan(best[rng.permutation(top)[:count]], searched=True)

    def predicted(self, known: Known, rows: Array, rng: np.random.Generator) -> Array:
        """The objective (k,) of rows (k, width) by the trees, in units of its sd."""
        z = (known.values - known.values.mean()) / known.values.std()
        groups = mixture_groups(known.table.weights)
        held = np.isin(groups, rng.permutation(groups.max() + 1)[: known.mixtures // _HELD_OUT])
        train = lightgbm.Dataset(known.table.weights[~held], z[~held])
        stops = []
        if held.any():
            check = lightgbm.Dataset(known.table.weights[held], z[held], reference=train)
            stops = [check]
        trees = lightgbm.train(
            self._options(),
            train,
            self.rounds if stops else 10 * self.patience,
            valid_sets=stops,
            callbacks=[lightgbm.early_stopping(self.patience, verbose=False)] if stops else [],
        )
        return np.asarray(trees.predict(rows, num_threads=1))

    def _options(self) -> dict[str, float | int | str | bool]:
        return {
            "objective": "regression",
            "max_depth": self.depth,
            "num_leaves": 2**self.depth,
            "min_data_in_leaf": self.runs_a_leaf,
            "lambda_l1": self.penalty,
            "lambda_l2": self.penalty,
            "learning_rate": 0.1,
            "seed": 0,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


def halving(total: int, rounds: int) -> list[int]:
    """Runs of each round, as 4:2:1 for three of them; every round has one at least.

    >>> halving(112, 3), halving(10, 2), halving(7, 1)
    ([64, 32, 16], [7, 3], [7])
    """
    weights = 2.0 ** np.arange(rounds - 1, -1, -1)
    shares = np.maximum(1, np.floor(total * weights / weights.sum()).astype(int))
    shares[0] += total - int(shares.sum())
    return shares.tolist()
