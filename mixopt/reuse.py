"""Mixture reuse when domains are added, removed, split or revised (Olmix 2026).

Domains that did not change keep their shares relative to each other, r_j, from the mixture that was
chosen before: they move as one, w_j = v r_j, and only v and the domains that changed are planned,
fitted and proposed anew. The tie is an equality for each of them but the first,

    r_first w_j - r_j w_first = 0,

so that limits, designs, laws, proposals and exports need not know of it: rows stay rows of all
domains. With u domains kept, u - 1 columns are spared, and with them 3 (u - 1) runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixopt.config import DomainSpec
from mixopt.errors import DataError
from mixopt.space import Constraint

PREFIX = "kept:"
"""How the names of ties begin."""
RUNS_A_COLUMN = 3
"""Runs of a swarm: three for every column, and three more."""
_TEXT = ("path", "format", "column", "where", "dtype", "tokens", "train")
"""What makes the text of a domain: where one of these differs, it was revised."""


@dataclass(frozen=True)
class Change:
    """How the domains of a new study differ from those of the old one."""

    kept: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    revised: tuple[str, ...]

    @property
    def moving(self) -> tuple[str, ...]:
        """Domains that the old study says nothing of."""
        return (*self.added, *self.revised)


@dataclass(frozen=True)
class Reuse:
    """What is kept of an old mixture, and what that spares."""

    change: Change
    shares: Mapping[str, float]
    """Relative shares of the kept domains, their sum 1; none has 0."""
    free: tuple[str, ...]
    """Domains that are studied: those that changed, and those to which the old mixture gave
    nothing, so that no share of it can be held."""

    @property
    def columns(self) -> int:
        """The kept domains as one, and each free one."""
        return len(self.free) + 1

    @property
    def runs(self) -> int:
        """Runs of a swarm over what changed."""
        return RUNS_A_COLUMN * (self.columns + 1)

    @property
    def runs_without(self) -> int:
        """Runs of a swarm over all domains."""
        return RUNS_A_COLUMN * (len(self.shares) + len(self.free) + 1)

    def ties(self) -> list[Constraint]:
        """Equalities that hold the kept domains at their shares of each other."""
        first, *others = self.shares
        return [
            Constraint(
                f"{PREFIX} {name} with {first}",
                {name: self.shares[first], first: -self.shares[name]},
                0.0,
                0.0,
            )
            for name in others
        ]


def compare(
    old: Mapping[str, DomainSpec], new: Mapping[str, DomainSpec], revised: Sequence[str] = ()
) -> Change:
    """What changed between two lists of domains; `revised` are called so whatever the lists say.

    Raises DataError for a revised domain that is not in both.
    """
    theirs = {name: spec for name, spec in old.items() if spec.train}
    ours = {name: spec for name, spec in new.items() if spec.train}
    both = [name for name in ours if name in theirs]
    for name in revised:
        if name not in both:
            raise DataError(f"only a domain of both studies can be revised, {name!r} is not")
    differ = [
        name
        for name in both
        if name in revised or any(_differs(theirs[name], ours[name], key) for key in _TEXT)
    ]
    return Change(
        kept=tuple(name for name in both if name not in differ),
        added=tuple(name for name in ours if name not in theirs),
        removed=tuple(name for name in theirs if name not in ours),
        revised=tuple(differ),
    )


def reuse(change: Change, mixture: Mapping[str, float]) -> Reuse:
    """Keep the shares that `mixture`, the old study's choice, gives what did not change.

    Raises DataError where there is nothing to keep, or nothing to study.
    """
    given = {name: mixture[name] for name in change.kept if mixture[name] > 0}
    if not given:
        raise DataError("no domain of the old mixture is left as it was: nothing can be kept")
    left_out = [name for name in change.kept if name not in given]
    if not change.moving and not left_out:
        raise DataError("no domain was added or revised: the old mixture's shares can be kept")
    total = sum(given.values())
    kept = {name: share / total for name, share in given.items()}
    return Reuse(change, kept, (*change.moving, *left_out))


def _differs(old: DomainSpec, new: DomainSpec, key: str) -> bool:
    return getattr(old, key) != getattr(new, key)
