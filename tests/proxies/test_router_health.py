"""Router health against closed forms, and what chance alone gives."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from proxies.router_health import load_metrics, mutual_information, router_health


def planted(domains, experts, windows=6, tokens=32):
    """Each domain has a share of the experts for itself: its windows are spread evenly over it."""
    own = experts // domains
    domain = np.repeat(np.arange(domains), windows)
    counts = np.zeros((len(domain), 2, experts), dtype=np.int64)
    for window, q in enumerate(domain):
        counts[window, :, q * own : (q + 1) * own] = tokens
    return counts, domain


def by_chance(rng, windows=15, domains=4, experts=6):
    """Windows that go to experts of their own liking, whatever their domain."""
    domain = np.repeat(np.arange(domains), windows)
    likings = rng.dirichlet(np.full(experts, 2.0), (len(domain), 2))
    return rng.multinomial(64, likings), domain


@pytest.mark.parametrize(("domains", "experts"), [(2, 8), (4, 8), (8, 8)])
def test_experts_of_their_own_are_all_the_information_there_is(domains, experts):
    health = router_health(*planted(domains, experts))
    np.testing.assert_allclose(health.information, log(domains))
    np.testing.assert_allclose(health.own, 1.0)
    np.testing.assert_allclose(health.effective, experts / domains)
    assert health.metrics["router/maxvio"] == pytest.approx(0.0)


def test_pairs_of_domains_that_share_experts_tell_only_which_pair():
    counts, domain = planted(2, 8, windows=12)
    health = router_health(counts, 2 * domain + np.arange(24) % 2)
    np.testing.assert_allclose(health.information, log(2), atol=1e-12)
    np.testing.assert_allclose(health.own, 0.5)


def test_equal_loads_tell_nothing():
    health = router_health(np.full((12, 2, 8), 4), np.repeat([0, 1, 2], 4))
    np.testing.assert_allclose(health.information, 0.0, atol=1e-12)
    np.testing.assert_allclose(health.own, 1 / 3)
    np.testing.assert_allclose(health.effective, 8.0)
    assert health.p == 1.0
    assert health.metrics["router/entropy"] == pytest.approx(1.0)


def test_chance_has_uniform_p_and_no_information_on_average():
    rng = np.random.default_rng(0)
    found = [router_health(*by_chance(rng)) for _ in range(120)]
    assert kstest([health.p for health in found], "uniform").pvalue > 1e-4
    corrected = np.array([health.information.mean() for health in found])
    counted = np.mean([mutual_information(health.counts).mean() for health in found])
    assert abs(corrected.mean()) < 4 * corrected.std() / np.sqrt(len(found))
    assert corrected.mean() < 0.1 * counted


def test_a_weak_preference_is_found():
    rng = np.random.default_rng(1)
    counts, domain = by_chance(rng, windows=40)
    counts[domain == 0, :, 0] += 20
    health = router_health(counts, domain)
    assert health.p == 1 / 200
    assert health.own[0] > health.own[1:].max()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_order_of_experts_domains_and_windows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    counts, domain = by_chance(rng)
    counts[:, :, 0] += 1  # no empty window
    straight = router_health(counts, domain)
    rows = rng.permutation(len(domain))
    moved = router_health(counts[rows][:, :, rng.permutation(6)], 3 - domain[rows])
    np.testing.assert_allclose(moved.information, straight.information)
    np.testing.assert_allclose(moved.own[::-1], straight.own)
    assert np.all((straight.own >= 1 / 4 - 1e-12) & (straight.own <= 1))
    assert np.all(mutual_information(straight.counts) <= log(4))


def test_one_domain_has_nothing_to_be_told_from():
    health = router_health(np.full((3, 1, 4), 2), np.zeros(3, dtype=int))
    assert set(health.metrics) == {"router/maxvio", "router/dead", "router/entropy"}


def test_arguments_are_not_written_to():
    counts, domain = planted(2, 4)
    for array in (counts, domain):
        array.setflags(write=False)
    router_health(counts, domain)


def test_load_of_a_collapsed_layer_beside_a_balanced_one():
    found = load_metrics(np.array([[8, 0, 0, 0], [2, 2, 2, 2]]))
    assert found == {"router/maxvio": 1.5, "router/dead": 3 / 8, "router/entropy": 0.5}
