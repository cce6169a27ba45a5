"""auto: covers first, then plans as the design that it chose; after earlier studies as `bo`."""

import numpy as np

from mixopt.designs import DESIGNS, make_design
from mixopt.designs.auto import CHOSEN, WARM, Auto
from mixopt.designs.search import measured
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.testing import planted_table
from mixopt.warm_start import WarmStart


def problem_of(runs, d):
    table = planted_table(runs, d, np.random.default_rng(0))
    space = Space([Domain(f"d{j}") for j in range(d)])
    objective = Objective("mean", "relative", table.metrics, np.ones(len(table.metrics)))
    return Problem(space, table, objective=objective)


def test_it_chooses_among_designs_and_needs_no_extra():
    assert {CHOSEN, WARM} <= set(DESIGNS) - {"auto"}
    assert DESIGNS[CHOSEN].extra is None


def test_it_covers_the_space_and_then_plans_as_the_chosen_design():
    problem = problem_of(24, 12)
    plan = Auto().detailed(problem, 3, np.random.default_rng(1))
    other = make_design(CHOSEN).plan(problem, 3, np.random.default_rng(1))
    np.testing.assert_array_equal(plan.rows, other)
    assert plan.notes[0] == f"auto chose {CHOSEN}"
    first = Auto().detailed(Problem(problem.space), 3, np.random.default_rng(1))
    assert not first.searched


def test_after_earlier_studies_it_plans_as_the_design_that_reads_them():
    problem = problem_of(6, 3)
    known = measured(problem)
    assert known is not None
    warm = Problem(
        problem.space,
        problem.table,
        objective=problem.objective,
        warm=WarmStart.of(problem.space, [(problem.space, known)]),
    )
    plan = Auto().detailed(warm, 2, np.random.default_rng(0))
    assert plan.notes[0] == f"auto chose {WARM}"
    assert plan.searched
