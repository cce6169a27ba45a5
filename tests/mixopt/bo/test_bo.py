"""bo: closed forms of the process and of expected improvement, limits, noise, and hard tables."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("botorch")

from mixopt.bo.acquire import Acquisition
from mixopt.bo.model import Observations, SingularError, fit_process, posterior
from mixopt.designs import bo as bo_design
from mixopt.designs.bo import BO
from mixopt.designs.search import measured
from mixopt.errors import DataError
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.base import distance
from mixopt.space import Constraint, Domain, Space
from mixopt.testing import table_of
from mixopt.warm_start import WarmStart

FAST = {"first": "random", "pool": 100}


def space_of(d, **settings):
    return Space([Domain(f"d{j}") for j in range(d)], **settings)


def bowl(weights):
    """Lowest, at 2, in (.5, .3, .2, 0, ...)."""
    centre = np.zeros(weights.shape[1])
    centre[:3] = 0.5, 0.3, 0.2
    return 2.0 + ((weights - centre) ** 2).sum(axis=1)


def problem_of(space, n, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    weights = space.uniform(n, rng)
    values = bowl(weights) + noise * rng.standard_normal(n)
    objective = Objective("one", "absolute", ("loss/domain0",), np.ones(1), scale=np.ones(1))
    return Problem(space, table_of(weights, values[:, None]), objective=objective)


def observed(n=8, variances=None, seed=0):
    rows = np.random.default_rng(seed).dirichlet(np.ones(3), n)
    return Observations(rows, bowl(rows), variances)


def test_the_posterior_is_the_closed_form():
    """mean = m + K*(K + N)^-1 (y - m), with the kernel's own numbers."""
    data = observed(variances=np.full(8, 1e-4))
    model = fit_process(data)
    at = np.random.default_rng(1).dirichlet(np.ones(3), 5)
    mean, sd = posterior(model, at)
    kernel = model.covar_module
    length = kernel.base_kernel.lengthscale.detach().numpy().ravel()
    size, constant = float(kernel.outputscale.detach()), float(model.mean_module.constant.detach())

    def covariance(left, right):
        left, right = (np.sqrt(part + 1e-6) / length for part in (left, right))
        r = math.sqrt(5) * np.linalg.norm(left[:, None] - right[None], axis=2)
        return size * (1 + r + r**2 / 3) * np.exp(-r)

    centre, spread = data.values.mean(), data.values.std(ddof=1)
    total = covariance(data.rows, data.rows) + np.eye(8) * 1e-4 / spread**2
    cross = covariance(at, data.rows)
    z = (data.values - centre) / spread
    expected = constant + cross @ np.linalg.solve(total, z - constant)
    variance = size - np.einsum("kn,kn->k", cross @ np.linalg.inv(total), cross)
    np.testing.assert_allclose(mean, centre + spread * expected, atol=1e-5 * spread)
    np.testing.assert_allclose(sd, spread * np.sqrt(variance), atol=1e-3 * spread)


def test_expected_improvement_is_sigma_times_z_cdf_plus_pdf():
    """With runs that are known exactly, the noisy form is the textbook one."""
    data = observed(variances=np.full(8, 1e-10))
    model = fit_process(data)
    at = np.random.default_rng(2).dirichlet(np.ones(3), 200)
    mean, sd = posterior(model, at)
    z = (data.values.min() - mean) / sd
    cdf = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])
    textbook = sd * (z * cdf + np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))
    ours = np.exp(Acquisition.of(model, data.rows, np.empty((0, 3)), 0).at(at))
    top = np.argsort(-textbook)[:20]
    np.testing.assert_allclose(ours[top], textbook[top], rtol=0.2)


def test_a_pending_point_gains_less():
    model, data = fit_process(observed()), observed()
    at = np.random.default_rng(3).dirichlet(np.ones(3), 50)
    free = Acquisition.of(model, data.rows, np.empty((0, 3)), 0).at(at)
    best = at[[free.argmax()]]
    taken = Acquisition.of(model, data.rows, best, 0).at(best)
    assert taken[0] < free.max() - 0.5


def test_a_batch_is_apart_and_inside_the_limits():
    space = space_of(
        4, constraints=[Constraint("g", {"d0": 1.0, "d3": 1.0}, minimum=0.2, maximum=0.4)]
    )
    problem = problem_of(space, 16)
    pending = space.uniform(2, np.random.default_rng(5))
    plan = BO(**FAST).detailed(replace(problem, pending=pending), 3, np.random.default_rng(0))
    assert plan.searched
    assert space.contains(plan.rows, 1e-8).all()
    for i, row in enumerate(plan.rows):
        others = np.concatenate([np.delete(plan.rows, i, axis=0), pending])
        assert distance(space, others, row).min() >= 0.1 - 1e-9
    again = BO(**FAST).plan(replace(problem, pending=pending), 3, np.random.default_rng(0))
    np.testing.assert_array_equal(plan.rows, again)


