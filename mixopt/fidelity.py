"""Fidelity: a kind of run by size and cost; a cheap kind stands for a dear one as far as it can.

What runs measured before their end (`mixopt.early`) is a kind too, which is seen but never planned:
it comes with its run. A study of one size that measured so may plan shorter runs beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixopt.early import cohort_at, shares
from mixopt.files import digest
from mixopt.table import Table

if TYPE_CHECKING:
    from mixopt.config import ProxyFile
    from mixopt.runs import Run


@dataclass(frozen=True)
class Fidelity:
    """Runs of one proxy; `cost` is of one of them, in any unit that all fidelities share."""

    name: str
    cohort: str
    """The first word of the cohort of its runs in a table."""
    cost: float
    proxy: Mapping[str, Any] = field(default_factory=dict)
    """What its runs train, as in `proxy.toml`; empty where runs are only replayed."""
    planned: bool = True
    """Whether runs of it may be planned; not the earlier points of a learning curve."""


_MOST_SHARES = 2
"""Of a learning curve that count: each has a slope, a residual and a noise to be learned."""

Flops = Callable[[Mapping[str, Any]], float]
"""FLOPs of one run of a proxy, by its identity."""


def fidelities_of(
    proxy: ProxyFile, runs: Sequence[Run], flops: Flops | None = None
) -> tuple[Fidelity, ...]:
    """The swarm's proxy, then the confirming one; before each, what its runs measured on their way.

    Where both are the same there is one size, with shorter runs of it if some run measured early.
    Costs are modelled by `flops`; else what runs of the proxy measured, or 6 * active parameters *
    tokens by their scale; else, where some proxy has neither, tokens for all.
    """
    identities = _identities(proxy, runs)
    cost = flops or (lambda identity: _cost(identity, runs))
    known = {name: cost(identity) for name, identity in identities.items()}
    modelled = all(cost is not None for cost in known.values())
    found: list[Fidelity] = []
    for name, identity in identities.items():
        paid = (known[name] or 0.0) if modelled else float(identity["tokens"])
        whole = Fidelity(name, cohort_name(identity), paid, identity)
        found += [_early(whole, share) for share in _shares(identity, runs)]
        found.append(whole)
    return tuple(found)


def cohort_name(identity: Mapping[str, Any]) -> str:
    """The first word of the cohort that `mixopt.table` gives to runs of a proxy."""
    return f"{identity.get('preset', '')}-{digest(dict(identity))[:6]}"


def fidelity_index(table: Table, fidelities: Sequence[Fidelity]) -> NDArray[np.int64]:
    """(n,) the fidelity of each run of a table, -1 for runs of none."""
    places = {one.cohort: i for i, one in enumerate(fidelities)}
    return np.array(
        [places.get(cohort.partition(" ")[0], -1) for cohort in table.cohorts], dtype=np.int64
    )


def _identities(proxy: ProxyFile, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Proxies by the name of their size, the one that counts last."""
    swarm, confirming = proxy.identity(), proxy.confirm_identity()
    if confirming != swarm:
        return {"small": swarm, "large": confirming}
    shorter = {
        f"short{share:g}": {**swarm, "tokens": round(share * swarm["tokens"])}
        for share in _shares(swarm, runs)
    }
    return {**shorter, "small": swarm}


def _shares(identity: Mapping[str, Any], runs: Sequence[Run]) -> tuple[float, ...]:
    """The shares of its tokens at which runs of a proxy measured, of many the first and last."""
    found = shares([run for run in runs if dict(run.proxy) == dict(identity)])
    return found if len(found) <= _MOST_SHARES else (found[0], found[-1])


def _early(whole: Fidelity, share: float) -> Fidelity:
    """What runs of a kind measure at a share of their tokens."""
    return Fidelity(
        f"{whole.name}@{share:g}",
        cohort_at(whole.cohort, share),
        share * whole.cost,
        whole.proxy,
        planned=False,
    )


def _cost(identity: Mapping[str, Any], runs: Sequence[Run]) -> float | None:
    """FLOPs of one run: the mean of what was measured, else by its scale; None where unknown."""
    own = [run for run in runs if dict(run.proxy) == dict(identity)]
    measured = [float(run.cost["flops"]) for run in own if "flops" in run.cost]
    if measured:
        return float(np.mean(measured))
    scaled = [6.0 * run.scale[1] * run.scale[2] for run in own if run.scale is not None]
    return scaled[0] if scaled else None
