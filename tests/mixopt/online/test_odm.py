"""ODM: equal shares at first and for equal rewards, unbiased estimates, and who wins in the end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.online.base import Feedback
from mixopt.online.budget import Budget
from mixopt.online.odm import ODM, exploration, odm_weights, updated_rewards

FORMS = ("paper", "published", "cumulative")


@pytest.mark.parametrize("form", FORMS)
def test_the_first_mixture_is_uniform(form):
    rewards = np.array([9.0, 1.0, 3.0])
    np.testing.assert_allclose(odm_weights(rewards, 1, form), 1 / 3)


@pytest.mark.parametrize("form", FORMS)
@given(reward=st.floats(0, 20), time=st.integers(1, 10_000))
def test_equal_rewards_are_uniform(form, reward, time):
    np.testing.assert_allclose(odm_weights(np.full(4, reward), time, form), 0.25)


@pytest.mark.parametrize("form", FORMS)
@given(rewards=st.lists(st.floats(0, 30), min_size=2, max_size=6), time=st.integers(1, 10_000))
def test_no_arm_falls_below_eps(form, rewards, time):
    weights = odm_weights(np.array(rewards), time, form)
    assert weights.min() >= exploration(len(rewards), time) - 1e-12
    assert abs(weights.sum() - 1.0) < 1e-12


def test_the_estimate_is_unbiased():
    """Importance weighting undoes how often an arm is drawn, batch by batch."""
    rng = np.random.default_rng(0)
    weights, losses, draws = np.array([0.6, 0.3, 0.1]), np.array([1.0, 2.0, 3.0]), 40_000
    arms = rng.choice(3, draws, p=weights)
    estimates = np.zeros((draws, 3))
    for index, arm in enumerate(arms):
        share = np.eye(3)[arm]
        seen = np.where(share > 0, losses, np.nan)
        estimates[index] = updated_rewards(np.zeros(3), seen, share, weights, "cumulative", 0.9)
    error = estimates.std(axis=0) / np.sqrt(draws)
    assert (np.abs(estimates.mean(axis=0) - losses) < 4 * error).all()


def pulls(form, seed, turns=5000):
    """Shares of the pulls of three arms with mean rewards .5, .3, .3."""
    rng = np.random.default_rng(seed)
    rewards, counts = np.zeros(3), np.zeros(3)
    for time in range(1, turns + 1):
        weights = odm_weights(rewards, time, form)
        arm = rng.choice(3, p=weights / weights.sum())
        share = np.eye(3)[arm]
        loss = float(rng.random() < (0.5 if arm == 0 else 0.3))
        seen = np.where(share > 0, loss, np.nan)
        rewards = updated_rewards(rewards, seen, share, weights, form, 0.9)
        counts += share
    return counts / turns, odm_weights(rewards, turns, form)


def test_the_cumulative_form_finds_the_best_arm():
    assert np.mean([pulls("cumulative", seed)[0][0] for seed in range(3)]) > 0.6


def test_the_papers_form_tends_to_equal_shares():
    """A bounded average under an exploration that falls: known, and no fault of the code."""
    final = odm_weights(np.array([1.0, 0.6, 0.6]), 5000, "paper")
    assert np.abs(final - 1 / 3).max() < 0.01


def test_the_published_form_follows_the_loss_without_weighting():
    share = np.array([0.9, 0.1])
    rewards = updated_rewards(
        np.zeros(2), np.array([2.0, 1.0]), share, np.array([0.9, 0.1]), "published", 0.9
    )
    np.testing.assert_allclose(rewards, 0.1 * np.exp([2.0, 1.0]))


def test_what_was_not_drawn_is_not_learned_from():
    controller = ODM(Budget.of(["a", "b"]), form="published")
    told = Feedback(1, 10, 100, np.array([100.0, 0.0]), np.array([3.0, 8.0]))
    controller.observe(told)
    rewards = controller.reasons()["rewards"]
    assert rewards["a"] > 0
    assert rewards["b"] == 0


def test_another_form_is_refused():
    with pytest.raises(ConfigError, match="form must be one of paper"):
        ODM(Budget.of(["a"]), form="exp4")  # pyright: ignore[reportArgumentType]
