"""Space: the mixtures that may be trained, names <-> columns, and the limits on them.

A row is one point: a mixture (d,), or for a space of s phases a schedule, phase by phase (s * d,).
Bounds hold in every phase; caps (max_epochs * tokens / target tokens), groups and constraints hold
for the mean shares over the phases. No other module knows which column is which domain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mixopt import projection, sampling
from mixopt.errors import ConfigError, DataError, InfeasibleError, nearest
from mixopt.limits import Limits, why_infeasible

if TYPE_CHECKING:
    from mixopt.config import SpaceFile

Array = NDArray[np.float64]

_SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class Domain:
    """A named pool of text and the limits on its share."""

    name: str
    tokens: float | None = None
    """Unique tokens of the full pool in the target's tokenizer; None: unknown, so no cap."""
    minimum: float | None = None
    """Smallest share; None: a tenth of min(prior, cap), where a prior is known."""
    maximum: float = 1.0
    max_epochs: float = 4.0
    group: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_.:-]+", self.name):
            raise ConfigError(
                f"expected a domain's name of a-z, 0-9 and _ . : - only, got {self.name!r}"
            )
        low = self.minimum or 0.0
        if not 0.0 <= low <= self.maximum <= 1.0:
            raise ConfigError(
                f"domain {self.name!r}: expected 0 <= min <= max <= 1, "
                f"got min = {self.minimum}, max = {self.maximum}"
            )
        if self.tokens is not None and not 0.0 <= self.tokens < math.inf:
            raise ConfigError(
                f"domain {self.name!r}: expected tokens of 0 or more, got {self.tokens}"
            )
        if not self.max_epochs > 0:
            raise ConfigError(
                f"domain {self.name!r}: expected max_epochs above 0, got {self.max_epochs}"
            )


@dataclass(frozen=True)
class Constraint:
    """minimum <= sum of coefficient * mean share <= maximum."""

    name: str
    coefficients: Mapping[str, float]
    minimum: float = -math.inf
    maximum: float = math.inf


