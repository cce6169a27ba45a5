"""exact: the mixture with the lowest predicted objective inside the limits.

    w* = argmin J(law(w)) / s_J + strength * KL(w || p0')

Random rows, the best of them refined by mirror descent and a polish, shares that hardly matter
dropped, the answer rounded before anybody predicts it. For convex laws and objectives the
Frank-Wolfe gap bounds how much better any other mixture could be. Laws without slopes are searched
by rows drawn ever closer to the best. With a risk the answer is the cautious one of `cautious.py`.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError
from mixopt.polytope import Polytope
from mixopt.problem import Problem
from mixopt.projection import project
from mixopt.proposers.base import APART, Proposer, distance
from mixopt.proposers.cautious import cautious
from mixopt.proposers.goal import Goal
from mixopt.proposers.rounding import rounded
from mixopt.proposers.simulate import dirichlet_rows
from mixopt.proposers.smoothing import is_kinked
from mixopt.proposers.solver import frank_wolfe_gap, mirror_descent, polished

Array = NDArray[np.float64]

_SMALL = 0.002
"""Shares below it are dropped if that is cheap ..."""
_CHEAP = 0.1
"""... which is at most this many s_J for all of them together."""
_SOFTNESS = (0.3, 0.1, 0.03, 0.01)
"""Widths of kinks in s_J, one descent after the other."""
_MEANS = 128
_FIRST_STEPS = 40
_KEPT = 3
"""Starts that go on after the first steps."""
_SAME = 0.002
"""Rows nearer than this in L1 are one."""
_REACHES = tuple(np.geomspace(1.0, 0.02, 12).tolist())
_STEPS = 400
_ORIGINS = 32
"""How many of the best rows steps start from."""
_FEW = 64
_ROUGH = 1e-4
"""Progress in s_J under which a descent by a law that is itself a draw ends."""
_POOL = 256
"""Samples, and mixtures of a sample and the optimum, among which alternatives are sought."""


class Solution(NamedTuple):
    """A minimum before rounding."""

    row: Array
    """(width,)"""
    value: float
    """J / s_J + strength * KL."""
    gap: float
    """Frank-Wolfe gap in s_J of what was solved, before small shares were dropped; NaN for laws
    without slopes, for which samples and their means are compared."""
    certified: bool
    """Whether law and objective are convex: then no mixture is better by more than the gap."""


@dataclass
class Exact(Proposer):
    """The refined argmin; further candidates are near-optimal and minima on draws of the law."""

    strength: float = 0.0
    """Pull towards the prior, in s_J a nat; infinite: the prior inside the limits."""
    samples: int = 4096
    starts: int = 8
    risk: float = 0.0
    """Standard deviations of the gain that are taken off its mean."""
    over: Array | None = None
    """(width,) what the gain is over; None: the prior inside the limits."""

    def __post_init__(self) -> None:
        if not self.risk >= 0 or not self.strength >= 0:
            raise ConfigError(
                "exact: expected a risk and a strength of 0 or more, "
                f"got {self.risk} and {self.strength}"
            )

    def quick(self) -> "Exact":
        """Fewer samples and starts."""
        return replace(self, samples=min(self.samples, 512), starts=min(self.starts, 2))

    def near(self, rows: Array) -> Proposer:
        """Descents from `rows` (k, width) alone; with a risk, `quick`."""
        return self.quick() if self.risk > 0 else Descent(rows, self.strength)

    def solve(self, problem: Problem, rng: np.random.Generator) -> Solution:
        """The minimum with its certificate."""
        goal, rows = Goal.of(problem, self.strength), self._samples(problem, rng)
        return self._solved(goal, rows, goal.values(rows))

    def minimum(self, goal: Goal, problem: Problem, rng: np.random.Generator) -> Array:
        """The row (1, width) that is best for a goal other than the problem's own, rounded."""
        rows = self._samples(problem, rng)
        found = self._solved(goal, rows, goal.values(rows)).row
        return rounded(problem.space.polytope, found[None])

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        polytope = problem.space.polytope
        if np.isinf(self.strength):
            return rounded(polytope, problem.space.reference[None])
        goal = Goal.of(problem, self.strength)
        rows = self._samples(problem, rng)
        values = goal.values(rows)
        optimum = self._solved(goal, rows, values).row
        if self.risk > 0 and not goal.is_flat(values):
            over = problem.space.reference if self.over is None else self.over
            row = cautious(goal, optimum, over, rows, values, self.risk, rng)
            first = rounded(polytope, row[None])[0]
        else:
            contenders = rounded(polytope, np.stack([optimum, rows[np.argmin(values)]]))
            first = contenders[np.argmin(goal.values(contenders))]
        if count == 1:
            return first[None]
        pool = _pool(first, rows, values, rng)
        others = rounded(polytope, _alternatives(goal, first, pool, count - 1, rng))
        if self.risk > 0:
            return np.concatenate([first[None], others])
        chosen = np.concatenate([first[None], others])
        return chosen[np.argsort(goal.values(chosen), kind="stable")]

    def _samples(self, problem: Problem, rng: np.random.Generator) -> Array:
        """Rows inside the limits: uniform ones, sparse ones, the prior and the runs seen."""
        space, half = problem.space, self.samples // 2
        seen = np.empty((0, space.width)) if problem.table is None else problem.table.weights
        return np.concatenate(
            [
                space.reference[None],
                space.project(seen),
                space.uniform(half, rng),
                dirichlet_rows(space, self.samples - half, rng),
            ]
        )

    def _solved(self, goal: Goal, rows: Array, values: Array) -> Solution:
        order = np.argsort(values, kind="stable")
        starts = np.concatenate([rows[order[: self.starts]], goal.space.reference[None]])
        if goal.is_flat(values):
            return Solution(starts[-1], float(goal.values(starts[-1:])[0]), 0.0, goal.is_convex)
        if goal.is_stepped(starts):
            best = rows[order[:_MEANS]]
            row = _closed_in(goal, np.concatenate([_best_mean(goal, best)[None], best]))
            return Solution(row, float(goal.values(row[None])[0]), np.nan, False)
        polytope = _without_forbidden(goal)
        row = _descended(goal, polytope, starts)
        gap = frank_wolfe_gap(polytope, row, _smooth(goal).gradients(row[None])[0])
        sparse = _without_small(goal, polytope, row)
        if goal.values(sparse[None])[0] <= values[order[0]]:
            row = sparse
        return Solution(row, float(goal.values(row[None])[0]), gap, goal.is_convex)


