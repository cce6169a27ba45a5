"""confirm: proposals against every baseline one size up, on paired seeds (blocks).

    y_ab = arm_a + block_b + e_ab,   e ~ N(0, s^2),   s^2 pooled, (A - 1)(S - 1) degrees of freedom
    difference of two arms = mean_b (y_ab - y_cb),   standard error s sqrt(2 / S)

A proposal is better only if it beats every rival, one-sided, by Dunnett's multivariate t over the
proposals; looking again after more seeds divides the error rate by the number of looks. Arms are
fixed and written down before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.digits import rounded
from mixopt.dunnett import dunnett_quantile, dunnett_tail, power
from mixopt.errors import DataError
from mixopt.proposers.base import distance
from mixopt.shown import Section, Shown, chance
from mixopt.space import Space

if TYPE_CHECKING:
    from mixopt.baselines import Baseline

Array = NDArray[np.float64]
Role = Literal["proposal", "baseline", "best_run"]
Outcome = Literal["better", "same", "worse", "undecided"]
Schedule = tuple[tuple[float, Mapping[str, float]], ...]

LEVEL = 0.95
POWER = 0.8
SAME_ARM = 0.02
"""Arms nearer than this in L1 are trained once."""
NATURAL = "natural"

_MARGIN = 0.003
"""A proposal is no worse than a rival only within this much of the objective ..."""
_MARGIN_SHARE = 0.1
"""... and within this share of the rival's gain over the natural mixture."""


