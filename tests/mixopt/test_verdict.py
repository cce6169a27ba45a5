"""Verdicts: the rules one by one, and how often a whole study claims what is not so."""

import dataclasses

import numpy as np
import pytest

from mixopt.agreement import member_optima
from mixopt.errors import DataError
from mixopt.evidence import fit_evidence, proposal_evidence
from mixopt.gain import Gain, gains, optimism
from mixopt.laws import make_law
from mixopt.learning import More, learning_curve, learning_predictions
from mixopt.noise import anchor_noise, remove_block_effects
from mixopt.objective import Objective
from mixopt.rank_moves import RankMoves
from mixopt.score import compare_laws, objective_values, reference_losses
from mixopt.space import Domain, Space
from mixopt.testing import planted_losses, table_of
from mixopt.verdict import (
    REASONS,
    ConfirmationEvidence,
    FitEvidence,
    ProposalEvidence,
    Rival,
    Verdict,
    judge_confirmation,
    judge_fit,
    judge_proposal,
)

GOOD = FitEvidence(runs=40, columns=8, spread=0.08, noise=0.01, rank=0.95, parameters=30e6)
CLEAR = ProposalEvidence(
    fit=judge_fit(GOOD),
    gains=(Gain("uniform", 0.02, 0.005, 0.01, 0.03), Gain("natural", 0.3, 0.01, 0.28, 0.32)),
    support=9,
    replicated=True,
    parameters=30e6,
)


@pytest.mark.parametrize(
    ("change", "kind", "reasons"),
    [
        ({}, "ranking_only", ()),
        ({"noise": None}, "ranking_only", ("no_replicates",)),
        ({"parameters": 5e5}, "ranking_only", ("small_proxy",)),
        ({"constant": True}, "ranking_only", ("metric_constant",)),
        ({"constant": True, "spread": 0.0}, "no_signal", ("metric_constant",)),
        ({"runs": 9}, "run_more", ("few_runs",)),
        ({"noise": 0.04}, "no_signal", ("spread_within_noise",)),
        ({"noise": 0.04, "more": More(24, 9, None)}, "run_more", ("spread_within_noise",)),
        ({"noise": 0.04, "more": More(None, 9, None)}, "run_more", ("spread_within_noise",)),
        ({"noise": 0.04, "more": More(None, None, None)}, "no_signal", ("spread_within_noise",)),
        ({"rank_moves": True}, "ranking_only", ("rank_moves",)),
        ({"collinear": True}, "ranking_only", ("collinear",)),
        ({"repetition_missed": ("law",)}, "ranking_only", ("repetition_missed",)),
        ({"rank": 0.3}, "no_signal", ("rank_low",)),
        ({"rank": float("nan"), "more": More(5, 1, 9)}, "run_more", ("rank_low",)),
    ],
)
def test_a_fit_is_judged_by(change, kind, reasons):
    verdict = judge_fit(dataclasses.replace(GOOD, **change))
    assert (verdict.kind, verdict.reasons) == (kind, reasons)


@pytest.mark.parametrize(
    ("change", "kind", "reasons"),
    [
        ({}, "better_at_proxy", ()),
        ({"replicated": False}, "ranking_only", ("no_replicates",)),
        ({"laws_disagree": True}, "run_more", ("laws_disagree",)),
        (
            {"fit": Verdict("ranking_only", ("rank_moves", "metric_constant"))},
            "ranking_only",
            ("rank_moves",),
        ),
        ({"fit": Verdict("ranking_only", ("collinear",))}, "ranking_only", ("collinear",)),
        ({"support": 1}, "run_more", ("outside_region",)),
        ({"parameters": 5e5}, "better_at_proxy", ("small_proxy",)),
        (
            {"gains": (Gain("uniform", 0.02, 0.02, -0.01, 0.05),), "more": More(8, 2, 30)},
            "run_more",
            ("gain_within_noise",),
        ),
        ({"gains": (Gain("a", 0.0, 0.02, -0.03, 0.03),)}, "no_signal", ("gain_within_noise",)),
        ({"fit": Verdict("run_more", ("few_runs",), 3)}, "run_more", ("few_runs",)),
        ({"fit": Verdict("no_signal", ("rank_low",))}, "no_signal", ("rank_low",)),
    ],
)
def test_a_proposal_is_judged_by(change, kind, reasons):
    verdict = judge_proposal(dataclasses.replace(CLEAR, **change))
    assert (verdict.kind, verdict.reasons) == (kind, reasons)


def test_one_baseline_that_is_not_beaten_is_enough_to_doubt():
    close = Gain("current", 0.001, 0.005, -0.007, 0.009)
    verdict = judge_proposal(dataclasses.replace(CLEAR, gains=(*CLEAR.gains, close)))
    assert "gain_within_noise" in verdict.reasons
    assert verdict.rival == "uniform"


@pytest.mark.parametrize(
    ("rivals", "kind", "more"),
    [
        ((Rival("uniform", -0.02, -0.01), Rival("natural", -0.3, -0.28)), "confirmed", None),
        ((Rival("uniform", -0.01, 0.01), Rival("natural", -0.3, -0.28)), "run_more", 15),
        ((Rival("uniform", 0.01, 0.02), Rival("natural", -0.3, -0.28)), "no_signal", None),
    ],
)
def test_a_confirmation_needs_every_baseline_beaten(rivals, kind, more):
    verdict = judge_confirmation(ConfirmationEvidence(rivals, seeds=5))
    assert (verdict.kind, verdict.more, verdict.rival) == (kind, more, "uniform")