@dataclass
class Descent(Proposer):
    """One row: the best minimum that descents from given rows and a few samples lead to."""

    rows: Array
    """(k, width)"""
    strength: float = 0.0

    def _propose(self, problem: Problem, count: int, rng: np.random.Generator) -> Array:
        space = problem.space
        if np.isinf(self.strength):
            return rounded(space.polytope, space.reference[None])
        goal = Goal.of(problem, self.strength)
        sampled = dirichlet_rows(space, _FEW, rng)
        rows = np.concatenate([space.project(self.rows), sampled, space.reference[None]])
        values = goal.values(rows)
        if goal.is_flat(values):
            return rounded(space.polytope, space.reference[None])
        best = rows[np.argsort(values, kind="stable")]
        if not goal.is_stepped(best[:1]):
            best = mirror_descent(
                _smooth(goal), _without_forbidden(goal), best[:2], tolerance=_ROUGH
            )
        found = rounded(space.polytope, best[:2])
        return found[np.argmin(goal.values(found))][None]


def certificate(problem: Problem, row: Array) -> float | None:
    """How much better than `row` (width,) any mixture can be predicted, in the objective's units.

    The Frank-Wolfe gap; None where law or objective is not convex, so that it bounds nothing.
    """
    goal = Goal.of(problem)
    if not goal.is_convex:
        return None
    slope = _smooth(goal).gradients(row[None])[0]
    return frank_wolfe_gap(problem.space.polytope, row, slope) * goal.unit


def _best_mean(goal: Goal, best: Array) -> Array:
    """The best row (width,) among the means of the first 1, 2, ... of the best samples."""
    means = np.cumsum(best, axis=0) / np.arange(1, len(best) + 1)[:, None]
    return means[np.argmin(goal.values(means))]