@dataclass(frozen=True)
class Arm:
    """One mixture that is trained in every block."""

    name: str
    role: Role
    schedule: Schedule
    stands_for: tuple[str, ...] = ()
    """Further baselines that are nearly this mixture."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name and those it stands for."""
        return (self.name, *self.stands_for)

    def to_json(self) -> dict[str, Any]:
        """The arm for the file that is written before training."""
        schedule = [[fraction, dict(mixture)] for fraction, mixture in self.schedule]
        return {**asdict(self), "schedule": schedule, "stands_for": list(self.stands_for)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Arm:
        """The arm that `to_json` wrote."""
        schedule = tuple((fraction, dict(mixture)) for fraction, mixture in values["schedule"])
        return cls(values["name"], values["role"], schedule, tuple(values["stands_for"]))


@dataclass(frozen=True)
class Blocks:
    """How many seeds to train each arm with, and the chance of a clear answer."""

    count: int
    power: float | None
    """None where the noise is not known."""


@dataclass(frozen=True)
class Comparison:
    """One proposal against one rival; negative differences are in the proposal's favour."""

    proposal: str
    rival: str
    difference: float
    """J(proposal) - J(rival), mean over blocks."""
    se: float
    upper: float
    """Upper end of its one-sided interval, adjusted for proposals and looks."""
    p: float
    """Of "not better", adjusted in the same way."""
    outcome: Outcome
    documents: tuple[float, float] | None = None
    """90 % interval over evaluation documents; None where their losses are not known."""
    predicted: float | None = None
    """The difference that the law promised."""
    shrunk: float | None = None
    """The difference drawn towards the promise, as far as promises were kept."""


@dataclass(frozen=True, repr=False)
class Confirmation(Shown):
    """What the confirming runs say, proposals and rivals side by side."""

    arms: tuple[Arm, ...]
    means: tuple[float, ...]
    """Mean objective of each arm over the complete blocks."""
    comparisons: tuple[Comparison, ...]
    noise: float
    """s, the sd of one run beside its block."""
    df: int
    blocks: int
    """Complete ones: every arm finished."""
    incomplete: int
    """Blocks left out, because an arm in them is missing."""
    level: float
    looks: int

    def outcome(self, proposal: str) -> Outcome:
        """Better only if better than every rival; the same if no worse than any."""
        found = {item.outcome for item in self.against(proposal)}
        for outcome in ("worse", "undecided", "same"):
            if outcome in found:
                return outcome
        return "better"

    def against(self, proposal: str) -> tuple[Comparison, ...]:
        """The comparisons of one proposal, its closest rival first."""
        found = [item for item in self.comparisons if item.proposal == proposal]
        if not found:
            known = ", ".join(arm.name for arm in self.arms if arm.role == "proposal")
            raise DataError(f"no proposal is called {proposal!r}, known: {known}")
        return tuple(sorted(found, key=lambda item: -item.difference))

    @property
    def proposals(self) -> tuple[str, ...]:
        """The names of the proposals, the lowest mean first."""
        order = np.argsort(self.means, kind="stable")
        return tuple(self.arms[i].name for i in order if self.arms[i].role == "proposal")

    def arm_frame(self) -> pd.DataFrame:
        """A row for each arm, the lowest mean first."""
        lines = [
            {"arm": ", ".join(arm.names), "role": arm.role, "objective": mean}
            for arm, mean in zip(self.arms, self.means, strict=True)
        ]
        return pd.DataFrame(lines).sort_values("objective", kind="stable", ignore_index=True)

    def frame(self) -> pd.DataFrame:
        """A row for each proposal and rival, the closest rivals first."""
        means = {arm.name: mean for arm, mean in zip(self.arms, self.means, strict=True)}
        lines = [
            {
                "proposal": item.proposal,
                "rival": item.rival,
                "objective": means[item.proposal],
                "rival objective": means[item.rival],
                "difference": item.difference,
                "se": item.se,
                "upper": item.upper,
                "p": item.p,
                "verdict": item.outcome,
                "predicted": item.predicted,
                "shrunk": item.shrunk,
            }
            for name in self.proposals
            for item in self.against(name)
        ]
        return pd.DataFrame(lines)

    def told(self) -> pd.DataFrame:
        """The comparisons as text: gains in units of the objective, with their standard errors."""
        return pd.DataFrame(
            [
                {
                    "proposal - rival": f"{item.proposal} - {item.rival}",
                    "gain": rounded(-item.difference, item.se),
                    "se": rounded(item.se, item.se),
                    "promised": _gain(item.predicted, item.se),
                    "shrunk": _gain(item.shrunk, item.se),
                    "p": chance(item.p),
                    "outcome": item.outcome,
                }
                for name in self.proposals
                for item in self.against(name)
            ]
        )

    def sections(self) -> Iterator[Section]:
        """The comparisons."""
        yield Section(f"{self.blocks} paired seeds", self.told())

    def to_json(self) -> dict[str, Any]:
        """The confirmation for machines."""
        return {
            **asdict(self),
            "arms": [
                {**arm.to_json(), "objective": mean}
                for arm, mean in zip(self.arms, self.means, strict=True)
            ],
            "comparisons": [asdict(item) for item in self.comparisons],
            "outcomes": {name: self.outcome(name) for name in self.proposals},
        }


def plan_arms(
    space: Space,
    proposals: Mapping[str, Array],
    baselines: Mapping[str, Baseline],
    best_run: tuple[str, Array] | None = None,
) -> tuple[Arm, ...]:
    """The arms to train: every proposal, every baseline, the best run seen (a name and its row).

    Baselines within 0.02 in L1 of an earlier one share its arm. The best run shares the arm of a
    proposal as well: it is no rival of the mixture that it is.
    Raises DataError without a proposal or a baseline.
    """
    if not proposals or not baselines:
        raise DataError("a confirmation needs a proposal and a baseline at least")
    arms = [_Row(name, "proposal", row) for name, row in proposals.items()]
    for name, item in baselines.items():
        _add(arms, _Row(name, "baseline", item.row, item.aliases), space, ("baseline",))
    if best_run is not None:
        _add(arms, _Row(best_run[0], "best_run", best_run[1]), space, ("proposal", "baseline"))
    names = [name for arm in arms for name in (arm.name, *arm.stands_for)]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"expected different names of arms, got {name!r} twice")
    return tuple(
        Arm(arm.name, arm.role, space.schedule(arm.row), tuple(arm.stands_for)) for arm in arms
    )


