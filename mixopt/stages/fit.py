"""fit: judge laws by cross-validation on the study's own runs, fit one, say what it is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import mixopt
from mixopt.blind_spots import unexplored
from mixopt.errors import StaleError
from mixopt.evidence import fit_evidence
from mixopt.files import digest
from mixopt.laws import make_law
from mixopt.laws.base import Law, mixture_groups
from mixopt.laws.saved import load_law, save_law
from mixopt.laws.scales import same_scale, scale_groups
from mixopt.learning import LearningCurve, learning_curve, learning_predictions
from mixopt.noise import anchor_noise, remove_block_effects
from mixopt.objective import Objective
from mixopt.progress import Report, silent
from mixopt.rank_moves import RankMoves, measured_moves
from mixopt.recalibration import LEAST_ANCHORS
from mixopt.robustness import RateMoves, least_agreed, rate_moves
from mixopt.score import (
    LawScore,
    Quality,
    ceiling,
    choose,
    compare_laws,
    corrected_test,
    objective_values,
    predicted_values,
    reference_losses,
)
from mixopt.shown import Section, Shown
from mixopt.space import Space
from mixopt.stages.robustness import robustness_arms
from mixopt.table import Table
from mixopt.verdict import FitEvidence, Verdict, judge_fit, proxy_parameters

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]

_NO_ARMS = RateMoves()

CARRIED = "recalibrated"
"""The law that is fitted where enough mixtures were run at a larger scale, too."""
_CHANCE = 0.05


@dataclass(frozen=True)
class ObjectiveReport:
    """What the table says of one objective, before any mixture is proposed."""

    evidence: FitEvidence
    moves: RankMoves
    """Whether the order of mixtures moves with scale, by runs of other cohorts."""
    searched: Quality
    """Of the chosen law on runs that a search added; NaN without such."""
    curve: LearningCurve
    verdict: Verdict
    quality: Quality
    """Of the chosen law, out of fold."""
    ceiling: float | None
    """The correlation that a perfect law would reach; None where noise is unknown."""
    noise_interval: tuple[float, float] | None
    """90 % interval of sigma_int."""
    rates: RateMoves = _NO_ARMS
    """Whether the order of the leading mixtures is another one at another learning rate."""


@dataclass(frozen=True, repr=False)
class FitReport(Shown):
    """The law that was chosen, the laws it was compared with, and the state of each objective."""

    law: str
    runs: int
    chosen: bool
    """Whether cross-validation chose the law, not the caller."""
    left_out: int
    """Finished runs of other cohorts."""
    cohort: str
    scores: tuple[LawScore, ...]
    metrics: tuple[str, ...]
    objectives: Mapping[str, ObjectiveReport]
    notes: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """A row for each law that was compared: its agreement with held-out runs."""
        lines = [
            {
                "law": score.name,
                "chosen": score.name == self.law,
                "R2 of metrics": float(np.mean([one.r2 for one in score.metrics])),
                **{f"rank of {name}": one.spearman for name, one in score.objectives.items()},
                **{f"rmse of {name}": one.rmse for name, one in score.objectives.items()},
                "CPU s": score.seconds,
            }
            for score in self.scores
        ]
        return pd.DataFrame(lines)

    def sections(self) -> Iterator[Section]:
        """The verdict of each objective, and the laws that were compared."""
        verdicts = [f"{name}: {one.verdict.sentence()}" for name, one in self.objectives.items()]
        ranks = self.frame().filter(regex="^(law|R2|rank)")
        table = ranks.map(lambda value: f"{value:.2f}" if isinstance(value, float) else value)
        heading = f"{self.law}, fitted on {self.runs} runs of {self.cohort}"
        yield Section("\n".join([*verdicts, heading]), table)

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "law": self.law,
            "chosen": self.chosen,
            "runs": self.runs,
            "left_out": self.left_out,
            "cohort": self.cohort,
            "notes": list(self.notes),
            "scores": {score.name: _score_json(score, self.metrics) for score in self.scores},
            "objectives": {name: _objective_json(one) for name, one in self.objectives.items()},
        }


@dataclass(frozen=True)
class Fitted:
    """A fitted law with the table behind it, as later stages need them."""

    law: Law
    table: Table
    """The cohort, block effects removed."""
    reference: Array
    """(m,) losses of the reference mixture."""
    objectives: Mapping[str, Objective]
    verdicts: Mapping[str, Verdict]
    curves: Mapping[str, LearningCurve]
    about: Mapping[str, Any]
    """What `law.json` says beside the law."""


def fit(
    exp: Experiment,
    law: str | None,
    compare: Sequence[str],
    seed: int,
    report: Report = silent,
) -> FitReport:
    """Fit `law`, or the one that cross-validation chooses of `compare`, and write `law.json`.

    Raises DataError when the runs are too few for any law.
    """
    cohort = exp.table().cohort()
    everything = _everything(exp)
    table, beside = remove_block_effects(cohort), _beside(everything, cohort)
    objectives = exp.objectives(table)
    rng = np.random.default_rng(seed)
    names = sorted(set(compare) | ({law} if law else set()))
    scores = compare_laws(names, table, objectives, rng, beside=beside, report=report)
    anchored = law is None and _is_anchored(table, beside)
    if anchored and CARRIED not in names:  # at the cohort's own scale, on the same folds
        folds = np.random.default_rng(seed)
        scores += compare_laws([CARRIED], table, objectives, folds, report=report)
    chosen = _chosen(scores, compare, anchored) if law is None else law
    unfitted = make_law(chosen)
    taught = _taught(unfitted, table, beside)
    fitted = unfitted.fit(taught.weights, taught.losses, taught.info)
    score = next(score for score in scores if score.name == chosen)
    reference = _reference(fitted, table, taught, exp.space.reference)
    reports = _objective_reports(
        exp.space, everything, table, objectives, reference, score, rng, report
    )
    arms = robustness_arms(exp, table)
    reports = {
        name: _with_arms(one, arms, table, objectives[name], reference, rng)
        for name, one in reports.items()
    }
    parameters = asked_parameters(fitted, table)
    reports = {name: _at_scale(one, parameters) for name, one in reports.items()}
    made = FitReport(
        law=chosen,
        runs=len(taught),
        chosen=law is None,
        left_out=len(everything) - len(taught),
        cohort=cohort.cohorts[0],
        scores=tuple(scores),
        metrics=table.metrics,
        objectives=reports,
        notes=(
            *fitted.notes(),
            *_asked(table, taught),
            *(_unused(chosen, table, beside, anchored) if law is None else ()),
            *_gaps(exp.space, table),
            *_marks(exp, table),
        ),
    )
    about = {
        "mixopt": mixopt.__version__,
        "inputs": exp.inputs(),
        "table": _table_digest(everything, taught),
        "arms": _arms_digest(arms),
        "domains": list(exp.space.names),
        "metrics": list(table.metrics),
        "reference": reference.tolist(),
        "curves": {name: _curve_json(one.curve) for name, one in reports.items()},
        "report": made.to_json(),
    }
    save_law(exp.folder, chosen, fitted, about)
    return made


def fitted(exp: Experiment) -> Fitted:
    """The law that `fit` wrote, after a check that the table has not gone on without it.

    Raises StaleError when there are runs, metrics or settings that the law has not seen.
    """
    law, about = load_law(exp.folder)
    _check_domains(exp, about)
    cohort, everything = exp.table().cohort(), _everything(exp)
    table = remove_block_effects(cohort)
    taught = _taught(law, table, _beside(everything, cohort))
    _check_fresh(exp, _table_digest(everything, taught), len(taught), about)
    if about.get("arms") != _arms_digest(robustness_arms(exp, table)):
        raise StaleError(
            "runs at another learning rate were finished since the law was fitted: "
            f"run `mixopt fit {exp.folder}`"
        )
    told = about["report"]["objectives"]
    return Fitted(
        law=law,
        table=table,
        reference=np.array(about["reference"]),
        objectives=exp.objectives(table),
        verdicts={name: Verdict.from_json(one["verdict"]) for name, one in told.items()},
        curves={name: _curve_from_json(one) for name, one in about["curves"].items()},
        about=about,
    )


def _everything(exp: Experiment) -> Table:
    """The runs that a law may be fitted on, and those of `confirm` one size up.

    Those may carry it to their scale; runs of `confirm` at the swarm's own scale stay out, as they
    were trained to judge what the swarm proposed.
    """
    swarm = exp.table()
    cohort, confirming = swarm.cohort(), exp.confirming(swarm.metrics)
    if confirming is None or not np.isfinite(cohort.scales).all():
        return swarm
    larger = np.array([not same_scale(one, cohort.scales[0]) for one in confirming.scales])
    return swarm.plus(confirming.select(larger)) if larger.any() else swarm


def _is_anchored(table: Table, beside: Table | None) -> bool:
    """Whether enough mixtures were run at a larger scale to carry a law there."""
    if beside is None or not np.isfinite(table.scales).all():
        return False
    larger = beside.select(_flops(beside) > _flops(table).max())
    scales = scale_groups(larger.scales, len(larger)) if len(larger) else np.zeros(0, np.int64)
    measured = np.isfinite(larger.losses).all(axis=1)
    counts = [
        len(np.unique(mixture_groups(larger.weights[measured & (scales == one)])))
        for one in np.unique(scales[measured])
    ]
    return max(counts, default=0) >= LEAST_ANCHORS


def _flops(table: Table) -> Array:
    """(n,) active parameters times tokens."""
    return table.scales[:, 1] * table.scales[:, 2]


def _chosen(scores: Sequence[LawScore], compare: Sequence[str], anchored: bool) -> str:
    """The law that cross-validation chooses of `compare`; where mixtures were run at a larger scale
    it is carried there, unless that law is worse at the small one beyond chance.
    """
    small = choose([score for score in scores if score.name in compare])
    if not anchored:
        return small
    by_name = {score.name: score for score in scores}
    ours, carried = by_name[small], by_name[CARRIED]
    worse = corrected_test(ours.errors, carried.errors, ours.folds) < _CHANCE
    return small if worse else CARRIED


def _beside(everything: Table, cohort: Table) -> Table | None:
    """Runs of other cohorts whose scale is known, block effects removed within each."""
    others = sorted(set(everything.cohorts) - set(cohort.cohorts))
    parts = [
        remove_block_effects(everything.select(np.array(everything.cohorts) == name))
        for name in others
    ]
    known = [part for part in parts if np.isfinite(part.scales).all()]
    return reduce(Table.plus, known) if known else None


def _taught(law: Law, table: Table, beside: Table | None) -> Table:
    """The runs that teach a law: the cohort, and those beside it for a law over scale."""
    if beside is None or not law.over_scale or not np.isfinite(table.scales).all():
        return table
    return table.plus(beside)


def _reference(law: Law, table: Table, taught: Table, row: Array) -> Array:
    """Losses (m,) of the reference mixture, at the scale at which the law is asked."""
    return reference_losses(table, law, row) if taught is table else law.predict(row[None])[0]


def asked_parameters(law: Law, table: Table) -> float | None:
    """Parameters of the models that `law` speaks of: of the largest scale for a law over scale."""
    scales = law.train_scales_
    if not law.over_scale or scales is None:
        return proxy_parameters(table.scales[0])
    return proxy_parameters(scales[np.argmax(scales[:, 1] * scales[:, 2])])


def _at_scale(report: ObjectiveReport, parameters: float | None) -> ObjectiveReport:
    """The report with the size of the models that the law speaks of."""
    evidence = replace(report.evidence, parameters=parameters)
    return replace(report, evidence=evidence, verdict=judge_fit(evidence))


def _check_domains(exp: Experiment, about: Mapping[str, Any]) -> None:
    """A law knows the domains of its runs, in their order."""
    theirs, ours = set(about["domains"]), set(exp.space.names)
    if theirs != ours:
        gone, new = ", ".join(sorted(theirs - ours)), ", ".join(sorted(ours - theirs))
        change = " and ".join(
            [f"has no {gone}"] * bool(gone) + [f"has {new}, which no run had"] * bool(new)
        )
        raise StaleError(
            f"the law was fitted on other domains than space.toml names, which {change}: "
            f"`mixopt reuse` plans the runs that are missing, then run `mixopt fit {exp.folder}`"
        )


def _check_fresh(exp: Experiment, taught: str, runs: int, about: Mapping[str, Any]) -> None:
    """Compare the digest of the runs that would teach the law now, and the files, with `about`."""
    seen = about["report"]["runs"]
    if about["table"] != taught:
        raise StaleError(
            f"the law was fitted on {seen} runs and the table now holds {runs} finished "
            f"ones or other metrics: run `mixopt fit {exp.folder}`"
        )
    changed = [key for key, value in exp.inputs().items() if about["inputs"].get(key) != value]
    if changed:
        what = {"space": "space.toml", "data": "data/"}
        names = " and ".join(what[key] for key in changed)
        raise StaleError(f"{names} changed since the law was fitted: run `mixopt fit {exp.folder}`")


def _objective_reports(
    space: Space,
    everything: Table,
    table: Table,
    objectives: Mapping[str, Objective],
    reference: Array,
    score: LawScore,
    rng: np.random.Generator,
    report: Report,
) -> dict[str, ObjectiveReport]:
    """Noise, learning curve and verdict of each objective under the chosen law."""
    sizes, predicted = learning_predictions(
        make_law(score.name), table, score.folds, rng, score.predicted, report=report
    )
    reports = {}
    for name, objective in objectives.items():
        values = objective_values(objective, table.losses, reference)
        guessed = np.stack([predicted_values(objective, one, reference) for one in predicted])
        noise = anchor_noise(table, values[:, None])
        sigma = None if noise is None else float(noise.sigma_int[0])
        curve = learning_curve(sizes, (guessed - values) ** 2, score.folds, (sigma or 0.0) ** 2)
        told = objective_values(objective, everything.losses, reference)
        moves = measured_moves(everything, told, rng, score.objectives[name].rmse)
        evidence = fit_evidence(space, table, objective, reference, score, curve, moves, rng)
        interval = None if noise is None else noise.interval_int[0]
        reports[name] = ObjectiveReport(
            evidence=evidence,
            moves=moves,
            searched=score.searched[name],
            curve=curve,
            verdict=judge_fit(evidence),
            quality=score.objectives[name],
            ceiling=None if sigma is None else ceiling(values, sigma),
            noise_interval=None if interval is None else (float(interval[0]), float(interval[1])),
        )
    return reports


def _with_arms(
    report: ObjectiveReport,
    arms: Mapping[float, Table],
    table: Table,
    objective: Objective,
    reference: Array,
    rng: np.random.Generator,
) -> ObjectiveReport:
    """The report with what runs at other learning rates say of the order of the leaders."""
    tuned = table.weights, objective_values(objective, table.losses, reference)
    found = [
        rate_moves(tuned, (arm.weights, objective_values(objective, arm.losses, reference)), s, rng)
        for s, arm in arms.items()
    ]
    rates = least_agreed(found)
    evidence = replace(report.evidence, rate_moves=rates.moves)
    return replace(report, rates=rates, evidence=evidence, verdict=judge_fit(evidence))


def _asked(table: Table, taught: Table) -> tuple[str, ...]:
    """At which scale a law over scale answers."""
    if taught is table:
        return ()
    return ("predictions and proposals are of the larger scale that was run, not of this cohort",)


def _unused(chosen: str, table: Table, beside: Table | None, anchored: bool) -> tuple[str, ...]:
    """Why runs of larger scales did not carry the chosen law there."""
    if beside is None or make_law(chosen).over_scale or not np.isfinite(table.scales).all():
        return ()
    larger = beside.select(_flops(beside) > _flops(table).max())
    if not len(larger):
        return ()
    if anchored:
        why = f"{CARRIED} predicts held-out runs of the small one worse beyond chance"
    else:
        count = len(np.unique(mixture_groups(larger.weights)))
        why = f"{count} mixtures were run there, {LEAST_ANCHORS} at one scale are needed"
    return (f"runs at a larger scale do not carry the law there: {why}",)


def _gaps(space: Space, table: Table) -> tuple[str, ...]:
    """What the runs could not show, in words."""
    names = [name for _ in space.phases for name in space.names]
    gaps = unexplored(table.weights, len(space.phases))

    def listed(columns: Sequence[int]) -> str:
        return ", ".join(dict.fromkeys(names[column] for column in columns))

    unknown = "so no law knows what it does"
    notes = [f"{listed(tie)}: always moved together, so not told apart" for tie in gaps.together]
    notes += [f"{listed(gaps.never)}: in no run, {unknown}"] if gaps.never else []
    notes += [f"{listed(gaps.fixed)}: the same in every run, {unknown}"] if gaps.fixed else []
    return tuple(notes)


def _marks(exp: Experiment, table: Table) -> tuple[str, ...]:
    """What the marks of the runs mean for a reader of the law."""
    marks = {mark for run in exp.runs() if run.id in table.ids for mark in run.marks}
    domains: dict[str, list[str]] = {}
    for mark in sorted(marks):
        kind, _, domain = mark.partition(":")
        domains.setdefault(kind, []).append(domain)
    return tuple(f"{', '.join(names)}: {_MARKS.get(kind, kind)}" for kind, names in domains.items())


_MARKS = {
    "pool_small": "a proxy's share of the text is under 64 windows, "
    "so what repetition does to it is not measurable at this scale",
    "pool_short": "less text was prepared than a proxy should read, "
    "so it was repeated more often than the target would",
    "task_cut": "as many completions are longer than a proxy's context and lost their end",
    "not_a_number": "not finite for some runs, which count as not measured",
}


def _table_digest(everything: Table, taught: Table) -> str:
    """Names the runs and metrics that taught a law, as they were measured, whatever their order."""
    rows = np.isin(everything.ids, taught.ids)
    losses = [[None if np.isnan(x) else float(x) for x in row] for row in everything.losses[rows]]
    runs = dict(zip(everything.select(rows).ids, losses))
    return digest({"metrics": list(everything.metrics), "runs": runs})


def _arms_digest(arms: Mapping[float, Table]) -> str | None:
    """Names what runs at other learning rates measured; None without any."""
    measured = {str(scale): [arm.ids, arm.losses.tolist()] for scale, arm in arms.items()}
    return digest(measured) if measured else None


def _score_json(score: LawScore, metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "metrics": {name: _finite(asdict(one)) for name, one in zip(metrics, score.metrics)},
        "objectives": {name: _finite(asdict(one)) for name, one in score.objectives.items()},
        "seconds": round(score.seconds, 3),
    }


def _objective_json(one: ObjectiveReport) -> dict[str, Any]:
    return {
        "verdict": one.verdict.to_json(),
        "spread": one.evidence.spread,
        "noise": one.evidence.noise,
        "noise_interval": None if one.noise_interval is None else list(one.noise_interval),
        "signal_to_noise": one.evidence.spread / one.evidence.noise if one.evidence.noise else None,
        "ceiling": one.ceiling,
        **_finite(asdict(one.quality)),
        "searched": _finite(asdict(one.searched)),
        "rank_moves": one.moves.to_json(),
        "rate_moves": one.rates.to_json(),
        "repetition_missed": list(one.evidence.repetition_missed),
        "more": None if one.evidence.more is None else one.evidence.more._asdict(),
    }


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """NaN is no JSON number: a quality of constants is None."""
    return {key: value if np.isfinite(value) else None for key, value in values.items()}


def _curve_json(curve: LearningCurve) -> dict[str, Any]:
    return {
        "sizes": curve.sizes.tolist(),
        "by_fold": curve.by_fold.tolist(),
        **{key: getattr(curve, key) for key in ("floor", "a", "b", "c")},
    }


def _curve_from_json(values: Mapping[str, Any]) -> LearningCurve:
    arrays = {key: np.array(values[key]) for key in ("sizes", "by_fold")}
    return LearningCurve(**{**values, **arrays})
