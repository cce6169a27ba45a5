"""Projection of a wanted mixture into what is left of every domain: caps on *cumulative* draws.

    share_j <= (allowed_j - drawn_j) / (tokens left in the run)

What a domain may still give is spread over what is left of the run. Whatever is wanted, no domain
is then drawn beyond its epochs; what one leaves unused it may use later; and as long as all domains
together last for the run, so does the rule (the sum of the caps never falls below one). Among the
mixtures inside, the nearest in KL divergence is taken.
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.online.budget import Budget
from mixopt.polytope import Polytope
from mixopt.projection import project

Array = NDArray[np.float64]

FLOOR = 0.1
"""Of its prior share, what every domain keeps: rare text is learned only above some share."""
_LEAST = 1e-12  # a domain that nobody wants is still drawn where the others are spent


def into_budget(
    budget: Budget, wanted: Array, drawn: Array, tokens: float, floor: float = FLOOR
) -> Array:
    """The mixture (d,) nearest to `wanted` (d,) that the rest of the run can afford.

    `drawn` (d,) and `tokens` count from the start of the run. Domains keep `floor` of their prior
    share while they last. Where nothing is affordable any more - a loop that drew more than it was
    told - what is left, or else the prior, is shared out.

    >>> budget = Budget.of(["web", "law"], tokens={"law": 10.0}, run_tokens=100.0)
    >>> into_budget(budget, np.array([0.2, 0.8]), np.zeros(2), 0.0)
    array([0.6, 0.4])
    >>> into_budget(budget, np.array([0.2, 0.8]), np.array([10.0, 40.0]), 50.0)
    array([1., 0.])
    """
    upper = np.minimum(affordable(budget, drawn, tokens), budget.upper)
    if upper.sum() <= 1.0:
        return _shared_out(budget, upper)
    lower = np.maximum(budget.lower, floor * budget.prior)
    lower = np.minimum(lower, upper)
    if lower.sum() >= 1.0:
        return lower / lower.sum()
    total = wanted.sum()
    shares = wanted / total if total > 0 else budget.prior
    if ((lower <= shares) & (shares <= upper)).all():
        return shares.copy()
    box = Polytope(
        fractions=np.ones(1),
        lower=lower,
        upper=upper,
        equal=np.ones((1, budget.d)),
        equal_to=np.ones(1),
        limit=np.zeros((0, budget.d)),
        limit_to=np.zeros(0),
    )
    return project(box, np.maximum(shares, _LEAST)[None])[0]


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