def blocks_needed(
    gain: float,
    noise: float | None,
    arms: Sequence[Arm],
    *,
    least: int = 5,
    most: int = 10,
    level: float = LEVEL,
) -> Blocks:
    """The fewest blocks, `least` to `most`, that show half the predicted `gain` in 4 of 5 cases.

    `gain` is the predicted gain over the best rival and `noise` the sd of one run beside its
    block, both in units of the objective. All rivals are taken to be as close as the best one.
    """
    if noise is None:
        return Blocks(least, None)
    proposals = sum(arm.role == "proposal" for arm in arms)
    rivals = len(arms) - proposals
    if noise == 0:
        return Blocks(least, 1.0 if gain > 0 else 0.0)
    reached = 0.0
    for count in range(least, most + 1):
        reached = power(gain / 2, noise, count, proposals, rivals, level)
        if reached >= POWER:
            return Blocks(count, reached)
    return Blocks(most, reached)


def judge(
    values: Array,
    arms: Sequence[Arm],
    *,
    predicted: Mapping[str, float] | None = None,
    documents: Array | None = None,
    looks: int = 1,
    level: float = LEVEL,
) -> Confirmation:
    """Compare every proposal with every rival.

    `values` (A, S): objective of each arm in each block, lower is better, NaN where a run failed;
    only blocks without NaN count. `predicted`: objective of arms by the law. `documents`
    (draws, A, S): the same values with evaluation documents drawn anew, of
    `documents.resampled_values`. `looks`: how often these arms have been judged, this time
    included. Raises DataError when fewer than two blocks are complete.
    """
    complete = _complete(values, arms)
    kept = np.asarray(values, dtype=np.float64)[:, complete]
    noise, df = pooled_noise(kept)
    test = _Test(noise, df, kept.shape[1], _count(arms, "proposal"), level, looks)
    means = kept.mean(axis=1)
    drawn = None if documents is None else documents[:, :, complete].mean(axis=2)
    natural = next((i for i, arm in enumerate(arms) if NATURAL in arm.names), None)
    comparisons = [
        _compared(arms, means, a, c, test, natural, drawn)
        for a, arm in enumerate(arms)
        for c, rival in enumerate(arms)
        if arm.role == "proposal" and rival.role != "proposal"
    ]
    return Confirmation(
        arms=tuple(arms),
        means=tuple(means.tolist()),
        comparisons=_shrunk(comparisons, predicted or {}),
        noise=noise,
        df=df,
        blocks=int(complete.sum()),
        incomplete=int((~complete).sum()),
        level=level,
        looks=looks,
    )


def pooled_noise(values: Array) -> tuple[float, int]:
    """s and its degrees of freedom from values (A, S) without arm and block means."""
    arm, block = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    residuals = values - arm - block + values.mean()
    df = (values.shape[0] - 1) * (values.shape[1] - 1)
    return float(np.sqrt((residuals**2).sum() / df)), df


def _complete(values: Array, arms: Sequence[Arm]) -> NDArray[np.bool_]:
    """Which blocks (S,) have a value of every arm; two at least."""
    if np.ndim(values) != 2 or len(values) != len(arms):
        shape = np.shape(values)
        raise DataError(f"expected values (arms, blocks) of {len(arms)} arms, got {shape}")
    complete: NDArray[np.bool_] = np.all(np.isfinite(values), axis=0)
    if complete.sum() < 2:
        missing = [arm.name for arm, row in zip(arms, values) if not np.isfinite(row).all()]
        raise DataError(
            f"expected two blocks or more in which every arm is finished, got {complete.sum()} "
            f"(missing: {', '.join(missing)}): train what is planned"
        )
    return complete


@dataclass
class _Row:
    name: str
    role: Role
    row: Array
    stands_for: tuple[str, ...] = ()


