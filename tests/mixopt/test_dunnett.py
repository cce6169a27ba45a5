"""Dunnett's multivariate t: Student's t for one proposal, printed tables, simulation."""

import numpy as np
import pytest
from scipy.stats import t as student

from mixopt.dunnett import dunnett_quantile, dunnett_tail, power


@pytest.mark.parametrize("df", [1, 2, 4, 20, 100])
@pytest.mark.parametrize("level", [0.05, 0.001])
def test_one_proposal_is_students_t(df: int, level: float) -> None:
    assert dunnett_tail(student.isf(level, df), 1, df) == pytest.approx(level, rel=1e-4)


@pytest.mark.parametrize(
    ("proposals", "df", "printed"), [(2, 5, 2.44), (2, 10, 2.15), (3, 10, 2.34), (5, 20, 2.39)]
)
def test_one_sided_five_per_cent_points_of_dunnetts_table(
    proposals: int, df: int, printed: float
) -> None:
    assert round(dunnett_quantile(0.95, proposals, df), 2) == printed


def test_tail_agrees_with_simulation() -> None:
    rng = np.random.default_rng(0)
    proposals, df, draws = 3, 8, 200_000
    z = rng.standard_normal((draws, proposals + 1))
    u = np.sqrt(rng.chisquare(df, draws) / df)
    largest = ((z[:, :1] - z[:, 1:]) / (np.sqrt(2) * u[:, None])).max(axis=1)
    for t in (1.0, 2.0, 3.0):
        seen = (largest >= t).mean()
        assert dunnett_tail(t, proposals, df) == pytest.approx(seen, abs=4 * np.sqrt(seen / draws))


def test_more_proposals_need_a_larger_t() -> None:
    points = [dunnett_quantile(0.95, proposals, 12) for proposals in (1, 2, 4, 8)]
    assert points == sorted(points)
    assert points[0] < points[-1]


def test_power_agrees_with_simulation() -> None:
    rng = np.random.default_rng(1)
    gain, noise, blocks, rivals, draws = 0.02, 0.01, 5, 3, 100_000
    df = rivals * (blocks - 1)
    means = noise / np.sqrt(blocks) * rng.standard_normal((draws, rivals + 1))
    s = noise * np.sqrt(rng.chisquare(df, draws) / df)
    reach = dunnett_quantile(0.95, 1, df) * s * np.sqrt(2 / blocks)
    found = (means[:, 1:].min(axis=1) - (means[:, 0] - gain) > reach).mean()
    assert power(gain, noise, blocks, 1, rivals, 0.95) == pytest.approx(found, abs=0.006)


def test_power_without_a_gain_is_at_most_the_error_rate() -> None:
    assert power(0.0, 1.0, 6, 1, 1, 0.95) == pytest.approx(0.05, abs=1e-6)
    assert power(0.0, 1.0, 6, 1, 4, 0.95) < 0.05
