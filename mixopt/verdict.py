"""Verdicts: what a study may claim, by fixed rules from evidence that says its units.

    confirmed       better than every baseline, one size up, on paired seeds
    better_at_proxy the law says so beyond its own error, at proxy scale
    ranking_only    the order of mixtures may be used, the size of a gain may not
    run_more        undecided: so many more runs may settle it
    no_signal       undecided, and more runs of this kind would not settle it

Comparison is with the best baseline, named; better means better than every one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

from mixopt.errors import DataError
from mixopt.gain import Gain
from mixopt.learning import More

Kind = Literal["confirmed", "better_at_proxy", "ranking_only", "run_more", "no_signal"]

REASONS = {
    "few_runs": "a law needs more runs than columns of the space, and 4 on top",
    "metric_constant": "a metric of the objective is the same in every run",
    "spread_within_noise": "mixtures move the objective less than 3 times what a seed does",
    "rank_low": "held-out runs are not ranked well enough",
    "gain_within_noise": "the interval of the gain over a baseline includes zero",
    "outside_region": "fewer than 3 runs have a share near the pick's in a domain that it favours",
    "no_replicates": "no mixture was trained twice, so the noise of a run is not known",
    "laws_disagree": "EDL and the Gaussian process differ on the gain of their own optima",
    "repetition_missed": "runs that repeat a domain did worse than the law says",
    "collinear": "domains that always moved together cannot be told apart",
    "rank_moves": "the order of mixtures moves with scale",
    "rate_moves": "the leading mixtures rank differently at another learning rate",
    "small_proxy": "the proxies have fewer than 15M parameters",
    "behind": "a baseline did better than the proposal",
    "no_law": "no law was fitted, so nothing is predicted of this mixture",
}

_MEANING = {
    "confirmed": "confirmed: better than every baseline one size up",
    "better_at_proxy": "better than every baseline at proxy scale",
    "ranking_only": "ranking only: use the order of the mixtures, not the size of the gain",
    "run_more": "not distinguishable yet",
    "no_signal": "no signal: more runs of this kind would not decide",
}

LEAST_SIGNAL = 3.0
"""Spread of the objective over the swarm by sigma_int."""
LEAST_RANK = 0.6
"""Out-of-fold Spearman of the objective."""
LEAST_SUPPORT = 3
LEAST_PARAMETERS = 15e6
VERIFIED = 4
"""Picks that are trained when the law cannot vouch for its own."""
_DOUBTS = ("collinear", "repetition_missed", "rank_moves", "rate_moves")
"""Of the fit: the order of mixtures may be used, a gain may not be claimed."""


@dataclass(frozen=True)
class Verdict:
    """What may be claimed, why not more, and over whom."""

    kind: Kind
    reasons: tuple[str, ...] = ()
    """Codes of REASONS."""
    more: int | None = None
    """Of `run_more`: how many of `unit`, where known."""
    between: tuple[int | None, int | None] | None = None
    """90 % interval of `more`; None at its upper end: out of reach."""
    rival: str = ""
    """The best baseline."""
    unit: Literal["runs", "seeds"] = "runs"
    """What there should be more of: runs of the swarm, or seeds of every arm of a confirmation."""

    def __post_init__(self) -> None:
        assert self.kind in get_args(Kind)
        assert set(self.reasons) <= set(REASONS)

    def sentence(self) -> str:
        """The verdict for people.

        >>> Verdict("run_more", ("few_runs",), 3, rival="uniform").sentence()
        'not distinguishable yet: run 3 more (best baseline: uniform; a law needs more runs than \
columns of the space, and 4 on top)'
        """
        head = _MEANING[self.kind]
        if self.kind == "run_more":
            head += self._request()
        notes = [f"best baseline: {self.rival}"] if self.rival else []
        notes += [REASONS[code] for code in self.reasons]
        return f"{head} ({'; '.join(notes)})" if notes else head

    def _request(self) -> str:
        if not self.more:
            least = None if self.between is None else self.between[0]
            return ": run more" if least is None else f": run more, {least} at least"
        if self.unit == "seeds":
            return f": train {self.more} more seed{'s' * (self.more > 1)} of every arm"
        return f": run {self.more} more{_between(self.between)}"

    def to_json(self) -> dict[str, Any]:
        """The verdict for machines."""
        return {
            "verdict": self.kind,
            "reasons": list(self.reasons),
            "more": self.more,
            "more_between": None if self.between is None else list(self.between),
            "best_baseline": self.rival,
            "unit": self.unit,
            "sentence": self.sentence(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The verdict that `to_json` wrote. Raises DataError for anything else."""
        kinds: dict[Any, Kind] = {kind: kind for kind in get_args(Kind)}
        kind, reasons = values.get("verdict"), tuple(values.get("reasons", ()))
        if kind not in kinds or not set(reasons) <= set(REASONS):
            raise DataError(f"expected a verdict of {', '.join(kinds)}, got {values!r}")
        between = values.get("more_between")
        ends = None if between is None else (between[0], between[1])
        rival, unit = values.get("best_baseline", ""), values.get("unit", "runs")
        return cls(kinds[kind], reasons, values.get("more"), ends, rival, unit)


