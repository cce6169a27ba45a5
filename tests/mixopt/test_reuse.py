"""Reuse: what counts as changed, ties that hold exactly the old mixture, and the runs it saves."""

import numpy as np
import pytest

from mixopt.config import DomainSpec
from mixopt.errors import DataError
from mixopt.laws import make_law
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers import propose
from mixopt.reuse import compare, reuse
from mixopt.space import Domain, Space
from mixopt.testing import planted_losses, table_of

OLD = {name: DomainSpec(tokens=1e9) for name in ("web", "code", "books")}
MIXTURE = {"web": 0.5, "code": 0.3, "books": 0.2}


def tied(names, made):
    return Space([Domain(name) for name in names], constraints=made.ties())


@pytest.mark.parametrize(
    ("new", "revised", "kept", "moving", "removed"),
    [
        ({**OLD, "law": DomainSpec()}, (), ("web", "code", "books"), ("law",), ()),
        ({"web": OLD["web"], "law": DomainSpec()}, (), ("web",), ("law",), ("code", "books")),
        ({**OLD, "code": DomainSpec(tokens=2e9)}, (), ("web", "books"), ("code",), ()),
        ({**OLD, "code": DomainSpec(tokens=1e9, max=0.5)}, (), ("web", "code", "books"), (), ()),
        (OLD, ("web",), ("code", "books"), ("web",), ()),
        ({**OLD, "unseen": DomainSpec(train=False)}, (), ("web", "code", "books"), (), ()),
    ],
    ids=["added", "removed", "revised", "other limits", "said so", "never trained on"],
)
def test_what_changed(new, revised, kept, moving, removed):
    change = compare(OLD, new, revised)
    assert (change.kept, change.moving, change.removed) == (kept, moving, removed)


def test_a_domain_that_was_split_is_one_removed_and_others_added():
    new = {
        "web": OLD["web"],
        "books": OLD["books"],
        "code:c": DomainSpec(),
        "code:py": DomainSpec(),
    }
    change = compare(OLD, new)
    assert change.removed == ("code",)
    assert change.added == ("code:c", "code:py")
    made = reuse(change, MIXTURE)
    assert made.shares == pytest.approx({"web": 5 / 7, "books": 2 / 7})
    assert (made.columns, made.runs, made.runs_without) == (3, 12, 15)


def test_only_a_domain_of_both_can_be_revised():
    with pytest.raises(DataError, match="law"):
        compare(OLD, OLD, ("law",))


def test_nothing_to_keep_and_nothing_to_study_are_said():
    with pytest.raises(DataError, match="no domain was added or revised"):
        reuse(compare(OLD, OLD), MIXTURE)
    with pytest.raises(DataError, match="nothing can be kept"):
        reuse(compare(OLD, {"law": DomainSpec()}), MIXTURE)


def test_a_domain_without_a_share_is_studied_again():
    made = reuse(compare(OLD, {**OLD, "law": DomainSpec()}), {"web": 0.6, "code": 0.4, "books": 0})
    assert made.free == ("law", "books")
    assert set(made.shares) == {"web", "code"}


def test_every_mixture_of_the_new_space_keeps_the_old_shares():
    made = reuse(compare(OLD, {**OLD, "law": DomainSpec(), "math": DomainSpec()}), MIXTURE)
    space = tied(("web", "code", "books", "law", "math"), made)
    assert space.tied == 2
    rows = space.uniform(50, np.random.default_rng(0))
    kept = rows[:, :3] / rows[:, :3].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(kept, np.tile([0.5, 0.3, 0.2], (50, 1)), atol=1e-7)
    assert rows[:, 3].std() > 0.1


def test_the_old_mixture_is_worth_the_same_before_and_after():  # methods.md T18
    """Collapsed to one column and expanded again, with nothing for what was added."""
    rng = np.random.default_rng(0)
    names = ("web", "code", "books", "law")
    weights = rng.dirichlet(np.ones(4), 60)
    law = make_law("edl").fit(weights, planted_losses(weights))
    made = reuse(compare(OLD, {**OLD, "law": DomainSpec()}), MIXTURE)
    whole, space = Space([Domain(name) for name in names]), tied(names, made)
    row = whole.row({**MIXTURE, "law": 0.0})
    assert space.contains(row[None], 1e-12)[0]
    again = space.project(row[None])
    goal = Objective("mean", "relative", ("loss/a", "loss/b", "loss/c"), np.ones(3))
    reference = law.predict(whole.reference[None])[0]
    before, after = (goal.value(law.predict(x), reference)[0] for x in (row[None], again))
    assert after == pytest.approx(before, abs=1e-12)


def test_a_proposal_in_the_tied_space_is_not_worse_than_the_old_mixture():
    rng = np.random.default_rng(1)
    names = ("web", "code", "books", "law")
    made = reuse(compare(OLD, {**OLD, "law": DomainSpec()}), MIXTURE)
    space = tied(names, made)
    weights = space.uniform(12, rng)
    table = table_of(weights, planted_losses(weights, 4))
    law = make_law("edl").fit(table.weights, table.losses)
    goal = Objective("mean", "relative", table.metrics, np.ones(4))
    problem = Problem(space, table, law, goal)
    rows = propose("exact", problem, 1, rng)
    assert space.contains(rows, 1e-8).all()
    old = np.array([[0.5, 0.3, 0.2, 0.0]])
    found, was = planted_losses(np.vstack([rows, old]), 4).mean(axis=1)
    assert found < was