def _add(arms: list[_Row], new: _Row, space: Space, roles: tuple[Role, ...]) -> None:
    """Append an arm, or let the first one of these roles that is nearly it stand for it."""
    for arm in arms:
        if arm.role in roles and distance(space, arm.row[None], new.row)[0] < SAME_ARM:
            arm.stands_for = (*arm.stands_for, new.name, *new.stands_for)
            return
    arms.append(new)


def _count(arms: Sequence[Arm], role: Role) -> int:
    return sum(arm.role == role for arm in arms)


@dataclass(frozen=True)
class _Test:
    """The one-sided test that all comparisons of a confirmation share."""

    noise: float
    df: int
    blocks: int
    proposals: int
    level: float
    looks: int

    @property
    def se(self) -> float:
        return self.noise * np.sqrt(2.0 / self.blocks)

    @property
    def reach(self) -> float:
        """How far the ends of intervals are from the difference."""
        level = 1.0 - (1.0 - self.level) / self.looks
        return dunnett_quantile(level, self.proposals, self.df) * self.se

    def p(self, difference: float) -> float:
        """Of a difference as low as this without a true one, over all proposals and looks."""
        if self.se == 0:
            return 0.0 if difference < 0 else 1.0
        tail = dunnett_tail(-difference / self.se, self.proposals, self.df)
        return min(1.0, self.looks * tail)


def _compared(
    arms: Sequence[Arm],
    means: Array,
    a: int,
    c: int,
    test: _Test,
    natural: int | None,
    drawn: Array | None,
) -> Comparison:
    """Arm `a`, a proposal, against its rival `c`."""
    difference = float(means[a] - means[c])
    margin = 0.0
    if natural is not None:
        margin = min(_MARGIN, _MARGIN_SHARE * float(means[natural] - means[c]))
    interval = None
    if drawn is not None:
        low, high = np.quantile(drawn[:, a] - drawn[:, c], [0.05, 0.95])
        interval = (float(low), float(high))
    return Comparison(
        proposal=arms[a].name,
        rival=arms[c].name,
        difference=difference,
        se=float(test.se),
        upper=difference + float(test.reach),
        p=test.p(difference),
        outcome=_outcome(difference, float(test.reach), margin),
        documents=interval,
    )


def _outcome(difference: float, reach: float, margin: float) -> Outcome:
    """Not significant is not the same: that needs the whole interval inside the margin."""
    if difference + reach < 0:
        return "better"
    if difference - reach > 0:
        return "worse"
    return "same" if difference + reach < margin else "undecided"


def _gain(difference: float | None, se: float) -> str:
    return "-" if difference is None else rounded(-difference, se)


def _shrunk(
    comparisons: Sequence[Comparison], predicted: Mapping[str, float]
) -> tuple[Comparison, ...]:
    """Differences drawn towards what the law promised, by how well promises were kept.

    (g / se^2 + m / t^2) / (1 / se^2 + 1 / t^2), t^2 = max(se^2, mean (g - m)^2 - se^2).
    """
    known = [c for c in comparisons if c.proposal in predicted and c.rival in predicted]
    if not known or known[0].se == 0:
        return tuple(comparisons)
    promised = {(c.proposal, c.rival): predicted[c.proposal] - predicted[c.rival] for c in known}
    kept = [(c.difference - promised[c.proposal, c.rival]) ** 2 for c in known]
    se2 = known[0].se ** 2
    t2 = max(se2, float(np.mean(kept)) - se2)
    return tuple(
        _with_promise(c, promised.get((c.proposal, c.rival)), se2, t2) for c in comparisons
    )


def _with_promise(item: Comparison, promise: float | None, se2: float, t2: float) -> Comparison:
    if promise is None:
        return item
    shrunk = (item.difference / se2 + promise / t2) / (1 / se2 + 1 / t2)
    return replace(item, predicted=promise, shrunk=shrunk)