@dataclass(frozen=True)
class FitEvidence:
    """What is known of an objective once a law is fitted."""

    runs: int
    """Different mixtures that were trained."""
    columns: int
    """Columns of the space."""
    spread: float
    """sd of the objective over the swarm, in its units."""
    noise: float | None
    """sigma_int of the objective, in its units; None without replicates."""
    rank: float
    """Out-of-fold Spearman of the objective; NaN where it is constant."""
    constant: bool = False
    """Whether a metric of the objective is the same in every run."""
    collinear: bool = False
    """Whether some domains moved only together."""
    repetition_missed: tuple[str, ...] = ()
    """Domains of which runs that repeat them did worse than the law says."""
    rank_moves: bool = False
    """Whether larger runs rank the best mixtures differently, surely."""
    rate_moves: bool = False
    """Whether runs at another learning rate rank the best mixtures differently."""
    parameters: float | None = None
    """Non-embedding parameters of a proxy; None where unknown."""
    more: More | None = None
    """Runs that the learning curve asks for; None: no number of them would do."""


@dataclass(frozen=True)
class ProposalEvidence:
    """What is known of one pick by the law."""

    fit: Verdict
    """Of `judge_fit`."""
    gains: tuple[Gain, ...]
    """Over every baseline, the best one first, less optimism."""
    support: int
    """Runs near the pick, of `gain.support`."""
    replicated: bool
    """Whether noise was measured."""
    laws_disagree: bool = False
    """Whether the members of the law promise different gains for their own optima."""
    parameters: float | None = None
    """Non-embedding parameters of a proxy; None where unknown."""
    more: More | None = None
    """Runs that the learning curve asks for; None: no number of them would do."""


@dataclass(frozen=True)
class Rival:
    """A baseline in a confirmation: paired difference to it, over seeds."""

    name: str
    difference: float
    """J(proposal) - J(baseline), mean over seeds: negative is better; units of the objective."""
    upper: float
    """Upper end of its one-sided 95 % interval, adjusted for proposals and looks."""


@dataclass(frozen=True)
class ConfirmationEvidence:
    """A proposal against every baseline, one size up."""

    rivals: tuple[Rival, ...]
    seeds: int
    parameters: float | None = None
    """Non-embedding parameters of a confirming run; None where unknown."""


