"""Budget: the domains of one run, their prior, and what limits the mixture at every moment of it.

lower <= x <= upper,    limit @ x <= limit_to,    and over the whole run: drawn <= allowed
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError, InfeasibleError
from mixopt.polytope import Polytope

if TYPE_CHECKING:
    from mixopt.space import Constraint

Array = NDArray[np.float64]

MAX_EPOCHS = 4.0
BROKEN = 1e-3
"""A limit that is missed by more than this is broken: less is the rounding of what was drawn."""


@dataclass(frozen=True)
class Group:
    """The smallest and the largest share of some domains together."""

    domains: Sequence[str]
    lower: float = 0.0
    upper: float = 1.0


@dataclass(frozen=True, eq=False)
class Budget:
    """What a controller knows before training; arrays (d,) in the order of `names`.

    Build it with `of`, which fills in and checks.
    """

    names: tuple[str, ...]
    prior: Array
    """Shares to start from."""
    lower: Array
    """Smallest shares."""
    upper: Array
    """Largest shares."""
    allowed: Array
    """Tokens that may be drawn from each domain in the whole run, infinite where unknown."""
    run_tokens: float
    """Tokens of the whole run, infinite where unknown."""
    limit: Array
    """(c, d) linear limits beside the bounds: limit @ mixture <= limit_to."""
    limit_to: Array
    """(c,)"""
    limit_names: tuple[str, ...]
    """(c,) what each limit is called."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        *,
        prior: Mapping[str, float] | None = None,
        tokens: Mapping[str, float] | None = None,
        run_tokens: float | None = None,
        max_epochs: Mapping[str, float] | None = None,
        lower: Mapping[str, float] | None = None,
        upper: Mapping[str, float] | None = None,
        groups: Mapping[str, Group] | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> Self:
        """The budget of a run over `names`.

        `prior`: default shares by `tokens`, equal ones without them. `tokens`: unique tokens by
        domain, unlimited where left out; they may be read `max_epochs` times (default 4).
        `groups` limit what several domains have together, `constraints` any linear sum of shares;
        both hold at every moment of the run, and so for its mean.

        Raises DataError for a name twice, an unknown name, and tokens without `run_tokens`;
        InfeasibleError where the run draws more than all domains together may give, and where no
        mixture keeps to all limits.

        >>> Budget.of(["web", "law"], tokens={"web": 3e6, "law": 1e6}, run_tokens=8e6).allowed
        array([12000000.,  4000000.])
        >>> budget = Budget.of(["a", "b", "c"], groups={"code": Group(["a", "b"], upper=0.3)})
        >>> budget.broken(np.array([0.3, 0.3, 0.4]))
        ['code']
        """
        names = tuple(names)
        for given in (prior, tokens, max_epochs, lower, upper):
            _check_names(names, given)
        pool = _row(names, tokens, np.inf)
        if tokens and run_tokens is None:
            raise DataError(
                "tokens by domain mean nothing without the tokens of the run: give run_tokens"
            )
        low, high = _row(names, lower, 0.0), _row(names, upper, 1.0)
        allowed = np.where(pool > 0, pool * _row(names, max_epochs, MAX_EPOCHS), 0.0)
        total = np.inf if run_tokens is None else float(run_tokens)
        rows = [*_of_groups(names, groups or {}), *_of_constraints(names, constraints)]
        made = cls(
            names,
            _prior(names, prior, pool),
            low,
            high,
            allowed,
            total,
            np.array([row for _, row, _ in rows], dtype=np.float64).reshape(-1, len(names)),
            np.array([most for _, _, most in rows], dtype=np.float64),
            tuple(name for name, _, _ in rows),
        )
        made._check()
        return made

    @property
    def d(self) -> int:
        """The number of domains."""
        return len(self.names)

    def polytope(self, upper: Array) -> Polytope:
        """The mixtures between the smallest shares and `upper` (d,) that keep to the limits."""
        return Polytope(
            fractions=np.ones(1),
            lower=self.lower,
            upper=upper,
            equal=np.ones((1, self.d)),
            equal_to=np.ones(1),
            limit=self.limit,
            limit_to=self.limit_to,
        )

    def broken(self, weights: Array) -> list[str]:
        """The limits that a mixture (d,) breaks, by name."""
        missed = self.limit @ weights > self.limit_to + BROKEN
        return list(dict.fromkeys(name for name, bad in zip(self.limit_names, missed) if bad))

    def _check(self) -> None:
        """Whether any mixture stays inside everything."""
        caps = self.allowed / self.run_tokens if np.isfinite(self.run_tokens) else self.allowed
        most = np.minimum(np.where(np.isnan(caps), np.inf, caps), self.upper)
        if most.sum() < 1.0 - 1e-9:
            raise InfeasibleError(
                f"the run draws {self.run_tokens:.4g} tokens, its domains may give "
                f"{most.sum():.1%} of them: shorten the run, or raise max_epochs or max"
            )
        if self.lower.sum() > 1.0 + 1e-9:
            raise InfeasibleError(
                f"the smallest shares add up to {self.lower.sum():.4g}, over 1: lower some min"
            )
        most = np.minimum(most, 1.0)
        if len(self.limit) and not self.polytope(most).is_feasible():
            names = " or ".join(repr(name) for name in self._in_the_way(most))
            raise InfeasibleError(
                f"no mixture keeps to the caps and to every limit at once: loosen {names}"
            )

    def _in_the_way(self, most: Array) -> list[str]:
        """Limits without any one of which there would be a mixture; all where one is too few."""
        found = []
        for name in dict.fromkeys(self.limit_names):
            others = np.array([other != name for other in self.limit_names])
            rest = replace(self, limit=self.limit[others], limit_to=self.limit_to[others])
            if rest.polytope(most).is_feasible():
                found.append(name)
        return found or list(dict.fromkeys(self.limit_names))