def test_more_seeds_by_the_rule_would_have_cleared_zero():
    rival, seeds = Rival("uniform", -0.01, 0.004), 4
    more = judge_confirmation(ConfirmationEvidence((rival,), seeds)).more
    assert more is not None
    reach = rival.upper - rival.difference
    assert rival.difference + reach * np.sqrt(seeds / (seeds + more)) <= 1e-12
    assert rival.difference + reach * np.sqrt(seeds / (seeds + more - 1)) > 0


def test_every_reason_and_verdict_survives_json():
    for kind in ("confirmed", "better_at_proxy", "ranking_only", "run_more", "no_signal"):
        verdict = Verdict(kind, tuple(REASONS), 12, (3, None), "uniform")
        assert Verdict.from_json(verdict.to_json()) == verdict
        assert "uniform" in verdict.sentence()


@pytest.mark.parametrize(
    "broken", [{}, {"verdict": "sure"}, {"verdict": "confirmed", "reasons": ["x"]}]
)
def test_anything_else_is_no_verdict(broken):
    with pytest.raises(DataError, match="expected a verdict"):
        Verdict.from_json(broken)


STRENGTH = {"none": 0.0, "little": 0.15, "much": 3.0}


@pytest.fixture(scope="module")
def studies():
    """Twenty simulated studies of each strength: (verdict, true gain over the best baseline)."""
    return {
        name: [study(strength, np.random.default_rng([17, seed])) for seed in range(20)]
        for name, strength in STRENGTH.items()
    }


def test_claims_are_wrong_at_most_one_time_in_twenty(studies):
    judged = [item for found in studies.values() for item in found]
    wrong = [verdict.kind == "better_at_proxy" and gain <= 1e-12 for verdict, gain in judged]
    assert np.mean(wrong) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(judged))


def test_without_signal_nothing_is_claimed_and_with_much_something_is(studies):
    kinds = {name: [verdict.kind for verdict, _ in found] for name, found in studies.items()}
    assert kinds["none"].count("better_at_proxy") <= 2
    assert kinds["much"].count("better_at_proxy") >= 6


SPACE = Space([Domain(name) for name in ("a", "b", "c")])


def study(strength, rng, law="ridge", n=20, d=3):
    """A swarm in four blocks with two anchors, its pick, and what may be claimed of it."""
    tilt = rng.permutation(d)

    def truth(rows):
        return 3.0 + strength * planted_losses(rows[:, tilt], 2)

    uniform = np.full(d, 1 / d)
    points = rng.dirichlet(np.ones(d), n)
    far = points[np.abs(points - uniform).sum(axis=1).argmax()]
    rows = np.vstack([points, np.repeat([uniform, far], 4, axis=0)])
    blocks = np.concatenate([np.arange(n) % 4, np.tile(np.arange(4), 2)])
    shifts = 0.02 * rng.standard_normal((4, 2))
    losses = truth(rows) + shifts[blocks] + 0.02 * rng.standard_normal((len(rows), 2))
    table = remove_block_effects(table_of(rows, losses, blocks))
    objective = Objective("mean", "relative", table.metrics, np.ones(2))
    score = compare_laws([law], table, {"mean": objective}, rng)[0]
    fitted = make_law(law).fit(table.weights, table.losses, table.info)
    reference = reference_losses(table, fitted, uniform)
    rivals = {"uniform": uniform, "natural": rng.dirichlet(np.full(d, 3.0))}
    pool = np.vstack([rng.dirichlet(np.ones(d), 200), list(rivals.values())])

    def propose(one):
        return pool[objective.value(one.predict(pool), reference).argmin()]

    curve = curve_of(law, table, objective, reference, score, rng)
    moves = RankMoves("unknown", "one scale", 0)
    fit = judge_fit(fit_evidence(SPACE, table, objective, reference, score, curve, moves, rng))
    pick = propose(fitted)
    best = min(rivals, key=lambda one: fitted.predict(rivals[one][None]).mean())
    optima = member_optima(fitted, objective, reference, (best, rivals[best]), propose, rng)
    raw = gains(fitted, objective, reference, pick, rivals, rng)
    excess = optimism(fitted, objective, reference, rivals[raw[0].baseline], propose, rng)
    evidence = proposal_evidence(
        table, objective, reference, fit, pick, raw, excess, optima, curve, rng
    )
    values = objective.value(truth(np.vstack([pick, *rivals.values()])), reference)
    return judge_proposal(evidence), float(values[1:].min() - values[0])


def curve_of(law, table, objective, reference, score, rng):
    values = objective_values(objective, table.losses, reference)
    noise = anchor_noise(table, values[:, None])
    assert noise is not None
    sizes, predicted = learning_predictions(make_law(law), table, score.folds, rng)
    guessed = np.stack([objective_values(objective, one, reference) for one in predicted])
    floor = float(noise.sigma_int[0]) ** 2
    return learning_curve(sizes, (guessed - values) ** 2, score.folds, floor)


@pytest.mark.slow
@pytest.mark.parametrize("law", ["auto", "ridge"])
def test_claims_over_two_hundred_studies(law):
    judged = [
        study(strength, np.random.default_rng([23, seed]), law)
        for strength in STRENGTH.values()
        for seed in range(67)
    ]
    wrong = [verdict.kind == "better_at_proxy" and gain <= 1e-12 for verdict, gain in judged]
    assert np.mean(wrong) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(judged))
