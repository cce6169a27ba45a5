"""auto: covers first, then plans as the design that its table names."""

import numpy as np

from mixopt import designs
from mixopt.designs import DESIGNS, make_design
from mixopt.designs.auto import CHOSEN, Auto, chosen
from mixopt.errors import MissingExtraError
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.testing import planted_table


def test_the_table_of_sizes_names_designs_and_has_an_end():
    assert {name for _, name in CHOSEN} <= set(DESIGNS) - {"auto"}
    assert CHOSEN[-1][0] is None


def test_auto_plans_as_the_chosen_design():
    table = planted_table(24, 12, np.random.default_rng(0))
    space = Space([Domain(f"d{j}") for j in range(12)])
    objective = Objective("mean", "relative", table.metrics, np.ones(3))
    problem = Problem(space, table, objective=objective)
    plan = Auto().detailed(problem, 3, np.random.default_rng(1))
    other = make_design(chosen(12)).plan(problem, 3, np.random.default_rng(1))
    np.testing.assert_array_equal(plan.rows, other)
    assert plan.notes[0] == f"auto chose {chosen(12)}"
    assert not Auto().detailed(Problem(space), 3, np.random.default_rng(1)).searched


def test_a_missing_extra_is_said_and_stood_in_for(monkeypatch):
    def missing(name, *rest):
        if name == "bo":
            raise MissingExtraError("design 'bo' needs botorch: pip install 'mixopt[bo]'")
        return make_design(name, *rest)

    monkeypatch.setattr(designs, "make_design", missing)
    table = planted_table(12, 3, np.random.default_rng(0))
    space = Space([Domain(f"d{j}") for j in range(3)])
    objective = Objective("mean", "relative", table.metrics, np.ones(3))
    problem = Problem(space, table, objective=objective)
    plan = Auto().detailed(problem, 2, np.random.default_rng(0))
    assert plan.searched
    assert plan.notes[:2] == (
        "auto chose edl_ts",
        "edl_ts stands in: design 'bo' needs botorch: pip install 'mixopt[bo]'",
    )