def test_a_quadratic_is_searched_better_than_by_chance():
    """Regret after 16 runs of 400 that may be run, against 16 random ones."""
    space, ours, chance = space_of(4), [], []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        rows = space.uniform(400, rng)
        weights = rows[:8]
        for _ in range(2):
            table = table_of(weights, bowl(weights)[:, None])
            problem = replace(problem_of(space, 8), table=table, candidates=rows)
            weights = np.vstack([weights, BO(**FAST).plan(problem, 4, rng)])
        pick = BO(**FAST).recommend(problem, rng)
        least = bowl(rows).min()
        ours.append(bowl(pick[None])[0] - least)
        chance.append(bowl(rows[:16]).min() - least)
    assert np.median(ours) < 0.5 * np.median(chance), (ours, chance)


def test_the_recommendation_is_not_the_luckiest_run():
    """One run far from the optimum was lucky by 5 sd: the posterior mean does not believe it."""
    problem = problem_of(space_of(3), 30)
    table = problem.table
    assert table is not None
    losses = table.losses.copy()
    losses[:, 0] += 0.02 * np.random.default_rng(1).standard_normal(30)
    worst = int(bowl(table.weights).argsort()[15])
    losses[worst, 0] = losses.min() - 0.02
    lucky = replace(problem, table=replace(table, losses=losses))
    row = BO(**FAST).recommend(lucky, np.random.default_rng(0))
    assert np.abs(row - table.weights[worst]).sum() > 0.1


def test_replicates_tell_the_noise():
    problem = problem_of(space_of(3), 12, noise=0.05)
    table = problem.table
    assert table is not None
    twice = table.select(np.r_[np.arange(12), np.arange(4)])
    losses = twice.losses + 0.01 * np.random.default_rng(0).standard_normal(twice.losses.shape)
    known = measured(replace(problem, table=replace(twice, losses=losses)))
    assert known is not None
    data, _ = BO(**FAST)._observations(known, np.random.default_rng(0))
    assert data.variances is not None
    assert len(data.rows) == 12
    ratio = data.variances.max() / data.variances.min()
    np.testing.assert_allclose(ratio, 2.0)


def test_many_runs_are_a_part_and_many_columns_are_not_climbed():
    problem = problem_of(space_of(3), 40)
    plan = BO(**FAST, most=20).detailed(problem, 1, np.random.default_rng(0))
    assert "20 of 40 mixtures" in plan.notes[0]
    wide = problem_of(space_of(70), 40)
    plan = BO(**FAST).detailed(wide, 1, np.random.default_rng(0))
    assert "no climb" in plan.notes[0]


def test_a_singular_process_leaves_the_batch_to_edl(monkeypatch):
    def singular(data):
        raise SingularError("the Gaussian process is singular: as made here")

    monkeypatch.setattr(bo_design, "fit_process", singular)
    plan = BO(**FAST).detailed(problem_of(space_of(3), 16), 2, np.random.default_rng(0))
    assert plan.searched
    assert plan.notes[0].startswith("edl_greedy stands in")


def test_runs_at_nearly_one_place_are_regularised():
    rng = np.random.default_rng(0)
    weights = np.array([0.5, 0.3, 0.2]) + 1e-7 * rng.standard_normal((12, 3))
    weights = np.abs(weights) / np.abs(weights).sum(axis=1, keepdims=True)
    problem = problem_of(space_of(3), 12)
    table = table_of(weights, 2.0 + rng.random((12, 1)))
    rows = BO(**FAST).plan(replace(problem, table=table), 2, rng)
    assert np.isfinite(rows).all()


def test_nothing_finished_is_nothing_to_recommend():
    with pytest.raises(DataError, match="no finished run"):
        BO().recommend(Problem(space_of(3)), np.random.default_rng(0))


def test_an_earlier_study_shortens_the_start():
    """Four runs and an earlier study of the same domains: the search begins, near its optimum."""
    space = space_of(4)
    old = measured(problem_of(space, 40, seed=9))
    assert old is not None
    warm = WarmStart.of(space, [(space, old)])
    problem = replace(problem_of(space, 4), warm=warm)
    plan = BO(**FAST).detailed(problem, 2, np.random.default_rng(0))
    assert plan.searched
    row = BO(**FAST).recommend(problem, np.random.default_rng(0))
    cold = np.median(bowl(space.uniform(200, np.random.default_rng(1))))
    assert bowl(row[None])[0] - 2.0 < 0.3 * (cold - 2.0)


def test_what_torch_drew_before_does_not_move_the_batch():
    problem, found = problem_of(space_of(5), 20, noise=0.03), []
    for state in (0, 1):
        torch.manual_seed(state)
        found.append(BO(**FAST).plan(problem, 2, np.random.default_rng(3)))
        drawn = torch.rand(1)
        torch.manual_seed(state)
        assert torch.equal(drawn, torch.rand(1))  # nor does the batch move what torch draws
    np.testing.assert_array_equal(*found)