def _check_names(names: tuple[str, ...], given: Mapping[str, float] | None) -> None:
    if len(set(names)) != len(names) or not names:
        raise DataError(f"expected one domain or more, each once, got {list(names)}")
    for name, value in (given or {}).items():
        if name not in names:
            raise DataError(f"no domain is called {name!r}, known: {', '.join(names)}")
        if not value >= 0:
            raise DataError(f"domain {name!r}: expected a number of 0 or more, got {value!r}")


def _row(names: tuple[str, ...], given: Mapping[str, float] | None, absent: float) -> Array:
    return np.array([(given or {}).get(name, absent) for name in names], dtype=np.float64)


def _prior(names: tuple[str, ...], prior: Mapping[str, float] | None, pool: Array) -> Array:
    if prior is not None:
        shares = _row(names, prior, 0.0)
        if not shares.sum() > 0:
            raise DataError("the prior holds no share above 0: name a domain, or leave it out")
    else:
        known = np.isfinite(pool).all() and pool.sum() > 0
        shares = pool if known else np.ones(len(names))
    return shares / shares.sum()


def _of_groups(
    names: tuple[str, ...], groups: Mapping[str, Group]
) -> Iterator[tuple[str, Array, float]]:
    """Rows of limits by name, of the groups that limit anything."""
    for name, group in groups.items():
        members = dict.fromkeys(group.domains, 1.0)
        _check_names(names, members)
        if not 0.0 <= group.lower <= group.upper <= 1.0:
            raise DataError(
                f"group {name!r}: expected 0 <= lower <= upper <= 1, got {group.lower} and "
                f"{group.upper}"
            )
        yield from _rows(name, _row(names, members, 0.0), group.lower, group.upper)


def _of_constraints(
    names: tuple[str, ...], constraints: Sequence[Constraint]
) -> Iterator[tuple[str, Array, float]]:
    for item in constraints:
        _check_names(names, dict.fromkeys(item.coefficients, 1.0))
        line = _row(names, item.coefficients, 0.0)
        yield from _rows(item.name, line, item.minimum, item.maximum)


def _rows(name: str, line: Array, least: float, most: float) -> Iterator[tuple[str, Array, float]]:
    """least <= line @ x <= most as upper limits; those that no mixture can break left out."""
    if most < line.max():
        yield name, line, most
    if least > line.min():
        yield name, -line, -least
