"""Members of a law that promise different gains for their own optima are noticed."""

import numpy as np

from mixopt.agreement import MemberOptimum, disagree, member_optima
from mixopt.laws import make_law
from mixopt.objective import Objective
from mixopt.testing import planted_runs

POOL = np.random.default_rng(0).dirichlet(np.ones(3), 300)
UNIFORM = np.full(3, 1 / 3)


def optima_of(losses_of, law="edl_gp"):
    """Members fitted to runs that gave the first domain at most a half."""
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), 200)
    weights = weights[weights[:, 0] < 0.5][:60]
    losses = losses_of(weights)[:, None] + 0.002 * rng.standard_normal((60, 1))
    fitted = make_law(law).fit(weights, losses)
    objective = Objective("one", "relative", ("loss/a",), np.ones(1))
    reference = fitted.predict(UNIFORM[None])[0]

    def propose(one):
        return POOL[objective.value(one.predict(POOL), reference).argmin()]

    return member_optima(fitted, objective, reference, ("uniform", UNIFORM), propose, rng)


def test_members_agree_where_the_world_is_smooth():
    assert not disagree(optima_of(lambda w: 2 + (0.2 + np.sqrt(w) @ [1.5, 0.5, 0.1]) ** -0.7))


def test_members_disagree_where_the_runs_just_begin_to_show_that_more_harms():
    assert disagree(optima_of(lambda w: 3 - w[:, 0] + 4 * np.maximum(w[:, 0] - 0.45, 0)))


def test_a_law_without_members_has_no_quarrel():
    weights, losses = planted_runs(30, 3, np.random.default_rng(2), metrics=1)
    law = make_law("ridge").fit(weights, losses)
    assert law.parts() == {}
    assert not disagree([])
    assert not disagree([MemberOptimum("edl", UNIFORM, 0.5, 0.1)])
