"""Warm start: an earlier study with other domains tells a new one where to look."""

import numpy as np
import pytest

from mixopt.designs.search import measured
from mixopt.errors import DataError
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.space import Domain, Space
from mixopt.testing import table_of
from mixopt.warm_start import WarmStart

GOAL = Objective("one", "relative", ("loss/domain0",), np.ones(1))
OLD = Space([Domain("web"), Domain("code"), Domain("books")])
NEW = Space([Domain("code"), Domain("web"), Domain("news")])


def losses(space, weights):
    """Web is worth most wherever it stands, what is not known before nothing."""
    worth = {"web": 3.0, "code": 0.5}
    shares = np.array([worth.get(name, 0.1) for name in space.names])
    return 2.0 + (0.2 + np.sqrt(weights) @ shares)[:, None] ** -0.7


def known_of(space, n, seed=0):
    weights = space.uniform(n, np.random.default_rng(seed))
    known = measured(Problem(space, table_of(weights, losses(space, weights)), objective=GOAL))
    assert known is not None
    return known


def test_few_runs_of_the_new_study_take_the_shape_of_the_old_one():
    warm = WarmStart.of(NEW, [(OLD, known_of(OLD, 30))])
    trend = warm.trend(NEW, known_of(NEW, 4, seed=1))
    rows = NEW.uniform(200, np.random.default_rng(2))
    truth = losses(NEW, rows)[:, 0]
    assert np.corrcoef(trend(rows), truth)[0, 1] > 0.6
    assert trend(np.array([[0.1, 0.8, 0.1]]))[0] < trend(np.array([[0.8, 0.1, 0.1]]))[0]


def test_columns_are_matched_by_name():
    other = NEW.relabelled([2, 1, 0])
    rows = NEW.uniform(5, np.random.default_rng(3))
    old = [(OLD, known_of(OLD, 30))]
    one = WarmStart.of(NEW, old).responses[0].at(NEW, rows)
    turned = WarmStart.of(other, old).responses[0].at(other, rows[:, [2, 1, 0]])
    np.testing.assert_allclose(one, turned)


def test_what_is_read_again_is_never_a_gain():
    tokens = [Domain("code", tokens=1e6), Domain("web", tokens=1e5), Domain("news", tokens=1e6)]
    space = Space(tokens, target_tokens=1e6, prior={"code": 0.4, "web": 0.2, "news": 0.4})
    warm = WarmStart.of(space, [(OLD, known_of(OLD, 30))])
    known = known_of(space, 12)
    free = WarmStart.of(NEW, [(OLD, known_of(OLD, 30))]).trend(NEW, known)
    trend = warm.trend(space, known)
    at = np.array([[0.3, 0.4, 0.3]])
    assert trend(at)[0] >= free(at)[0] - 0.05


def test_studies_without_common_domains_are_refused():
    other = Space([Domain("web"), Domain("law")])
    with pytest.raises(DataError, match="shares 2 domains"):
        WarmStart.of(other, [(OLD, known_of(OLD, 20))])
