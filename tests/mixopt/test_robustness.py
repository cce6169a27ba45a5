"""The robustness arm: which orders agree, which mixtures lead, and what fit says of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from mixopt import Experiment
from mixopt.errors import ConfigError, DataError, StaleError
from mixopt.robustness import LEADERS, RateMoves, least_agreed, rate_moves
from mixopt.runs import LR_SCALE, ROBUSTNESS
from mixopt.stages.fit import fitted
from mixopt.verdict import FitEvidence, ProposalEvidence, judge_fit, judge_proposal

DOMAINS = {"web": 9e5, "code": 8e5, "books": 7e5}
PROXY = "tokens = 1000\nscale = [20e6, 4e6]\nseeds = [1, 2]\n"


def rows_of(count, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(3), count)


def compare(tuned, arm, rows=None):
    rows = rows_of(len(tuned)) if rows is None else rows
    return rate_moves((rows, np.array(tuned)), (rows, np.array(arm)), 0.1, np.random.default_rng(0))


@given(st.permutations(range(8)))
def test_tau_is_kendalls_over_the_leaders(order):
    found = compare(np.arange(8.0), np.array(order, dtype=float))
    expected = kendalltau(np.arange(8), order).statistic
    assert found.tau == pytest.approx(expected)
    assert found.moves == (expected < 0.8)
    assert (found.mixtures, found.lr_scale) == (8, 0.1)


def test_only_the_leaders_count():
    tuned = np.arange(16.0)
    arm = tuned.copy()
    arm[LEADERS:] = arm[LEADERS:][::-1]  # the rest is upside down
    found = compare(tuned, arm)
    assert (found.mixtures, found.tau) == (LEADERS, 1.0)
    arm = tuned.copy()
    arm[:LEADERS] = arm[:LEADERS][::-1]
    assert compare(tuned, arm).tau == -1.0


def test_replicates_are_averaged_and_rows_may_come_in_any_order():
    rows = rows_of(6)
    tuned = np.repeat(rows, 2, axis=0), np.repeat(np.arange(6.0), 2) + np.tile([-3.0, 3.0], 6)
    order = np.random.default_rng(1).permutation(6)
    found = rate_moves(tuned, (rows[order], np.arange(6.0)[order]), 0.1, np.random.default_rng(0))
    assert (found.mixtures, found.tau, found.moves) == (6, 1.0, False)


def test_too_little_is_no_finding():
    assert compare([0.0], [1.0]).tau is None
    few = compare([0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0])
    assert (few.tau, few.moves) == (-1.0, False)
    assert compare(np.zeros(6), np.arange(6.0)).tau is None
    unknown = compare(np.arange(7.0), [0.0, 1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    assert (unknown.mixtures, unknown.tau) == (6, 1.0)
    assert least_agreed([]) == RateMoves()
    assert least_agreed([RateMoves(6, 0.9), RateMoves(6, 0.1), RateMoves(1)]).tau == 0.1


def test_a_gain_is_not_claimed_where_the_order_depends_on_the_rate():
    good = {"runs": 40, "columns": 3, "spread": 1.0, "noise": 0.01, "rank": 0.95}
    steady, moving = (judge_fit(FitEvidence(**good, rate_moves=moves)) for moves in (False, True))
    assert (steady.reasons, moving.reasons) == ((), ("rate_moves",))
    pick = ProposalEvidence(fit=moving, gains=(), support=9, replicated=True)
    assert judge_proposal(pick).kind == "ranking_only"
    assert "rate_moves" in judge_proposal(pick).reasons


@pytest.fixture
def study(tmp_path, make_experiment):
    exp = make_experiment(tmp_path, DOMAINS, PROXY, target=1e6)
    exp.sample(24, "dirichlet")
    return exp


def record(exp, runs, order=1.0):
    """Losses of a known law; the arm's order is that of the swarm, or the reverse."""
    for run in runs:
        mixture = run.schedule[0][1]
        losses = {f"loss/{name}": 3 - order * share**0.5 for name, share in mixture.items()}
        exp.record(run.id, {name: float(value) for name, value in losses.items()})


def swarm(exp):
    return [run for run in exp.runs() if run.origin != ROBUSTNESS]


def mean_loss(run):
    return np.mean(list(run.metrics.values()))


def test_the_leading_mixtures_are_planned_once_in_one_block(study):
    record(study, swarm(study))
    plan = study.sample_again(10, 0.1)
    assert plan.new == len(plan.runs) == 10
    assert study.sample_again(10, 0.1).new == 0
    tuned = {str(run.schedule): run for run in swarm(study)}
    best = sorted({round(mean_loss(run), 9) for run in tuned.values()})[:10]
    led = [round(mean_loss(tuned[str(run.schedule)]), 9) for run in plan.runs]
    assert led == pytest.approx(best)
    identity = study.proxy_file.identity()
    for run in plan.runs:
        assert run.proxy == {**identity, LR_SCALE: 0.1}
        assert (run.seed, run.origin) == (1, ROBUSTNESS)
        assert run.id not in {own.id for own in swarm(study)}
    assert study.sample_again(10, 0.3).new == 10


def test_before_the_swarm_is_trained_its_first_mixtures_are_planned(study):
    plan = study.sample_again(5, 0.1)
    mixtures = {str(run.schedule) for run in plan.runs}
    assert len(mixtures) == 5
    assert mixtures <= {str(run.schedule) for run in swarm(study)}


def test_what_cannot_be_repeated_is_said(study):
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="positive number"):
            study.sample_again(5, wrong)
    (study.folder / "proxy.toml").write_text(PROXY.replace("1000", "2000"))
    with pytest.raises(DataError, match="without --lr-scale first"):
        Experiment(study.folder).sample_again(5, 0.1)


@pytest.mark.parametrize(("order", "moves"), [(0.5, False), (-0.5, True)])
def test_fit_says_whether_the_order_stays_and_no_law_learns_from_the_arm(study, order, moves):
    record(study, swarm(study))
    before = study.fit("ridge", compare=["ridge"])
    assert before.objectives["mean"].rates == RateMoves()
    fitted(study)
    arm = study.sample_again(8, 0.1).runs
    record(study, arm, order)
    with pytest.raises(StaleError, match="another learning rate"):
        fitted(study)
    after = study.fit("ridge", compare=["ridge"])
    one = after.objectives["mean"]
    assert (one.rates.mixtures, one.rates.lr_scale) == (8, 0.1)
    assert one.rates.tau == pytest.approx(-1.0 if moves else 1.0)
    assert ("rate_moves" in one.verdict.reasons) == moves
    assert (after.runs, after.left_out) == (before.runs, before.left_out)
    assert len(study.table()) == len(swarm(study))
    fitted(study)


def test_the_arm_of_another_proxy_is_not_compared(study):
    record(study, swarm(study))
    record(study, study.sample_again(8, 0.1).runs, -0.5)
    (study.folder / "proxy.toml").write_text(PROXY.replace("1000", "2000"))
    other = Experiment(study.folder)
    other.sample(26, "dirichlet")
    record(other, [run for run in swarm(other) if run.status == "planned"])
    assert other.fit("ridge", compare=["ridge"]).objectives["mean"].rates == RateMoves()
