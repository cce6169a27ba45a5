"""Limits: bounds, caps, groups and constraints of a space as a polytope, and why it may be empty.

cap_j = min(1, max_epochs_j * tokens_j / target tokens); default floor_j = .1 min(prior_j, cap_j).
Caps and constraints bind the mean shares over the phases, bounds every phase.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixopt.polytope import Polytope

if TYPE_CHECKING:
    from mixopt.space import Constraint, Domain

Array = NDArray[np.float64]

DEFAULT_FLOOR = 0.1  # of min(prior, cap): rare knowledge is learned only above a critical share
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Limits:
    """Everything that limits the shares of d domains in s phases."""

    domains: tuple[Domain, ...]
    prior: Array | None
    """(d,) shares that the default floors follow; None: unknown, no default floors."""
    target_tokens: float | None
    constraints: tuple[Constraint, ...]
    phases: tuple[float, ...]
    cap_factor: float

    def raw_caps(self) -> Array:
        """(d,) largest mean shares by epochs, not cut at 1, infinite where unknown."""
        target = math.nan if self.target_tokens is None else self.target_tokens
        tokens = [math.nan if item.tokens is None else item.tokens for item in self.domains]
        caps = np.array([item.max_epochs for item in self.domains]) * np.array(tokens) / target
        return np.where(np.isnan(caps), np.inf, caps)

    def caps(self) -> Array:
        """(d,)"""
        return np.minimum(self.raw_caps() * self.cap_factor, 1.0)

    def floors(self) -> Array:
        """(d,) default floors of the domains that name no minimum, 0 for the others."""
        if self.prior is None:
            return np.zeros(len(self.domains))
        unset = np.array([item.minimum is None for item in self.domains])
        most = np.minimum(self.raw_caps(), [item.maximum for item in self.domains])
        return np.where(unset, DEFAULT_FLOOR * np.minimum(self.prior, most), 0.0)

    def coefficients(self, item: Constraint) -> Array:
        """(d,) of a constraint."""
        return np.array([item.coefficients.get(domain.name, 0.0) for domain in self.domains])

    def polytope(self) -> Polytope:
        """The legal rows (s * d,)."""
        s, d, fractions = len(self.phases), len(self.domains), np.array(self.phases)
        lower = np.maximum([item.minimum or 0.0 for item in self.domains], self.floors())
        caps, maximum = self.caps(), np.array([item.maximum for item in self.domains])
        upper = np.minimum(maximum, caps / fractions[:, None])
        mean = np.tile(np.eye(d), s) * np.repeat(fractions, d)  # (d, s * d): rows to mean shares
        over_phases = caps < maximum if s > 1 else np.zeros(d, dtype=bool)
        same, same_to, limit, limit_to = self._constraint_lines()
        return Polytope(
            fractions=fractions,
            lower=np.tile(lower, s),
            upper=upper.ravel(),
            equal=np.concatenate([np.repeat(np.eye(s), d, axis=1), same @ mean]),
            equal_to=np.concatenate([np.ones(s), same_to]),
            limit=np.concatenate([mean[over_phases], limit @ mean]),
            limit_to=np.concatenate([caps[over_phases], limit_to]),
        )

    def _constraint_lines(self) -> tuple[Array, Array, Array, Array]:
        """Equalities and upper limits on mean shares; those that no mixture can break left out."""
        same, same_to, limit, limit_to = [], [], [], []
        for item in self.constraints:
            line = self.coefficients(item)
            if item.minimum == item.maximum:
                same.append(line)
                same_to.append(item.minimum)
                continue
            if item.maximum < line.max():
                limit.append(line)
                limit_to.append(item.maximum)
            if item.minimum > line.min():
                limit.append(-line)
                limit_to.append(-item.minimum)
        shape = (-1, len(self.domains))
        return (
            np.reshape(np.array(same, dtype=np.float64), shape),
            np.array(same_to, dtype=np.float64),
            np.reshape(np.array(limit, dtype=np.float64), shape),
            np.array(limit_to, dtype=np.float64),
        )


def why_infeasible(limits: Limits) -> str:
    """One sentence on limits that no mixture meets: which they are and what would do."""
    shrink = _smallest_shrink(limits)
    if shrink is not None:
        return _caps_sentence(limits, shrink)
    if replace(limits, prior=None).polytope().is_feasible():
        return (
            "the default floors (a tenth of each domain's prior) leave no mixture inside the other "
            "limits: set min = 0 for the domains that may be left out"
        )
    least = sum(item.minimum or 0.0 for item in limits.domains)
    if least > 1:
        return f"the smallest shares add up to {least:.4g}, over 1: lower some min"
    most = sum(item.maximum for item in limits.domains)
    if most < 1:
        return f"the largest shares add up to {most:.4g}, below 1: raise some max"
    return _constraints_sentence(limits)


def _smallest_shrink(limits: Limits) -> float | None:
    """The smallest factor by which the target must shrink, or max_epochs grow; None: no help."""
    if limits.target_tokens is None:
        return None
    works, fails = 2.0**40, 1.0
    if not _shrunk(limits, works).polytope().is_feasible():
        return None
    while works / fails > 1 + 1e-11:
        middle = math.sqrt(works * fails)
        if _shrunk(limits, middle).polytope().is_feasible():
            works = middle
        else:
            fails = middle
    return works


def _shrunk(limits: Limits, factor: float) -> Limits:
    assert limits.target_tokens is not None
    return replace(limits, target_tokens=limits.target_tokens / factor)


def _caps_sentence(limits: Limits, shrink: float) -> str:
    assert limits.target_tokens is not None
    target, share = limits.target_tokens, math.floor(1e3 / shrink * (1 + _ROUNDING)) / 10
    capped = limits.raw_caps() * limits.cap_factor < 1
    epochs = {item.max_epochs for item, binds in zip(limits.domains, capped) if binds}
    more = (
        f"max_epochs to {math.ceil(10 * shrink * epochs.pop() * (1 - _ROUNDING)) / 10:g}"
        if len(epochs) == 1
        else f"every max_epochs by a factor of {math.ceil(100 * shrink * (1 - _ROUNDING)) / 100:g}"
    )
    return (
        f"the caps admit at most {share:g} % of the target's {_short(target)} tokens: "
        f"lower [target] tokens to {_short(target / shrink)} or raise {more}"
    )


def _constraints_sentence(limits: Limits) -> str:
    culprits = [
        item.name
        for item in limits.constraints
        if replace(
            limits, constraints=tuple(other for other in limits.constraints if other != item)
        )
        .polytope()
        .is_feasible()
    ]
    if culprits:
        names = " or ".join(repr(name) for name in culprits)
        return f"no mixture meets all limits: loosen {names}"
    names = ", ".join(repr(item.name) for item in limits.constraints) or "the bounds"
    return f"no mixture meets all limits, and more than one of {names} is in the way: loosen them"


def _short(tokens: float) -> str:
    """A number of tokens for people, rounded down to three digits.

    >>> _short(6_258_000), _short(10e6), _short(1.5e12)
    ('6.25M', '10M', '1.5T')
    """
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            digits = 2 - int(math.log10(tokens / size))
            return (
                f"{math.floor(tokens / size * 10**digits * (1 + _ROUNDING)) / 10**digits:g}{unit}"
            )
    return f"{math.floor(tokens):g}"