def judge_fit(evidence: FitEvidence) -> Verdict:
    """Whether the table can carry a proposal at all: `ranking_only` says yes, for now."""
    caveats = _caveats(evidence.noise is not None, evidence.parameters)
    if evidence.constant and not evidence.spread > 0:
        return Verdict("no_signal", ("metric_constant", *caveats))
    if (short := evidence.columns + 4 - evidence.runs) > 0:
        return Verdict("run_more", ("few_runs", *caveats), short)
    if evidence.noise is not None and evidence.spread < LEAST_SIGNAL * evidence.noise:
        return _undecided(("spread_within_noise", *caveats), evidence.more)
    if not evidence.rank >= LEAST_RANK:
        return _undecided(("rank_low", *caveats), evidence.more)
    flags = {
        "metric_constant": evidence.constant,
        "collinear": evidence.collinear,
        "repetition_missed": bool(evidence.repetition_missed),
        "rank_moves": evidence.rank_moves,
        "rate_moves": evidence.rate_moves,
    }
    found = tuple(code for code, seen in flags.items() if seen)
    return Verdict("ranking_only", (*found, *caveats))


def judge_proposal(evidence: ProposalEvidence) -> Verdict:
    """What may be said of a pick before it is trained one size up."""
    rival = evidence.gains[0].baseline if evidence.gains else ""
    if evidence.fit.kind in ("no_signal", "run_more"):
        return replace(evidence.fit, rival=rival)
    caveats = _caveats(evidence.replicated, evidence.parameters)
    if not all(gain.low > 0 for gain in evidence.gains):
        return _undecided(("gain_within_noise", *caveats), evidence.more, rival)
    if evidence.support < LEAST_SUPPORT:
        missing = LEAST_SUPPORT - evidence.support
        return Verdict("run_more", ("outside_region", *caveats), missing, rival=rival)
    if evidence.laws_disagree:
        return Verdict("run_more", ("laws_disagree", *caveats), VERIFIED, rival=rival)
    doubts = tuple(code for code in _DOUBTS if code in evidence.fit.reasons)
    kind: Kind = "better_at_proxy" if evidence.replicated and not doubts else "ranking_only"
    return Verdict(kind, (*doubts, *caveats), rival=rival)


def judge_confirmation(evidence: ConfirmationEvidence) -> Verdict:
    """What paired runs one size up allow: better than every baseline, or how many seeds more."""
    caveats = _caveats(True, evidence.parameters)
    closest = max(evidence.rivals, key=lambda rival: rival.difference)
    if all(rival.upper < 0 for rival in evidence.rivals):
        return Verdict("confirmed", caveats, rival=closest.name)
    if closest.difference >= 0:
        return Verdict("no_signal", ("behind", *caveats), rival=closest.name)
    more = _seeds_short(evidence.rivals, evidence.seeds)
    return Verdict(
        "run_more", ("gain_within_noise", *caveats), more, rival=closest.name, unit="seeds"
    )


def proxy_parameters(scales: Sequence[float]) -> float | None:
    """The parameters of a scale triple, None where not known."""
    return None if not len(scales) or math.isnan(scales[0]) else float(scales[0])


def _undecided(reasons: tuple[str, ...], more: More | None, rival: str = "") -> Verdict:
    """`no_signal` where even the lower end of what the learning curve asks for is out of reach."""
    if more is None or (more.runs is None and more.low is None):
        return Verdict("no_signal", reasons, rival=rival)
    runs = None if more.runs is None else max(1, more.runs)
    return Verdict("run_more", reasons, runs, (more.low, more.high), rival)


def _between(ends: tuple[int | None, int | None] | None) -> str:
    """The interval of a number of runs in words."""
    if ends is None:
        return ""
    low, high = ("out of reach" if end is None else str(end) for end in ends)
    return f" (90 % interval {low} to {high})"


def _caveats(replicated: bool, parameters: float | None) -> tuple[str, ...]:
    small = parameters is not None and parameters < LEAST_PARAMETERS
    return (() if replicated else ("no_replicates",)) + (("small_proxy",) if small else ())


def _seeds_short(rivals: Sequence[Rival], seeds: int) -> int:
    """Seeds more until the differences as seen clear zero: widths fall as 1/sqrt(seeds)."""
    needed = [((r.upper - r.difference) / -r.difference) ** 2 * seeds for r in rivals]
    return max(1, math.ceil(max(needed)) - seeds)
