"""Budget: the domains of one run, their prior, and how many tokens of each the run may draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError, InfeasibleError

Array = NDArray[np.float64]

MAX_EPOCHS = 4.0


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
    ) -> Self:
        """The budget of a run over `names`.

        `prior`: default shares by `tokens`, equal ones without them. `tokens`: unique tokens by
        domain, unlimited where left out; they may be read `max_epochs` times (default 4).

        Raises DataError for a name twice, an unknown name, and tokens without `run_tokens`;
        InfeasibleError where the run draws more than all domains together may give.

        >>> Budget.of(["web", "law"], tokens={"web": 3e6, "law": 1e6}, run_tokens=8e6).allowed
        array([12000000.,  4000000.])
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
        made = cls(names, _prior(names, prior, pool), low, high, allowed, total)
        made._check()
        return made

    @property
    def d(self) -> int:
        """The number of domains."""
        return len(self.names)

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
