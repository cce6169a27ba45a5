"""doptimal: known optima, augmentation, and the determinant that exchanges may only raise."""

import numpy as np
import pytest

from mixopt.designs.doptimal import DOptimal, exchange, log_det, products, vertices
from mixopt.errors import ConfigError
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.testing import planted_table, table_of


def space_of(d, **settings):
    return Space([Domain(f"d{j}", **settings) for j in range(d)])


def sorted_rows(rows):
    return sorted(np.round(rows, 6).tolist())


def test_a_law_linear_in_the_shares_is_learned_at_the_vertices():
    rows = DOptimal("linear").plan(Problem(space_of(4)), 4, np.random.default_rng(0))
    assert sorted_rows(rows) == sorted_rows(np.eye(4))


def test_scheffes_quadratic_is_learned_on_the_lattice():
    rows = DOptimal("quadratic").plan(Problem(space_of(3)), 6, np.random.default_rng(0))
    first, second = np.triu_indices(3, k=1)
    middles = (np.eye(3)[first] + np.eye(3)[second]) / 2
    assert sorted_rows(rows) == sorted_rows(np.vstack([np.eye(3), middles]))


def test_runs_that_exist_are_not_repeated():
    """With the vertices run, the lattice lacks only its midpoints."""
    table = table_of(np.eye(3), np.ones((3, 1)))
    problem = Problem(space_of(3), table)
    rows = DOptimal("quadratic").plan(problem, 3, np.random.default_rng(0))
    assert (np.isclose(rows, 0.5).sum(axis=1) == 2).all()


def test_exchanges_only_raise_the_determinant():
    rng = np.random.default_rng(0)
    features, gram = products(rng.dirichlet(np.ones(4), 200)), 1e-6 * np.eye(10)
    greedy = log_det(features[exchange(features, gram, 12, 0)], gram)
    exchanged = log_det(features[exchange(features, gram, 12, 5)], gram)
    random = max(log_det(features[rng.permutation(200)[:12]], gram) for _ in range(50))
    assert random < greedy <= exchanged + 1e-9


def test_what_is_known_before_moves_points_elsewhere():
    """A narrow prior leaves fewer parameters to learn: fewer than d runs still make sense."""
    rng = np.random.default_rng(0)
    rows = DOptimal("linear", prior_sd=1.0).plan(Problem(space_of(5)), 3, rng)
    assert (rows.max(axis=1) == 1.0).all()
    assert len(np.unique(rows.argmax(axis=1))) == 3


def test_vertices_of_limits():
    found = vertices(space_of(3, maximum=0.5), np.random.default_rng(0))
    corners = sorted_rows(found[np.isclose(found, 0.5, atol=1e-6).sum(axis=1) == 2])
    assert corners == [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]


def test_a_fitted_law_is_learned_where_it_is_uncertain():
    rng = np.random.default_rng(0)
    table = planted_table(24, 4, rng)
    objective = Objective("mean", "relative", table.metrics, np.ones(3))
    problem = Problem(space_of(4), table, objective=objective)
    plan = DOptimal("edl").detailed(problem, 5, rng)
    assert not plan.notes
    assert plan.rows.shape == (5, 4)
    few = Problem(space_of(4), table.select(np.arange(3)), objective=objective)
    assert "edl needs 8 mixtures" in DOptimal("edl").detailed(few, 5, rng).notes[0]


def test_an_unknown_model_is_refused():
    with pytest.raises(ConfigError, match="expected model"):
        DOptimal("cubic")  # pyright: ignore[reportArgumentType]
