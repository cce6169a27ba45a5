"""fit: judge laws by cross-validation on the study's own runs, fit one, say what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import mixopt
from mixopt.blind_spots import unexplored
from mixopt.errors import StaleError
from mixopt.evidence import fit_evidence
from mixopt.files import digest
from mixopt.laws import make_law
from mixopt.laws.base import Law
from mixopt.laws.saved import load_law, save_law
from mixopt.learning import LearningCurve, learning_curve, learning_predictions
from mixopt.noise import anchor_noise, remove_block_effects
from mixopt.objective import Objective
from mixopt.progress import Report, silent
from mixopt.rank_moves import RankMoves, measured_moves
from mixopt.score import (
    LawScore,
    Quality,
    ceiling,
    choose,
    compare_laws,
    objective_values,
    predicted_values,
    reference_losses,
)
from mixopt.space import Space
from mixopt.table import Table
from mixopt.verdict import FitEvidence, Verdict, judge_fit

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]


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


@dataclass(frozen=True)
class FitReport:
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
    everything = exp.table()
    cohort = everything.cohort()
    table, beside = remove_block_effects(cohort), _beside(everything)
    objectives = exp.objectives(table)
    rng = np.random.default_rng(seed)
    names = sorted(set(compare) | ({law} if law else set()))
    scores = compare_laws(names, table, objectives, rng, beside=beside, report=report)
    chosen = choose(scores) if law is None else law
    unfitted = make_law(chosen)
    taught = _taught(unfitted, table, beside)
    fitted = unfitted.fit(taught.weights, taught.losses, taught.info)
    score = next(score for score in scores if score.name == chosen)
    reference = _reference(fitted, table, taught, exp.space.reference)
    reports = _objective_reports(
        exp.space, everything, table, objectives, reference, score, rng, report
    )
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
            *_gaps(exp.space, table),
            *_marks(exp, table),
        ),
    )
    about = {
        "mixopt": mixopt.__version__,
        "inputs": exp.inputs(),
        "table": _table_digest(everything, taught),
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
    everything = exp.table()
    table = remove_block_effects(everything.cohort())
    taught = _taught(law, table, _beside(everything))
    _check_fresh(exp, _table_digest(everything, taught), len(taught), about)
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


def _beside(everything: Table) -> Table | None:
    """Runs of other cohorts whose scale is known, block effects removed within each."""
    main = everything.cohort().cohorts[0]
    others = sorted(set(everything.cohorts) - {main})
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


def _asked(table: Table, taught: Table) -> tuple[str, ...]:
    """At which scale a law over scale answers."""
    if taught is table:
        return ()
    return ("predictions and proposals are of the larger scale that was run, not of this cohort",)


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
}


def _table_digest(everything: Table, taught: Table) -> str:
    """Names the runs and metrics that taught a law, as they were measured, whatever their order."""
    rows = np.isin(everything.ids, taught.ids)
    losses = [[None if np.isnan(x) else float(x) for x in row] for row in everything.losses[rows]]
    runs = dict(zip(everything.select(rows).ids, losses))
    return digest({"metrics": list(everything.metrics), "runs": runs})


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