def _closed_in(goal: Goal, best: Array) -> Array:
    """The best row (width,) of rounds of steps from the best (k, width) of the round before.

    A step is towards another good row, past it, or towards a corner: steps of trees are wide, and
    a descent has no slope to follow.
    """
    rng = np.random.default_rng(0)
    corners = np.tile(np.eye(goal.space.d), len(goal.space.phases))
    values, corners = goal.values(best), goal.space.project(corners)
    for reach in _REACHES:
        origin = best[rng.integers(min(len(best), _ORIGINS), size=_STEPS)]
        towards = np.concatenate([best, corners])
        ends = towards[rng.integers(len(towards), size=_STEPS)]
        moved = origin + reach * rng.uniform(-0.5, 1.0, (_STEPS, 1)) * (ends - origin)
        trial = project(goal.space.polytope, np.maximum(moved, 0.0))
        best, values = (
            np.concatenate([best, trial]),
            np.concatenate([values, goal.values(trial)]),
        )
        order = np.argsort(values, kind="stable")[:_MEANS]
        best, values = best[order], values[order]
    return best[0]


def _without_forbidden(goal: Goal) -> Polytope:
    """The limits; with a KL term, domains that the prior leaves out stay out."""
    polytope = goal.space.polytope
    if goal.strength == 0:
        return polytope
    left_out = goal.space.reference <= 0
    return replace(polytope, upper=np.where(left_out, 0.0, polytope.upper))


def _descended(goal: Goal, polytope: Polytope, starts: Array) -> Array:
    """The best minimum (width,) that the starts (k, width) lead to."""
    rows = starts
    for smooth in _stages(goal):
        rows = mirror_descent(smooth, polytope, rows, _FIRST_STEPS)
        rows = rows[np.argsort(goal.values(rows), kind="stable")[:_KEPT]]
    rows = mirror_descent(_smooth(goal), polytope, rows)
    best = rows[np.argmin(goal.values(rows))]
    refined = polished(_smooth(goal), polytope, best)
    return refined if goal.values(refined[None])[0] <= goal.values(best[None])[0] else best


def _stages(goal: Goal) -> list[Goal]:
    """What the starts descend on in turn, from soft to sharp; a smooth goal is its only stage."""
    if not is_kinked(goal.objective):
        return [goal]
    return [goal.softened(width) for width in _SOFTNESS]


def _smooth(goal: Goal) -> Goal:
    """The goal that the solver minimises in the end."""
    return goal.softened(_SOFTNESS[-1]) if is_kinked(goal.objective) else goal


def _without_small(goal: Goal, polytope: Polytope, row: Array) -> Array:
    """The row without shares under 0.002 that together cost less than 0.1 s_J, solved again."""
    small = np.flatnonzero((row > 0) & (row < _SMALL) & (polytope.lower == 0))
    budget = goal.values(row[None])[0] + _CHEAP
    kept, support = row, polytope
    for j in small[np.argsort(row[small], kind="stable")]:
        narrower = replace(support, upper=np.where(np.arange(len(row)) == j, 0.0, support.upper))
        if not narrower.is_feasible():
            continue
        trial = project(narrower, kept[None])[0]
        if goal.values(trial[None])[0] < budget:
            kept, support = trial, narrower
    if support is polytope:
        return row
    return _descended(goal, support, kept[None])


def _pool(optimum: Array, rows: Array, values: Array, rng: np.random.Generator) -> Array:
    """Legal rows among which alternatives are sought: good samples, and ways towards others."""
    best = rows[np.argsort(values, kind="stable")[:_POOL]]
    others = rows[rng.integers(len(rows), size=_POOL)]
    share = rng.random((_POOL, 1))
    return np.concatenate([best, (1 - share) * optimum + share * others])


def _alternatives(
    goal: Goal, optimum: Array, pool: Array, count: int, rng: np.random.Generator
) -> Array:
    """Up to `count` rows apart from the optimum and each other, by mean and by draws in turn."""
    means = goal.values(pool)
    pool, means = pool[np.isfinite(means)], means[np.isfinite(means)]
    thompson = goal.told(goal.law.sample(pool, count // 2, rng)) if count > 1 else None
    apart = APART + 1e-4 * goal.space.width  # what rounding may take away
    nearest = distance(goal.space, pool, optimum)
    chosen = np.empty((0, goal.space.width))
    for i in range(count):
        if nearest.max() < _SAME:
            break
        far = nearest >= min(apart, nearest.max())
        scores = means if thompson is None or i % 2 == 0 else thompson[i // 2]
        row = pool[np.argmin(np.where(far, scores, np.inf))]
        chosen = np.concatenate([chosen, row[None]])
        nearest = np.minimum(nearest, distance(goal.space, pool, row))
    return chosen
