"""How often a verdict is wrong: simulated studies of known truth, from the plan to the proposal.

    python benchmarks/verdicts.py [--tables 200] [--out verdicts.json]

Every study is a folder as `mixopt` makes it: design points in blocks, anchors and baselines are
planned, each run gets the world's losses with block effects and noise, then laws are compared, one
is fitted, a mixture is proposed and judged. Four truths, in turn:

    none           mixtures do nothing
    little         mixtures move the objective .5 to 2.5 times as much as a seed does
    much           10 to 30 times, in one of the five worlds in turn
    at the optimum 10 to 30 times, but equal shares, a baseline, are the best mixture already

A verdict is wrong when it
    claims: better_at_proxy or ranking_only, and the pick is truly no better than every baseline;
    despairs: no_signal, although mixtures do at least 9 times what a seed does and some mixture is
        better than every baseline by at least 3 times the noise of a run;
    hopes: run_more, although no mixture is better than every baseline by a hundredth of that noise.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cells import completed, print_table
from numpy.typing import NDArray
from scipy.stats import beta
from worlds import WORLDS, World, balanced, best_mixture, flat

from mixopt.baselines import baselines
from mixopt.experiment import Experiment
from mixopt.laws import COMPARED
from mixopt.proposers.rank import Ranking
from mixopt.space import Space
from mixopt.table import row_of
from mixopt.verdict import LEAST_SIGNAL, Kind, Verdict

Array = NDArray[np.float64]

TRUTHS = ("none", "little", "much", "at the optimum")
DOMAINS = 5
POINTS = 32
"""Design points of a study."""
TABLES = 200
LITTLE, MUCH = (0.5, 2.5), (10.0, 30.0)
"""Signal to noise: sd of the true objective over all mixtures by that of one run's noise."""
TIED = 0.2
"""Correlation of the noise of two metrics."""
AMPLE = 3 * LEAST_SIGNAL
NOTICEABLE = 3.0
"""A gain in sd of one run's noise that more runs would surely find."""
NOTHING = 0.01
"""A gain in the same units that nobody needs."""
FLAT_NOISE = 0.01
"""Noise by loss where mixtures do nothing."""
OBJECTIVE = "mean"
SMALL = 1e-4
"""Noise by loss at which the objective is linear in it."""
SAID: tuple[Kind, ...] = ("better_at_proxy", "ranking_only", "run_more", "no_signal")


class Case(NamedTuple):
    """One study: what is true, and its noise."""

    truth: str
    world: World
    signal: float
    tokens: Array
    """(d,) of the domains, for the natural shares."""
    number: int


class Outcome(NamedTuple):
    """What was said of a study, and what is true of it; gains in units of the objective."""

    kind: Kind
    reasons: tuple[str, ...]
    more: int | None
    """Runs asked for."""
    gain: float
    """Of the pick over the best baseline, truly."""
    best_gain: float
    """Of the best mixture."""
    noise: float
    """True sd of the objective of one run."""
    signal: float
    covered: bool
    """Whether the 90 % interval of the pick's gain holds the true one."""

    @property
    def wrong(self) -> str:
        """`claims`, `despairs` or `hopes`; empty where the verdict is right."""
        if self.kind in ("better_at_proxy", "ranking_only"):
            return "claims" if self.gain <= 0 else ""
        if self.kind == "no_signal":
            found = self.signal >= AMPLE and self.best_gain >= NOTICEABLE * self.noise
            return "despairs" if found else ""
        return "hopes" if self.best_gain <= NOTHING * self.noise else ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the studies that the file does not hold yet, then print what was said of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=TABLES)
    parser.add_argument("--compare", nargs="+", default=COMPARED, help="laws to choose from")
    parser.add_argument("--out", type=Path, default=Path("verdicts.json"))
    options = parser.parse_args(arguments)
    wanted = {
        f"{number}": partial(_cell, number, options.compare) for number in range(options.tables)
    }
    cells = completed(options.out, wanted)
    told = {number: Outcome(**cell) for number, cell in cells.items()}
    _print_verdicts([(TRUTHS[int(number) % len(TRUTHS)], one) for number, one in told.items()])


