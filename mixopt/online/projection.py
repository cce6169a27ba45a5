"""Projection of a wanted mixture into what is left of every domain: caps on *cumulative* draws.

    share_j <= (allowed_j - drawn_j) / (tokens left in the run)

What a domain may still give is spread over what is left of the run. Whatever is wanted, no domain
is then drawn beyond its epochs; what one leaves unused it may use later; and as long as all domains
together last for the run, so does the rule (the sum of the caps never falls below one). Among the
mixtures inside, the nearest in KL divergence is taken. A mixture that keeps to the linear limits
now could be held to the end of the run, so they stay possible; a loop that drew otherwise may make
them impossible, and then they give way before the caps do, all by the same, smallest amount.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import rel_entr

from mixopt.online.budget import Budget
from mixopt.polytope import Polytope
from mixopt.projection import project

Array = NDArray[np.float64]

FLOOR = 0.1
"""Of its prior share, what every domain keeps: rare text is learned only above some share."""
_LEAST = 1e-12  # a domain that nobody wants is still drawn where the others are spent
_ROUNDING = 1e-10
_NEWTON, _HALVINGS, _LONGEST = 60, 20, 5.0
_EXACTLY: Any = {"primal_feasibility_tolerance": 1e-10}


def into_budget(
    budget: Budget, wanted: Array, drawn: Array, tokens: float, floor: float = FLOOR
) -> Array:
    """The mixture (d,) nearest to `wanted` (d,) that the rest of the run can afford.

    `drawn` (d,) and `tokens` count from the start of the run. Domains keep `floor` of their prior
    share while they last and the limits allow. Where nothing is affordable any more - a loop that
    drew more than it was told - what is left, or else the prior, is shared out.

    >>> budget = Budget.of(["web", "law"], tokens={"law": 10.0}, run_tokens=100.0)
    >>> into_budget(budget, np.array([0.2, 0.8]), np.zeros(2), 0.0)
    array([0.6, 0.4])
    >>> into_budget(budget, np.array([0.2, 0.8]), np.array([10.0, 40.0]), 50.0)
    array([1., 0.])
    """
    upper = np.minimum(affordable(budget, drawn, tokens), budget.upper)
    if upper.sum() <= 1.0:
        return _shared_out(budget, upper)
    floors = np.minimum(floor * budget.prior, upper)
    lower = np.maximum(np.minimum(budget.lower, upper), floors)
    if lower.sum() >= 1.0:
        shares = lower / lower.sum()
    else:
        total = wanted.sum()
        shares = wanted / total if total > 0 else budget.prior
        if not ((lower <= shares) & (shares <= upper)).all():
            shares = project(_box(lower, upper), np.maximum(shares, _LEAST)[None])[0]
    if (budget.limit @ shares <= budget.limit_to + _ROUNDING).all():
        return shares.copy()
    return _into_limits(budget, wanted if wanted.sum() > 0 else budget.prior, floors, upper)


def affordable(budget: Budget, drawn: Array, tokens: float) -> Array:
    """(d,) the largest share of each domain that its epochs allow until the end of the run."""
    left = np.maximum(budget.allowed - drawn, 0.0)
    rest = budget.run_tokens - tokens
    if rest <= 0.0:
        return (left > 0.0).astype(np.float64)
    if np.isinf(rest):
        return np.where(left > 0.0, 1.0, 0.0)
    return np.minimum(left / rest, 1.0)


def _shared_out(budget: Budget, upper: Array) -> Array:
    """What is left in proportion (exact where the caps add up to one), else the prior."""
    left = upper if upper.sum() > 0.0 else budget.prior
    return left / left.sum()


def _box(lower: Array, upper: Array) -> Polytope:
    """The mixtures between two rows (d,)."""
    d = len(lower)
    return Polytope(
        fractions=np.ones(1),
        lower=lower,
        upper=upper,
        equal=np.ones((1, d)),
        equal_to=np.ones(1),
        limit=np.zeros((0, d)),
        limit_to=np.zeros(0),
    )


def _into_limits(budget: Budget, wanted: Array, floors: Array, upper: Array) -> Array:
    """The nearest mixture (d,) inside the linear limits as well; floors give way before limits do.

    Where the dual does not arrive, or where no mixture keeps to everything, one that misses the
    limits by the least, found by linear programming, is mixed in as far as is needed.
    """
    least = np.minimum(budget.lower, upper)
    lower = np.maximum(least, floors)
    found = _by_dual(budget, wanted, lower, upper, 0.0)
    if (budget.limit @ found <= budget.limit_to + _ROUNDING).all():
        return found
    loosened, kept, inside = _concessions(budget, least, floors, upper)
    lower = np.maximum(least, kept * floors)
    inside = project(_box(np.minimum(lower, inside), upper), inside[None])[0]
    found = _by_dual(budget, wanted, lower, upper, loosened)
    missed = budget.limit @ found - budget.limit_to - loosened
    room = np.maximum(budget.limit @ (found - inside), _LEAST)
    part = np.clip(missed / room, 0.0, 1.0).max()
    return (1.0 - part) * found + part * inside


def _by_dual(budget: Budget, wanted: Array, lower: Array, upper: Array, loosened: float) -> Array:
    """min KL(x | q) in the box with A x <= b, as far as _NEWTON steps of its dual come.

    max over y >= 0 of KL(x | q) + y (A x - b), x(y) the box's nearest to q exp(-A' y): concave,
    with gradient A x - b; Newton's steps are cut at _LONGEST and halved until they gain.
    """
    a, b = budget.limit, budget.limit_to + loosened
    q, box = np.log(np.maximum(wanted / wanted.sum(), _LEAST)), _box(lower, upper)

    def at(price: Array) -> tuple[Array, Array, float]:
        tilted = q - price @ a
        x = project(box, np.maximum(np.exp(tilted - tilted.max()), _LEAST)[None])[0]
        return x, a @ x - b, float(rel_entr(x, np.exp(q)).sum() + price @ (a @ x - b))

    price = np.zeros(len(b))
    x, over, value = at(price)
    for _ in range(_NEWTON):
        if max(over.max(), np.abs(over[price > 0.0]).max(initial=0.0)) < _ROUNDING:
            break
        move = _newton(a, np.where((x > lower) & (x < upper), x, 0.0), price, over)
        for _ in range(_HALVINGS):
            tried = np.maximum(price + move, 0.0)
            step = at(tried)
            if step[2] > value:
                break
            move = move / 2.0
        else:
            break
        price, (x, over, value) = tried, step
    return x


def _newton(a: Array, free: Array, price: Array, over: Array) -> Array:
    """The step (c,) of the prices that count: those above zero and those of broken limits."""
    counts = (price > 0.0) | (over > 0.0)
    own, mass = a[counts], max(free.sum(), _LEAST)
    bend = (own * free) @ own.T - np.outer(own @ free, own @ free) / mass
    bend[np.diag_indices(len(bend))] += 1e-9 * np.trace(bend) + _LEAST
    move = np.zeros(len(price))
    move[counts] = np.clip(np.linalg.solve(bend, over[counts]), -_LONGEST, _LONGEST)
    return move


def _concessions(
    budget: Budget, least: Array, floors: Array, upper: Array
) -> tuple[float, float, Array]:
    """By how much all limits must be loosened at least; then the part of the floors that stays, and
    a mixture (d,) that does with these.

    Two linear programmes over (x, t, s): limit @ x - t <= limit_to, s floors <= x.
    """
    d, c = budget.d, len(budget.limit)
    rows = np.block(
        [
            [budget.limit, -np.ones((c, 1)), np.zeros((c, 1))],
            [-np.eye(d), np.zeros((d, 1)), floors[:, None]],
        ]
    )
    most, total = np.r_[budget.limit_to, np.zeros(d)], np.r_[np.ones(d), 0.0, 0.0][None]
    bounds = [*zip(least, upper, strict=True), (0.0, None), (0.0, 1.0)]
    cost = np.zeros((2, d + 2))
    cost[0, d], cost[1, d + 1] = 1.0, -1.0
    first = linprog(cost[0], rows, most, total, [1.0], bounds, options=_EXACTLY)
    assert first.x is not None, "the bounds leave a mixture, and t is free"
    loosened = max(float(first.x[d]), 0.0)
    bounds[d] = (0.0, loosened + _ROUNDING)
    second = linprog(cost[1], rows, most, total, [1.0], bounds, options=_EXACTLY)
    best = first.x if second.x is None else second.x
    return loosened, float(best[d + 1]), best[:d]
