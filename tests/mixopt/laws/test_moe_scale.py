"""Capacity-conditioned law: recovery over active and total parameters, and when u is kept."""

import numpy as np
import pytest

from mixopt.laws.base import Info
from mixopt.laws.moe_scale import MoeScale, decision_regret

SCALES = np.array(
    [[4e6, 1e6, 1e8], [16e6, 1e6, 4e8], [16e6, 4e6, 1e8], [64e6, 16e6, 4e8], [256e6, 16e6, 16e8]]
)
LARGE = np.array([1024e6, 64e6, 64e8])
D = 4
T = np.array([[1.2, 0.1, -0.3, 0.4], [0.0, 1.0, 0.2, -0.2], [0.3, 0.3, 0.9, 0.0]])


def truth(weights: np.ndarray, scales: np.ndarray, u: np.ndarray) -> np.ndarray:
    """1 + exp(.5 - t.w - .15 ln Na - .05 ln (N / Na) - .1 ln D + (u.w) ln Na), u (3, d)."""
    size, tokens = np.log(scales[:, 1:2] / 1e6), np.log(scales[:, 2:] / 1e8)
    sparsity = np.log(scales[:, :1] / scales[:, 1:2])
    falls = 0.15 * size + 0.05 * sparsity + 0.1 * tokens
    return 1 + np.exp(0.5 - weights @ T.T - falls + weights @ u.T * size)


def runs(u: np.ndarray, n: int = 120) -> tuple[np.ndarray, np.ndarray, Info]:
    rng = np.random.default_rng(0)
    weights, scales = rng.dirichlet(np.ones(D), n), SCALES[np.arange(n) % len(SCALES)]
    losses = truth(weights, scales, u)
    return weights, losses + 0.002 * rng.standard_normal(losses.shape), Info(scales=scales)


PLAIN = np.zeros((3, D))
TILTED = np.array([[-0.2, 0.15, 0.1, 0.0], [0.2, -0.2, 0.0, 0.1], [0.0, 0.2, -0.2, 0.1]])
ROWS = np.random.default_rng(1).dirichlet(np.ones(D), 100)


@pytest.mark.parametrize("u", [PLAIN, TILTED], ids=["plain", "tilted"])
def test_losses_of_a_larger_and_sparser_model_are_predicted(u):
    law = MoeScale().fit(*runs(u))
    actual = truth(ROWS, np.tile(LARGE, (100, 1)), u)
    error = np.sqrt(np.mean((law.predict(ROWS, LARGE) - actual) ** 2, axis=0))
    assert (error < 0.25 * actual.std(axis=0)).all()


def test_u_is_kept_where_it_lowers_the_regret_and_only_there():
    assert MoeScale().fit(*runs(TILTED)).tilted_
    assert not MoeScale().fit(*runs(PLAIN)).tilted_


def test_u_is_not_judged_on_a_handful_of_mixtures():
    assert not MoeScale().fit(*runs(TILTED, n=40)).tilted_
    assert MoeScale(interaction=True).fit(*runs(TILTED, n=40)).tilted_


def test_regret_is_zero_for_a_law_that_picks_the_best():
    weights, _, info = runs(TILTED)
    assert info.scales is not None
    judged = info.scales[:, 0] == 256e6
    clean = truth(weights, info.scales, TILTED)
    found = [
        decision_regret(MoeScale(interaction=tilted), weights, clean, info, judged)
        for tilted in (False, True)
    ]
    assert found[1] < 0.02
    assert found[1] < found[0]


def test_total_parameters_buy_what_they_bought():
    law = MoeScale(interaction=False).fit(*runs(PLAIN))
    dense, sparse = (law.predict(ROWS, (total, 16e6, 4e8)) for total in (64e6, 256e6))
    expected = truth(ROWS, np.tile([256e6, 16e6, 4e8], (100, 1)), PLAIN)
    expected = expected - truth(ROWS, np.tile([64e6, 16e6, 4e8], (100, 1)), PLAIN)
    np.testing.assert_allclose(sparse - dense, expected, atol=0.01)
