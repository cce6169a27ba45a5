"""Pairwise law: interactions of a planted law and the size at which competition ends."""

import numpy as np
import pytest

from mixopt.errors import DataError, NotFittedError
from mixopt.laws.pairwise import Pairwise, barrier

SIZES = np.array([1e7, 3e7, 1e8, 1e9])


def planted_synergies(d, rng):
    upper = np.triu(rng.uniform(-0.1, 0.2, (d, d)), 1)
    return upper + upper.T


def losses_of(weights, synergies, curve):
    pairs = np.einsum("ki,ij,kj->k", weights, np.triu(synergies, 1), weights)
    return (3.0 + curve(weights) - 4.0 * pairs)[:, None]


def test_interactions_are_recovered():  # methods.md 3.21
    rng = np.random.default_rng(0)
    synergies, weights = planted_synergies(5, rng), rng.dirichlet(np.ones(5), 120)
    worth = rng.uniform(0.1, 1.0, 5)
    law = Pairwise().fit(weights, losses_of(weights, synergies, lambda w: -np.sqrt(w) @ worth))
    np.testing.assert_allclose(law.synergies()[0], synergies, atol=1e-4)


def test_interactions_are_found_behind_power_laws_and_noise():
    rng = np.random.default_rng(1)
    synergies, weights = planted_synergies(3, rng), rng.dirichlet(np.ones(3), 300)
    losses = losses_of(weights, synergies, lambda w: 0.3 * ((w + 0.03) ** -0.4).sum(axis=1))
    law = Pairwise().fit(weights, losses + 0.003 * rng.standard_normal((300, 1)))
    np.testing.assert_allclose(law.synergies()[0], synergies, atol=0.06)


def test_an_even_pair_is_lower_by_its_synergy():
    """The paper's L_ij = (L_i + L_j) / 2 - C_ij, for curves without bend of their own."""
    rng = np.random.default_rng(2)
    synergies, weights = planted_synergies(4, rng), rng.dirichlet(np.ones(4), 80)
    law = Pairwise().fit(weights, losses_of(weights, synergies, lambda w: w @ np.arange(4.0)))
    alone = law.predict(np.eye(4))[:, 0]
    pair = law.predict(np.array([[0.5, 0.0, 0.5, 0.0]]))[0, 0]
    np.testing.assert_allclose((alone[0] + alone[2]) / 2 - pair, synergies[0, 2], atol=1e-4)


def test_synergies_are_in_units_of_the_metric():
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), 60)
    losses = losses_of(weights, planted_synergies(3, rng), lambda w: w[:, 0])
    one, two = (Pairwise().fit(weights, unit * losses).synergies() for unit in (1.0, 10.0))
    np.testing.assert_allclose(two, 10.0 * one, rtol=1e-6)
    with pytest.raises(NotFittedError):
        Pairwise().synergies()


def test_runs_at_several_sizes_give_the_barrier():  # methods.md 3.21
    rng = np.random.default_rng(4)
    limit, exponent, crossing = 0.12, 0.3, 2.5e8
    height = limit * crossing**exponent
    found = []
    for size in SIZES:
        synergies = np.zeros((3, 3))
        synergies[0, 1] = synergies[1, 0] = limit - height * size**-exponent
        weights = rng.dirichlet(np.ones(3), 60)
        losses = losses_of(weights, synergies, lambda w: np.sqrt(w[:, 2]))
        found.append(Pairwise().fit(weights, losses).synergies()[0, 0, 1])
    assert found[0] < 0 < found[-1]
    result = barrier(SIZES, found)
    assert result.size is not None
    np.testing.assert_allclose(result.size, crossing, rtol=0.01)
    np.testing.assert_allclose([result.limit, result.exponent], [limit, exponent], rtol=0.02)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_never_changes_its_sign_has_no_barrier(sign):
    assert barrier(SIZES, sign * (0.1 + 5.0 * SIZES**-0.3)).size is None


@pytest.mark.parametrize("sizes", [SIZES[:2], [1.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
def test_too_few_sizes_are_refused(sizes):
    with pytest.raises(DataError, match="three or more sizes"):
        barrier(sizes, np.ones(len(sizes)))