def case(number: int, domains: int = DOMAINS) -> Case:
    """The study of that number: truths and worlds in turn."""
    truth = TRUTHS[number % len(TRUTHS)]
    rng = np.random.default_rng([11, number])
    kinds = list(WORLDS.values())
    make = {"none": flat, "at the optimum": balanced}.get(
        truth, kinds[number // len(TRUTHS) % len(kinds)]
    )
    low, high = {"none": (0.0, 0.0), "little": LITTLE}.get(truth, MUCH)
    tokens = 1e9 * rng.lognormal(0.0, 1.0, domains)
    return Case(truth, make(domains, rng), float(rng.uniform(low, high)), tokens, number)


def played(made: Case, folder: Path, points: int = POINTS, design: str = "spacefill") -> Experiment:
    """A new folder whose planned runs were trained in the world."""
    folder.mkdir()
    (folder / "space.toml").write_text(_space_text(made))
    (folder / "proxy.toml").write_text("tokens = 1_000_000_000\nscale = [30e6, 30e6]\n")
    exp = Experiment(folder)
    plan = exp.sample(points, design, made.number)
    rows = np.stack([row_of(run, exp.space) for run in plan.runs])
    blocks = np.array([run.seed_block for run in plan.runs])
    rng, root = np.random.default_rng([12, made.number]), _noise_root(made, exp.space)
    shifts = rng.standard_normal((blocks.max() + 1, made.world.m)) @ root
    errors = rng.standard_normal((len(rows), made.world.m)) @ root
    losses = made.world.losses(rows) + shifts[blocks] + errors
    exp.append(
        [
            replace(run, metrics=dict(zip(made.world.metrics, row.tolist())), attempt=1)
            for run, row in zip(plan.runs, losses)
        ]
    )
    return exp


def judged(made: Case, exp: Experiment, law: str | None, compare: Sequence[str]) -> Outcome:
    """Fit and propose; `law`: take this one instead of comparing."""
    exp.fit(law, made.number, compare)
    told = exp.propose(1, seed=made.number).objectives[OBJECTIVE]
    return _outcome(exp, made, told.verdict, told.ranking)


def noise_of(made: Case, space: Space) -> float:
    """The sd of the objective of one run."""
    if not made.signal:
        return FLAT_NOISE
    rows = space.uniform(2000, np.random.default_rng(0))
    return float(made.world.value(rows).std()) / made.signal


def _noise_root(made: Case, space: Space) -> Array:
    """R (m, m): for normal rows z, z R is the noise of the losses of a run, tied over metrics."""
    reference = made.world.losses(space.reference[None])[0]
    tied = reference * np.linalg.cholesky(TIED + (1 - TIED) * np.eye(made.world.m)).T
    small = SMALL * np.random.default_rng(0).standard_normal((5000, made.world.m)) @ tied
    sd = made.world.objective.value(reference + small, reference).std()
    return noise_of(made, space) / float(sd) * SMALL * tied


def _outcome(exp: Experiment, made: Case, verdict: Verdict, ranking: Ranking) -> Outcome:
    """What was said beside what is true."""
    goal = exp.objectives(exp.table())[OBJECTIVE]
    rivals = baselines(exp.space, {}, goal.domains, goal.shares)
    rows = [ranking.pick.row, best_mixture(made.world, exp.space)]
    values = made.world.value(np.stack([*rows, *(item.row for item in rivals.values())]))
    apart = made.world.value(rivals[ranking.best_baseline].row[None])[0] - values[0]
    return Outcome(
        kind=verdict.kind,
        reasons=verdict.reasons,
        more=verdict.more,
        gain=float(values[2:].min() - values[0]),
        best_gain=float(values[2:].min() - values[1]),
        noise=noise_of(made, exp.space),
        signal=made.signal,
        covered=bool(ranking.headline.low <= apart <= ranking.headline.high),
    )


def _cell(number: int, compare: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        made = case(number)
        return judged(made, played(made, Path(folder) / "study"), None, compare)._asdict()


def _space_text(made: Case) -> str:
    """A space whose natural shares are those of the tokens, without caps."""
    tokens = enumerate(made.tokens.tolist())
    return "".join(f"[domain.domain{j}]\ntokens = {count:.0f}\n" for j, count in tokens)


def _print_verdicts(told: Sequence[tuple[str, Outcome]]) -> None:
    """Verdicts by truth, and how often they were wrong."""
    rows = []
    for truth in (*TRUTHS, "all"):
        found = [one for name, one in told if truth in (name, "all")]
        if not found:
            continue
        kinds = Counter(one.kind for one in found)
        faults = Counter(one.wrong for one in found if one.wrong)
        names = ", ".join(f"{fault} {count}" for fault, count in sorted(faults.items()))
        rows.append(
            [
                truth,
                str(len(found)),
                *(str(kinds[kind]) for kind in SAID),
                names or "0",
                share(faults.total(), len(found)),
                share(sum(one.covered for one in found), len(found)),
            ]
        )
    header = (
        "truth",
        "tables",
        *SAID,
        "wrong",
        "share wrong (90 %)",
        "gain in its interval (90 %)",
    )
    print_table(header, rows)


def share(count: int, total: int) -> str:
    """A share in percent with Clopper and Pearson's 90 % interval.

    >>> share(1, 100)
    '1.0 % (0.1 to 4.7)'
    """
    low = float(beta.ppf(0.05, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(0.95, count + 1, total - count)) if count < total else 1.0
    return f"{100 * count / total:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    main()
