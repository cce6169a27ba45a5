"""What every law builds on: standardisation, bootstrap by mixture, correlation of residuals."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixopt.errors import DataError
from mixopt.laws.base import Array, Info, Law, bootstrap, mixture_groups, standardised
from mixopt.laws.correlation import shrunk_correlation
from mixopt.laws.mean import Mean


@dataclass
class Nearest(Law):
    """The loss of the nearest run; no sd of its own."""

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.noise_ = np.zeros(losses.shape[1])

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        apart = np.abs(weights[:, None] - self.train_weights_[None]).sum(axis=2)
        mean = self.train_losses_[apart.argmin(axis=1)]
        return mean, np.zeros_like(mean)


def test_standardised_leaves_holes_and_constants():
    losses = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]])
    z, centre, spread = standardised(losses)
    np.testing.assert_array_equal(z, [[-1.0, 0.0], [1.0, 0.0], [np.nan, 0.0]])
    np.testing.assert_array_equal(centre, [2.0, 5.0])
    np.testing.assert_array_equal(spread, [1.0, 0.0])


def test_bootstrap_keeps_replicates_together_and_every_metric_measured():
    rng = np.random.default_rng(0)
    weights = np.repeat(rng.dirichlet(np.ones(3), 6), 2, axis=0)
    losses = rng.standard_normal((12, 2))
    losses[2:, 1] = np.nan
    for _ in range(20):
        rows = bootstrap(weights, losses, rng)
        counts = np.bincount(rows, minlength=12)
        np.testing.assert_array_equal(counts[::2], counts[1::2])
        assert np.isfinite(losses[rows, 1]).any()


def test_default_draws_are_refits_on_other_runs():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), 10)
    losses = np.arange(10.0)[:, None]
    draws = Nearest().fit(weights, losses).sample(weights, 20, rng)
    assert draws.shape == (20, 10, 1)
    assert set(draws.ravel()) <= set(range(10))
    assert draws.std(axis=0).min() > 0


def test_default_gradient_is_one_sided_at_a_face():
    law = Mean().fit(np.eye(2), np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(Law.gradient(law, np.eye(2)), np.zeros((2, 1, 2)))


def test_mixture_groups_are_of_equal_rows():
    groups = mixture_groups(np.array([[0.5, 0.5], [0.1, 0.9], [0.5, 0.5 + 1e-12]]))
    assert groups[0] == groups[2] != groups[1]


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 12), st.integers(1, 6)),
        elements=st.floats(-5, 5, width=16) | st.just(float("nan")),
    )
)
def test_shrunk_correlation_is_positive_definite(residuals):
    correlation = shrunk_correlation(residuals)
    assert np.linalg.eigvalsh(correlation).min() > 0.05
    np.testing.assert_array_equal(np.diag(correlation), 1.0)


def test_shrinkage_is_by_metrics_and_runs():
    rng = np.random.default_rng(2)
    common = rng.standard_normal((6, 1)) * np.ones((6, 2))
    np.testing.assert_allclose(shrunk_correlation(common)[0, 1], 1 - 2 / 8)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_a_diverged_loss_is_refused(bad):
    with pytest.raises(DataError, match="diverged"):
        Mean().fit(np.eye(2), np.array([[1.0], [bad]]))
