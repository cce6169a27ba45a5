"""From a table and its law to the evidence that a verdict is judged on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from mixopt.agreement import MemberOptimum, disagree
from mixopt.blind_spots import REPETITION_LEVEL, repetition_missed, unexplored
from mixopt.gain import Gain, Optimism, support
from mixopt.laws.base import mixture_groups
from mixopt.learning import LearningCurve, More
from mixopt.noise import anchor_noise
from mixopt.objective import Objective
from mixopt.rank_moves import RankMoves
from mixopt.score import LawScore, objective_values, predicted_values
from mixopt.space import Space
from mixopt.table import Table
from mixopt.verdict import (
    LEAST_SIGNAL,
    FitEvidence,
    ProposalEvidence,
    Verdict,
    proxy_parameters,
)

Array = NDArray[np.float64]

_ONE_SIDED = 1.645
_SEEDS = 5
"""Of a confirmation, where nobody sets others."""


def fit_evidence(
    space: Space,
    table: Table,
    objective: Objective,
    reference: Array,
    score: LawScore,
    curve: LearningCurve,
    moves: RankMoves,
    rng: np.random.Generator,
) -> FitEvidence:
    """What the swarm and cross-validation say of one objective; `reference` (m,) losses."""
    values = objective_values(objective, table.losses, reference)
    noise = anchor_noise(table, values[:, None])
    sigma = None if noise is None else float(noise.sigma_int[0])
    spread = _spread(table, values)
    mixtures = len(np.unique(mixture_groups(table.weights)))
    rank = score.objectives[objective.name].spearman
    by_chance = not rank > _ONE_SIDED / np.sqrt(max(1, mixtures - 1))
    return FitEvidence(
        runs=mixtures,
        columns=space.width - space.tied,
        spread=spread,
        noise=sigma,
        rank=rank,
        constant=_any_constant(table, objective),
        collinear=len(unexplored(table.weights, len(space.phases)).together) > space.tied,
        repetition_missed=_repetition_missed(space, table, objective, reference, score, rng),
        rank_moves=moves.moves,
        parameters=proxy_parameters(table.scales[0]),
        more=None if by_chance else _runs_for_signal(table, spread, sigma or 0.0, curve, rng),
    )


def proposal_evidence(
    table: Table,
    objective: Objective,
    reference: Array,
    fit: Verdict,
    pick: Array,
    raw: Sequence[Gain],
    excess: Optimism | None,
    optima: Sequence[MemberOptimum],
    curve: LearningCurve,
    rng: np.random.Generator,
) -> ProposalEvidence:
    """What the law says of `pick` (width,): `raw` gains over the baselines, the best one first,
    less the `excess` of choosing it by the same law, None where it was not; `optima` are those of
    the law's members.
    """
    lost = 0.0 if excess is None else max(0.0, excess.mean)
    values = objective_values(objective, table.losses, reference)
    noise = anchor_noise(table, values[:, None])
    least = 0.0 if noise is None else _detectable(float(noise.sigma_int[0]))
    hopeless = min(gain.less(lost).high for gain in raw) < least
    return ProposalEvidence(
        fit=fit,
        gains=tuple(gain.less(lost) for gain in raw),
        support=support(table.weights, pick),
        replicated=noise is not None,
        laws_disagree=disagree(optima),
        parameters=proxy_parameters(table.scales[0]),
        more=None if hopeless else _runs_for_gain(len(table), raw, lost, curve, rng),
    )


def _repetition_missed(
    space: Space,
    table: Table,
    objective: Objective,
    reference: Array,
    score: LawScore,
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """Domains whose repetition costs more than the law says, by its out-of-fold residuals."""
    values = objective_values(objective, table.losses, reference)
    residuals = values - predicted_values(objective, score.predicted, reference)
    chances = repetition_missed(residuals, space.epochs(table.weights), rng)
    return tuple(space.names[j] for j in np.flatnonzero(chances < REPETITION_LEVEL))


def _spread(table: Table, values: Array) -> float:
    """sd over mixtures, each once."""
    groups = mixture_groups(table.weights)
    means = [
        float(np.mean(part))
        for group in np.unique(groups)
        if len(part := values[(groups == group) & np.isfinite(values)])
    ]
    return float(np.std(means, ddof=1)) if len(means) > 1 else 0.0


def _any_constant(table: Table, objective: Objective) -> bool:
    used = table.losses[:, np.asarray(objective.weights) != 0]
    return bool((np.nanmax(used, axis=0) == np.nanmin(used, axis=0)).any())


def _runs_for_signal(
    table: Table, spread: float, noise: float, curve: LearningCurve, rng: np.random.Generator
) -> More | None:
    """Runs until the law's own error is a third of what mixtures do to the objective."""
    signal = spread**2 - noise**2
    own = curve.at(len(table)) - curve.floor
    if signal <= 0 or own <= 0:
        return None
    return curve.more(len(table), min(0.9, signal / LEAST_SIGNAL**2 / own), rng)


def _runs_for_gain(
    runs: int, raw: Sequence[Gain], excess: float, curve: LearningCurve, rng: np.random.Generator
) -> More | None:
    """Runs until the least certain gain would clear zero; its sd and optimism shrink together."""
    if min(gain.mean for gain in raw) <= 0:
        return None
    lost = [_ONE_SIDED * gain.sd + excess for gain in raw]
    ratios = [gain.mean / loss for gain, loss in zip(raw, lost) if loss > 0]
    if not ratios:
        return None
    return curve.more(runs, min(0.9, min(ratios) ** 2), rng)


def _detectable(sigma: float) -> float:
    """The gain that a confirmation would see: t sigma_int sqrt(2 / S)."""
    return float(t.ppf(0.95, _SEEDS - 1) * sigma * np.sqrt(2 / _SEEDS))
