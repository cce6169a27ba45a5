"""DoReMi, DoGE, Skill-It and Aioli: closed forms, and simulators in which the truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError, DataError
from mixopt.online.aioli import Aioli, mixing_matrix, normalised, perturbed
from mixopt.online.base import Feedback
from mixopt.online.budget import Budget
from mixopt.online.doge import DoGE, alignment
from mixopt.online.doremi import DoReMi, excess_step
from mixopt.online.exponentiated import exponentiated
from mixopt.online.skillit import SkillIt, skill_graph


def budget(d):
    return Budget.of([f"d{j}" for j in range(d)])


def feedback(step, drawn, **evidence):
    drawn = np.asarray(drawn, dtype=np.float64)
    loss = evidence.pop("train_loss", np.full(len(drawn), 3.0))
    return Feedback(step, 1000, 100 * step, drawn, loss, **evidence)


# the shared step


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.floats(0.01, 2.0))
def test_equal_gains_move_nothing_and_constants_do_not_matter(gains, rate):
    x = np.full(len(gains), 1.0 / len(gains))
    np.testing.assert_allclose(exponentiated(x, np.full(len(x), 7.0), rate), x)
    one = exponentiated(x, np.array(gains), rate)
    np.testing.assert_allclose(exponentiated(x, np.array(gains) + 11.0, rate), one, atol=1e-9)


def test_a_share_that_vanished_comes_back():
    x = exponentiated(np.array([1.0, 1.0]) / 2, np.array([1e4, 0.0]), 1.0)
    for _ in range(80):
        x = exponentiated(x, np.array([0.0, 1.0]), 1.0)
    assert x[1] > 0.99


# DoReMi


def test_doremi_doubles_the_share_of_an_excess_of_ln_2():
    moved = excess_step(np.array([0.5, 0.5]), np.array([np.log(2.0), 0.0]), 1.0, 0.0)
    np.testing.assert_allclose(moved, [2 / 3, 1 / 3])


def test_doremi_ignores_equal_and_negative_excess():
    x = np.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(excess_step(x, np.full(3, 0.4), 1.0, 0.0), x)
    np.testing.assert_allclose(excess_step(x, np.array([-3.0, 0.0, -1.0]), 1.0, 0.0), x)


def test_doremi_stays_uniform_beside_an_equal_reference():
    controller = DoReMi(budget(3))
    losses = np.array([4.0, 2.0, 3.0])
    for step in range(1, 30):
        told = feedback(step, 33 * step * np.ones(3), train_loss=losses, reference=losses)
        controller.observe(told)
    np.testing.assert_allclose(controller.weights(), 1 / 3)
    np.testing.assert_allclose(controller.average(), 1 / 3)


def test_doremi_proposes_the_mean_of_its_weights():
    controller, seen = DoReMi(budget(2), floor=0.0), []
    for step in range(1, 6):
        losses = np.array([3.2, 3.0])
        controller.observe(
            feedback(step, [50 * step] * 2, train_loss=losses, reference=np.full(2, 3.0))
        )
        seen.append(controller.weights())
    np.testing.assert_allclose(controller.average(), np.mean(seen, axis=0))
    assert controller.average()[0] > 0.5


def test_doremi_without_its_reference_is_an_error():
    with pytest.raises(DataError, match="doremi needs reference"):
        DoReMi(budget(2)).observe(feedback(1, [1, 1]))


# DoGE


def quadratic_gradients(theta, centres):
    return theta - centres


def test_doge_weighs_symmetric_domains_equally():
    gradients = quadratic_gradients(np.zeros(2), np.array([[1.0, 0.5], [-1.0, -0.5]]))
    np.testing.assert_allclose(alignment(gradients @ gradients.T), 0.0, atol=1e-12)
    gradients = np.array([[1.0, 0.0], [0.0, 1.0]])
    controller = DoGE(budget(2))
    controller.observe(feedback(20, [9, 9], gram=gradients @ gradients.T))
    np.testing.assert_allclose(controller.weights(), 0.5)


def test_doge_leaves_the_domain_that_pulls_against_the_rest():
    gradients = np.array([[1.0, 0.1], [1.0, -0.1], [-0.8, 0.0]])
    controller, shares = DoGE(budget(3), floor=0.0), []
    for step in range(20, 300, 20):
        controller.observe(feedback(step, [step] * 3, gram=gradients @ gradients.T))
        shares.append(controller.weights()[2])
    assert (np.diff(shares) < 0).all()


def test_doge_toward_targets_goes_to_the_domain_that_is_the_target():
    gradients = np.eye(3)
    target = gradients[1:2]
    controller = DoGE(budget(3), floor=0.0, toward="targets")
    for step in range(20, 800, 20):
        controller.observe(feedback(step, [step] * 3, influence=target @ gradients.T))
    assert controller.weights()[1] > 0.99
    assert "collapsed:d1" in controller.remarks()


def test_doge_has_no_units():
    gram = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(alignment(gram), alignment(1e6 * gram))


# Skill-It


def skill_feedback(step, losses, probes=None):
    return feedback(step, [step] * len(losses), eval_loss=losses, probe_loss=probes)


def test_skillit_is_uniform_for_an_identity_graph_and_for_none():
    losses = np.full(3, 2.0)
    for after in (np.full((3, 3), 2.0) - np.eye(3), np.full((3, 3), 2.0)):
        controller = SkillIt(budget(3))
        controller.observe(skill_feedback(100, losses, after))
        np.testing.assert_allclose(controller.weights(), 1 / 3)


def test_skillit_follows_its_graph():
    graph = skill_graph(np.array([2.0, 2.0]), np.array([[1.0, 1.0], [2.0, 1.5]]))
    np.testing.assert_allclose(graph, np.array([[0.5, 0.0], [0.5, 0.25]]) / 1.25)


class Chain:
    """Skill 2 is learned only when skill 1 is known; domain 3 is noise that teaches nothing."""

    def __init__(self):
        self.losses = np.array([4.0, 4.0, 4.0])

    def after(self, weights, steps):
        losses = self.losses.copy()
        for _ in range(steps):
            losses[0] -= 0.02 * weights[0] * losses[0]
            if losses[0] < 2.0:
                losses[1] -= 0.02 * weights[1] * losses[1]
        return losses

    def train(self, weights, steps):
        self.losses = self.after(weights, steps)


def chained(controller, turns=40, steps=10):
    """Mean loss of the two skills after training under a controller."""
    world = Chain()
    for turn in range(1, turns + 1):
        world.train(controller.weights(), steps)
        probes = controller.probes()
        after = None
        if probes is not None:
            after = np.stack([world.after(row, probes[1]) for row in probes[0]])
        controller.observe(skill_feedback(steps * turn, world.losses, after))
    return world.losses[:2].mean()


@pytest.mark.parametrize("make", [SkillIt, Aioli])
def test_a_chain_of_skills_is_learned_better_than_under_equal_shares(make):
    settings = {"rate": 2.0} if make is SkillIt else {"refresh": 10, "rate": 1.0}
    equal = Chain()
    equal.train(np.full(3, 1 / 3), 400)
    settings |= {"every": 10, "steps": 20, "relearn": 5} if make is SkillIt else {}
    assert chained(make(budget(3), **settings)) < equal.losses[:2].mean()


# Aioli


@pytest.mark.parametrize(("d", "own"), [(4, 0.625), (3, 0.75), (2, 0.1), (7, 0.5)])
def test_aioli_recovers_a_linear_law_exactly(d, own):
    truth = np.random.default_rng(d).standard_normal((5, d))
    drops = perturbed(d, own) @ truth.T
    np.testing.assert_allclose(mixing_matrix(drops, own), truth, atol=1e-8)


def test_aiolis_system_is_well_conditioned():
    assert np.linalg.cond(perturbed(4, 0.625)) == pytest.approx(2.0)


@pytest.mark.parametrize("d", [2, 4, 10])
def test_aioli_refuses_mixtures_that_tell_nothing_apart(d):
    with pytest.raises(ConfigError, match="not be 1/d"):
        Aioli(budget(d), own=1 / d)


def forks_of(matrix, losses, controller):
    rows, _ = controller.probes()
    return losses - rows @ matrix.T


def test_aioli_stays_for_equal_columns():
    controller, losses = Aioli(budget(2)), np.array([3.0, 4.0])
    after = forks_of(np.array([[0.2, 0.2], [0.5, 0.5]]), losses, controller)
    controller.observe(feedback(100, [5, 5], eval_loss=losses, probe_loss=after))
    np.testing.assert_allclose(controller.weights(), 0.5)


def test_aioli_grows_by_e_to_the_eta_each_step():
    controller, losses = Aioli(budget(2), rate=0.3, floor=0.0), np.array([3.0, 4.0])
    after = forks_of(np.array([[1.0, 0.0], [0.0, 0.0]]), losses, controller)
    ratios = []
    for step in (100, 200, 300):
        controller.observe(feedback(step, [step] * 2, eval_loss=losses, probe_loss=after))
        weights = controller.weights()
        ratios.append(weights[0] / weights[1])
    np.testing.assert_allclose(ratios, np.exp([0.3, 0.6, 0.9]))


def test_aioli_learns_on_the_run_what_it_learns_from_forks():
    """Linear dynamics, no noise: the run's own sweeps find the same matrix."""
    matrix = np.array([[0.03, 0.01, 0.0], [0.0, 0.02, 0.01]])
    controller = Aioli(budget(3), learning="run", steps=2, rounds=3, refresh=8, floor=0.0)
    losses, step, mixtures = np.array([9.0, 9.0]), 0, []
    for _ in range(1 + 9):
        mixtures.append(controller.weights())
        losses, step = losses - matrix @ controller.weights(), step + 2
        controller.observe(feedback(step, [step] * 3, eval_loss=losses))
    np.testing.assert_allclose(mixtures[1:], np.tile(perturbed(3, 0.625), (3, 1)))
    expected = normalised(matrix)
    np.testing.assert_allclose(controller.reasons()["matrix"], expected, atol=1e-9)
    moved = exponentiated(np.full(3, 1 / 3), expected.sum(axis=0), 0.2)
    np.testing.assert_allclose(controller.weights(), moved)


def test_aioli_asks_for_losses_only_while_it_learns():
    controller = Aioli(budget(2), learning="run", steps=1, rounds=1, refresh=4)
    asked = []
    for step in range(1, 15):
        asked.append("eval_loss" in controller.needs)
        controller.observe(feedback(step, [step] * 2, eval_loss=np.array([3.0, 2.0])))
    assert asked == ([True] * 3 + [False] * 3) * 2 + [True] * 2


def test_a_metric_that_is_missing_says_nothing():
    drops = np.array([[0.2, np.nan], [0.1, 0.3]])
    matrix = normalised(mixing_matrix(drops, 0.625))
    assert np.isfinite(matrix).all()
    assert matrix.sum() == pytest.approx(1.0)
