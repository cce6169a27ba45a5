"""Baselines: the mixtures that a proposal must beat, each moved into the limits by KL projection.

natural: shares by tokens (else the prior); uniform: equal shares; unimax: equal shares filled up
under the epoch caps (Chung et al. 2023, arXiv:2304.09151); tempered: natural to the power 1/2; the
objective's own domains in equal shares, and in the shares of its weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError, nearest
from mixopt.space import Space

Array = NDArray[np.float64]

_MOVED = 1e-6
_SAME = 1e-3  # L1, over the phases' fractions


@dataclass(frozen=True, eq=False)
class Baseline:
    """A rival mixture inside the limits."""

    row: Array
    """(width,)"""
    projected: bool
    """Whether the limits moved it."""
    aliases: tuple[str, ...] = ()
    """Names of other baselines that are this mixture within 1e-3."""


def baselines(
    space: Space,
    user: Mapping[str, Array],
    objective_domains: Sequence[str] = (),
    objective_shares: Mapping[str, float] | None = None,
) -> dict[str, Baseline]:
    """Baselines by name, the user's own (rows by name) first; equal ones once, with their aliases.

    `objective_domains` are the domains that an objective evaluates: those that are columns of the
    space make "objective_domains", unless they are none or all; `objective_shares`, its weights by
    domain, make "objective_shares".

    >>> from mixopt.space import Domain
    >>> space = Space([Domain("web", tokens=9.0), Domain("code", tokens=1.0)], target_tokens=8.0)
    >>> rivals = baselines(space, {}, ["code"])
    >>> {name: item.row.round(3).tolist() for name, item in rivals.items()}
    {'natural': [0.9, 0.1], 'uniform': [0.5, 0.5], 'tempered': [0.75, 0.25]}
    >>> rivals["uniform"].aliases
    ('unimax', 'objective_domains')
    """
    found: dict[str, Baseline] = {}
    for name, row in _raw(space, user, objective_domains, objective_shares or {}):
        inside = space.project(row[None])[0]
        same = [key for key, item in found.items() if _distance(space, item.row, inside) < _SAME]
        if same:
            first = found[same[0]]
            found[same[0]] = replace(first, aliases=(*first.aliases, name))
        else:
            found[name] = Baseline(inside, bool(np.abs(inside - row).max() > _MOVED))
    return found


def named(rivals: Mapping[str, Baseline], name: str) -> Baseline:
    """The baseline of that name or alias. Raises DataError where there is none."""
    for key, item in rivals.items():
        if name == key or name in item.aliases:
            return item
    known = [alias for key, item in rivals.items() for alias in (key, *item.aliases)]
    raise DataError(f"no baseline is called {name!r}, {nearest(name, known)}")


def names_of(space: Space, rivals: Mapping[str, Baseline], row: Array) -> tuple[str, ...]:
    """The names of the baselines that a row (width,) is within 1e-3, with their aliases."""
    same = {key: one for key, one in rivals.items() if _distance(space, one.row, row) < _SAME}
    return tuple(name for key, item in same.items() for name in (key, *item.aliases))


def natural(space: Space) -> Array:
    """Shares (d,) by tokens where all are known, else the prior."""
    if np.isnan(space.tokens).any() or space.tokens.sum() == 0:
        return space.prior[: space.d]
    return space.tokens / space.tokens.sum()


def uniform(space: Space) -> Array:
    """Equal shares (d,)."""
    return np.full(space.d, 1.0 / space.d)


def tempered(space: Space, power: float = 0.5) -> Array:
    """Natural shares (d,) to a power: 1 leaves them, 0 makes them equal."""
    raised = natural(space) ** power
    return raised / raised.sum()


def unimax(caps: Array) -> Array:
    """Shares (d,) as equal as the caps (d,) allow: min(cap_j, level), filled from the smallest up.

    Caps that do not add up to one are filled whole, in proportion.

    >>> unimax(np.array([1, 10, 10]) / 12).tolist() == [1 / 12, 5.5 / 12, 5.5 / 12]
    True
    """
    shares, left = np.zeros(len(caps)), 1.0
    for done, j in enumerate(np.argsort(caps, kind="stable")):
        shares[j] = min(float(caps[j]), left / (len(caps) - done))
        left -= shares[j]
    return shares / shares.sum()


def _raw(
    space: Space,
    user: Mapping[str, Array],
    objective_domains: Sequence[str],
    objective_shares: Mapping[str, float],
) -> Iterator[tuple[str, Array]]:
    """Baselines (width,) as they are before the limits."""
    yield from user.items()
    plain = {
        "natural": natural(space),
        "uniform": uniform(space),
        "unimax": unimax(space.caps),
        "tempered": tempered(space),
    }
    if not space.has_prior:  # nothing is natural about equal shares
        plain = {"uniform": plain.pop("uniform"), **plain}
    own = np.isin(space.names, list(objective_domains))
    if own.any() and not own.all():
        plain["objective_domains"] = own / own.sum()
    weights = np.array([objective_shares.get(name, 0.0) for name in space.names])
    if weights.sum() > 0:
        plain["objective_shares"] = weights / weights.sum()
    for name, shares in plain.items():
        if name not in user:
            yield name, np.tile(shares, len(space.phases))


def _distance(space: Space, one: Array, other: Array) -> float:
    return float(np.abs(one - other) @ np.repeat(np.asarray(space.phases), space.d))