class Space:
    """Domains in the order of the columns, and everything that limits their shares. Never changes.

    Raises ConfigError for limits that contradict themselves, InfeasibleError where no mixture
    meets them all, naming the largest target or the smallest max_epochs that would do.

    >>> space = Space([Domain("web", tokens=9e6), Domain("code", tokens=1e6)], target_tokens=8e6)
    >>> space.caps.tolist(), space.prior.tolist()
    ([1.0, 0.5], [0.9, 0.1])
    >>> space.mapping(space.project(space.row({"web": 0.2, "code": 0.8})[None])[0])
    {'web': 0.5, 'code': 0.5}
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        *,
        target_tokens: float | None = None,
        prior: Mapping[str, float] | None = None,
        constraints: Sequence[Constraint] = (),
        phases: Sequence[float] = (1.0,),
        cap_factor: float = 1.0,
    ) -> None:
        """`target_tokens`: of the full-size run, None for no caps. `prior`: default by tokens.

        `phases` (s,): fractions of training. Caps are multiplied by `cap_factor` (`widened`).
        """
        self.domains: Final = tuple(domains)
        self.target_tokens: Final = target_tokens
        self.given_prior: Final = None if prior is None else dict(prior)
        self.constraints: Final = tuple(constraints)
        self.phases: Final = _checked_phases(phases)
        self.cap_factor: Final = cap_factor
        self.names: Final = tuple(domain.name for domain in self.domains)
        self._check_names()
        self.tokens: Final = _frozen(
            [math.nan if domain.tokens is None else domain.tokens for domain in self.domains]
        )
        """(d,) unique tokens, NaN where unknown."""
        prior_shares = self._prior_shares()
        self.prior: Final = _frozen(np.tile(prior_shares, len(self.phases)))
        """(width,) natural shares or the user's own; equal ones where nothing is known."""
        self._limits: Final = Limits(
            domains=self.domains,
            prior=prior_shares if self.has_prior else None,
            target_tokens=target_tokens,
            constraints=self.constraints,
            phases=self.phases,
            cap_factor=cap_factor,
        )
        polytope = self._limits.polytope()
        if not polytope.is_feasible():
            raise InfeasibleError(why_infeasible(self._limits))
        self.polytope: Final = polytope.tightened()
        """The limits as arrays."""

    @property
    def d(self) -> int:
        """The number of domains."""
        return len(self.names)

    @property
    def width(self) -> int:
        """The number of columns: domains times phases."""
        return self.d * len(self.phases)

    @cached_property
    def tied(self) -> int:
        """How many shares follow from others by an equality, beside the sums of the phases."""
        return int(np.linalg.matrix_rank(self.polytope.equal)) - len(self.phases)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """(width,) names of the columns: the domains', with @1, @2 ... where there are phases."""
        if len(self.phases) == 1:
            return self.names
        return tuple(f"{name}@{p + 1}" for p in range(len(self.phases)) for name in self.names)

    @cached_property
    def caps(self) -> Array:
        """(d,) largest mean shares by epochs, 1 where unknown."""
        return _frozen(self._limits.caps())

    @cached_property
    def floors(self) -> Array:
        """(d,) default floors of the domains that name no minimum, 0 for the others."""
        return _frozen(self._limits.floors())

    @cached_property
    def lower(self) -> Array:
        """(width,)"""
        return _frozen(self.polytope.lower)

    @cached_property
    def upper(self) -> Array:
        """(width,) by maximum and, as far as one phase can tell, by cap."""
        return _frozen(self.polytope.upper)

    @property
    def has_prior(self) -> bool:
        """Whether the prior is known: given, or by the tokens of every domain."""
        return self.given_prior is not None or not np.isnan(self.tokens).any()

    @cached_property
    def reference(self) -> Array:
        """(width,) p0', the prior projected into the limits."""
        return _frozen(self.project(self.prior[None])[0])

    def shares(self, mixture: Mapping[str, float]) -> Array:
        """One mixture as an array (d,), renormalised; a domain that is left out has share 0.

        Raises DataError for unknown names, negative shares, and sums off one by over 0.01.
        """
        for name in mixture:
            if name not in self.names:
                raise DataError(f"no domain is called {name!r}, {nearest(name, self.names)}")
        missing = [name for name in self.names if name not in mixture]
        row = np.array([mixture.get(name, 0.0) for name in self.names], dtype=np.float64)
        return _renormalised(row[None], self.names, missing)[0]

    def row(self, mixture: Mapping[str, float]) -> Array:
        """One mixture, the same in every phase, as a point of the space (width,)."""
        return np.tile(self.shares(mixture), len(self.phases))

    def rows(self, mixtures: pd.DataFrame | Sequence[Mapping[str, float]]) -> Array:
        """Mixtures by name as points (k, width); a frame has a column for each domain."""
        if not isinstance(mixtures, pd.DataFrame):
            points = [self.row(mixture) for mixture in mixtures]
            return np.stack(points) if points else np.empty((0, self.width))
        wanted = self.columns if set(self.columns) <= set(mixtures.columns) else self.names
        known = [str(column) for column in mixtures.columns]
        for name in wanted:
            if name not in known:
                raise DataError(f"the table has no column {name!r}, {nearest(name, known)}")
        for name in known:
            if name not in wanted:
                raise DataError(f"no domain is called {name!r}, {nearest(name, wanted)}")
        values = mixtures[list(wanted)].to_numpy(dtype=np.float64)
        phases = [
            _renormalised(values[:, start : start + self.d], self.names, [])
            for start in range(0, values.shape[1], self.d)
        ]
        return np.tile(np.concatenate(phases, axis=1), self.width // values.shape[1])

    def schedule_row(self, schedule: Sequence[tuple[float, Mapping[str, float]]]) -> Array:
        """A schedule as a point (width,); a plain mixture is the same in every phase.

        Raises DataError when the schedule's phases are not the space's.
        """
        if len(schedule) == 1:
            return self.row(schedule[0][1])
        fractions = [fraction for fraction, _ in schedule]
        if len(fractions) != len(self.phases) or not np.allclose(fractions, self.phases, atol=1e-6):
            raise DataError(
                f"expected a schedule of phases {list(self.phases)}, got {fractions}: "
                "set [target] phases in space.toml to match"
            )
        return np.concatenate([self.shares(mixture) for _, mixture in schedule])

    def mapping(self, row: Array) -> dict[str, float]:
        """The mean shares of one point (width,) by name; of one phase, the mixture itself."""
        return dict(zip(self.names, self.mean_shares(row[None])[0].tolist()))

    def schedule(self, row: Array) -> tuple[tuple[float, dict[str, float]], ...]:
        """One point (width,) as (fraction of training, mixture) pairs."""
        phases = np.reshape(row, (len(self.phases), self.d)).tolist()
        return tuple(
            (fraction, dict(zip(self.names, shares)))
            for fraction, shares in zip(self.phases, phases)
        )

    def frame(self, rows: Array) -> pd.DataFrame:
        """Points (k, width) as a frame with named columns."""
        return pd.DataFrame(np.asarray(rows), columns=list(self.columns))

    def mean_shares(self, rows: Array) -> Array:
        """Shares of the whole training, (k, d)."""
        rows = np.asarray(rows, dtype=np.float64)
        if len(self.phases) == 1:
            return rows.copy()
        phases = rows.reshape(len(rows), len(self.phases), self.d)
        return np.einsum("ksd,s->kd", phases, np.asarray(self.phases))

    def epochs(self, rows: Array) -> Array:
        """How often the target would read each domain, (k, d); NaN where unknown."""
        target = math.nan if self.target_tokens is None else self.target_tokens
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.mean_shares(rows) * target / self.tokens

    def project(self, rows: Array) -> Array:
        """The legal points nearest to non-negative `rows` (k, width), by KL divergence."""
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise DataError(f"expected rows of shape (k, {self.width}), got {rows.shape}")
        if not np.isfinite(rows).all() or (rows < 0).any():
            raise DataError("expected shares of 0 or more, got a negative one or NaN")
        return projection.project(self.polytope, rows)

    def contains(self, rows: Array, tol: float = 1e-8) -> NDArray[np.bool_]:
        """Which of the points (k, width) meet every limit to `tol`, (k,)."""
        return self.polytope.excess(np.asarray(rows, dtype=np.float64)) <= tol

    def violations(self, row: Array, tol: float = 1e-8) -> list[str]:
        """In words, each limit that one point (width,) breaks."""
        found = []
        for phase, shares in enumerate(np.reshape(row, (len(self.phases), self.d))):
            place = "" if len(self.phases) == 1 else f" in phase {phase + 1}"
            if abs(shares.sum() - 1.0) > tol:
                found.append(f"the shares{place} sum to {shares.sum():.6g}")
            for j, domain in enumerate(self.domains):
                low, high = self.lower[j], domain.maximum
                if not low - tol <= shares[j] <= high + tol:
                    limits = f"its limits are {low:.4g} to {high:.4g}"
                    found.append(f"{domain.name} has {shares[j]:.4g}{place}, {limits}")
        mean = self.mean_shares(np.asarray(row)[None])[0]
        for name, share, cap in zip(self.names, mean, self.caps):
            if share > cap + tol:
                found.append(f"{name} has {share:.4g}, its cap is {cap:.4g}")
        for item in self.constraints:
            value = float(self._limits.coefficients(item) @ mean)
            if not item.minimum - tol <= value <= item.maximum + tol:
                limits = f"its limits are {item.minimum:.4g} to {item.maximum:.4g}"
                found.append(f"{item.name} has {value:.4g}, {limits}")
        return found

    def uniform(self, count: int, rng: np.random.Generator) -> Array:
        """`count` points (count, width), uniformly distributed inside the limits."""
        return sampling.uniform(self.polytope, count, rng)

    def widened(self, factor: float = 2.0) -> Self:
        """The space with caps of min(1, factor * cap); bounds, groups and constraints stay."""
        return self._changed(cap_factor=self.cap_factor * factor)

    def under(self, most: Array) -> Self:
        """The space with no domain above its share in `most` (d,).

        Raises InfeasibleError where that leaves no mixture.
        """
        domains = [
            replace(domain, maximum=min(domain.maximum, float(share)))
            for domain, share in zip(self.domains, most, strict=True)
        ]
        return self._changed(domains=domains)

    def in_phases(self, phases: Sequence[float]) -> Self:
        """The space with its limits in other phases."""
        return self._changed(phases=phases)

    def relabelled(self, order: Sequence[int]) -> Self:
        """The space with its domains (and columns) in another order."""
        return self._changed(domains=[self.domains[j] for j in order])

    def linear(self) -> tuple[Array, Array, Array, Array]:
        """(A_eq, b_eq, A_ub, b_ub) beside the bounds `lower` and `upper`."""
        limits = self.polytope
        return limits.equal, limits.equal_to, limits.limit, limits.limit_to

    def to_json(self) -> dict[str, Any]:
        """The space as JSON values; `from_json` takes them back."""
        return {
            "domains": [asdict(domain) for domain in self.domains],
            "target_tokens": self.target_tokens,
            "prior": self.given_prior,
            "constraints": [_constraint_to_json(item) for item in self.constraints],
            "phases": list(self.phases),
            "cap_factor": self.cap_factor,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The space that `to_json` wrote."""
        domains = [Domain(**domain) for domain in values["domains"]]
        constraints = [Constraint(**item) for item in values["constraints"]]
        return cls(**{**values, "domains": domains, "constraints": constraints})

    def _changed(self, **settings: Any) -> Self:
        kept: dict[str, Any] = {
            "domains": self.domains,
            "target_tokens": self.target_tokens,
            "prior": self.given_prior,
            "constraints": self.constraints,
            "phases": self.phases,
            "cap_factor": self.cap_factor,
        }
        return type(self)(**{**kept, **settings})

    def _check_names(self) -> None:
        if not self.domains:
            raise ConfigError("a space needs one domain or more, got none")
        for name in self.names:
            if self.names.count(name) > 1:
                raise ConfigError(f"domain {name!r} is named twice")
        for item in self.constraints:
            for name in item.coefficients:
                if name not in self.names:
                    hint = nearest(name, self.names)
                    raise ConfigError(
                        f"constraint {item.name!r}: no domain is called {name!r}, {hint}"
                    )
        if self.target_tokens is not None and not self.target_tokens > 0:
            raise ConfigError(f"expected target tokens above 0, got {self.target_tokens}")

    def _prior_shares(self) -> Array:
        if self.given_prior is not None:
            return self.shares(self.given_prior)
        if np.isnan(self.tokens).any():
            return np.full(self.d, 1.0 / self.d)
        if self.tokens.sum() == 0:
            raise DataError("no domain has any tokens: check the paths in space.toml")
        return self.tokens / self.tokens.sum()


def space_from(spec: SpaceFile, counts: Mapping[str, float]) -> Space:
    """The space of a `space.toml`; `counts` has the tokens of domains whose table names none.

    Domains with `train = false` are no columns.
    """
    trained = {name: item for name, item in spec.domain.items() if item.train}
    domains = [
        Domain(
            name=name,
            tokens=counts.get(name) if item.tokens is None else item.tokens,
            minimum=item.min,
            maximum=item.max,
            max_epochs=item.max_epochs,
            group=item.group,
        )
        for name, item in trained.items()
    ]
    return Space(
        domains,
        target_tokens=spec.target.tokens,
        prior=spec.prior,
        constraints=_constraints_from(spec, domains),
        phases=spec.target.phases,
    )


def _constraints_from(spec: SpaceFile, domains: Sequence[Domain]) -> list[Constraint]:
    """Groups, then the constraints that the file writes out."""
    groups = [
        Constraint(f"group {group}", _members(domains, group), limits.min, limits.max)
        for group, limits in spec.groups.items()
    ]
    written = [
        Constraint(
            item.name,
            item.coefficients,
            -math.inf if item.min is None else item.min,
            math.inf if item.max is None else item.max,
        )
        for item in spec.constraint
    ]
    return [*groups, *written]


def _members(domains: Sequence[Domain], group: str) -> dict[str, float]:
    return {domain.name: 1.0 for domain in domains if domain.group == group}


def _renormalised(rows: Array, names: Sequence[str], missing: Sequence[str]) -> Array:
    """Shares (k, d) divided by their sums, which must be within 0.01 of one."""
    for row in rows[~np.isfinite(rows).all(axis=1) | (rows < 0).any(axis=1)]:
        name, share = next((n, x) for n, x in zip(names, row) if not (math.isfinite(x) and x >= 0))
        raise DataError(f"expected shares of 0 or more, got {share} for {name!r}")
    sums = rows.sum(axis=1)
    for total in sums[np.abs(sums - 1.0) > _SUM_TOLERANCE + 1e-12]:
        left_out = f" ({', '.join(map(repr, missing))} left out)" if missing else ""
        raise DataError(f"expected shares that sum to 1, got a sum of {total:.6g}{left_out}")
    exact = np.abs(sums - 1.0) <= 1e-14  # a second reading changes nothing
    return np.where(exact[:, None], rows, rows / sums[:, None])


def _checked_phases(phases: Sequence[float]) -> tuple[float, ...]:
    total = math.fsum(phases)
    if not phases or min(phases) <= 0 or abs(total - 1.0) > _SUM_TOLERANCE:
        raise ConfigError(
            f"expected phases above 0 that sum to 1, got {list(phases)}: "
            "give each phase its fraction of training"
        )
    return tuple(phase / total for phase in phases)


def _constraint_to_json(item: Constraint) -> dict[str, Any]:
    """JSON has no infinity: an open side is left out."""
    values = asdict(item)
    return {key: value for key, value in values.items() if value not in (-math.inf, math.inf)}


def _frozen(values: ArrayLike) -> Array:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
