"""propose without a law: the mixture of a method that asks none, beside the baselines, unranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixopt.baselines import baselines, names_of
from mixopt.errors import DataError
from mixopt.objective import Objective
from mixopt.problem import Problem
from mixopt.proposers.experts import read_experts
from mixopt.space import Space
from mixopt.stages.propose import Request, require_caps, wanted, write_proposal
from mixopt.table import Table
from mixopt.verdict import Verdict

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Array = NDArray[np.float64]

NO_LAW = Verdict("run_more", ("no_law",))


@dataclass(frozen=True)
class Named:
    """A mixture, of which nothing is predicted."""

    name: str
    role: str
    row: Array
    """(width,)"""
    shares: Mapping[str, float]
    epochs: Mapping[str, float | None]
    aliases: tuple[str, ...] = ()
    """Names of other baselines that are this mixture."""

    def to_json(self) -> dict[str, Any]:
        """The mixture for machines."""
        return {
            "name": self.name,
            "role": self.role,
            "shares": dict(self.shares),
            "row": self.row.tolist(),
            "epochs": dict(self.epochs),
            "aliases": list(self.aliases),
        }


@dataclass(frozen=True)
class UnrankedReport:
    """What a method without a law proposes for each objective, and the baselines."""

    method: str
    objectives: Mapping[str, tuple[Named, ...]]
    verdict: Verdict = NO_LAW

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        told = self.verdict.to_json()
        return {
            "verdict": told,
            "law": None,
            "method": self.method,
            "objectives": {
                name: {
                    "objective": name,
                    "verdict": told,
                    "entries": [entry.to_json() for entry in entries],
                }
                for name, entries in self.objectives.items()
            },
        }


def propose_unranked(exp: Experiment, request: Request) -> UnrankedReport:
    """Propose by a method that needs no law, and write `proposal.json`.

    Raises DataError where the method needs runs or tables that are not there.
    """
    require_caps(exp)
    proposer, space = request.proposer(), exp.space
    experts = None if request.experts is None else read_experts(request.experts, space.names)
    table, objectives = _known(exp)
    rng = np.random.default_rng(request.seed)
    done = {}
    for name in wanted(exp.space_file.objective, request):
        objective = objectives.get(name)
        rows = proposer.propose(Problem(space, table, None, objective, experts), 1, rng)
        own = () if objective is None else objective.domains
        rivals = baselines(space, exp.user_baselines(), own)
        done[name] = (
            _named("proposal-1", "proposal", rows[0], space, names_of(space, rivals, rows[0])),
            *(
                _named(key, "baseline", item.row, space, item.aliases)
                for key, item in rivals.items()
            ),
        )
    made = UnrankedReport(request.method, done)
    write_proposal(exp, made.to_json(), None)
    return made


def _known(exp: Experiment) -> tuple[Table | None, Mapping[str, Objective]]:
    """The finished runs and the objectives over them, where there are any."""
    if not any(run.status == "finished" for run in exp.runs()):
        return None, {}
    table = exp.table()
    return table, exp.objectives(table)


def _named(name: str, role: str, row: Array, space: Space, aliases: tuple[str, ...]) -> Named:
    epochs = space.epochs(row[None])[0]
    known = {
        key: float(value) if np.isfinite(value) else None for key, value in zip(space.names, epochs)
    }
    return Named(name, role, row, space.mapping(row), known, aliases)


def is_ranked(exp: Experiment, request: Request) -> bool:
    """Whether the request needs a law, or there is one to rank by.

    Raises DataError for a trade-off without one.
    """
    if request.proposer().needs_law or (exp.folder / "law.json").exists():
        return True
    if request.pareto:
        raise DataError(f"a trade-off needs a law: run `mixopt fit {exp.folder}`")
    return False
