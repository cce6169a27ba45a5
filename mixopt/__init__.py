"""mixopt: choose the data mixture of a large MoE language model with small proxy runs.

Importing this package loads nothing heavy: names are imported on first use (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Baseline": "baselines",
    "Constraint": "space",
    "Domain": "space",
    "Experiment": "experiment",
    "Info": "laws.base",
    "Law": "laws.base",
    "MixoptError": "errors",
    "Objective": "objective",
    "Problem": "problem",
    "Run": "runs",
    "RunWriter": "runs",
    "Space": "space",
    "Table": "table",
    "make_design": "designs",
    "make_law": "laws",
    "propose": "proposers",
    "read_csv": "exchange.tables",
    "read_runs": "runs",
}

__all__ = [
    "Baseline",
    "Constraint",
    "Domain",
    "Experiment",
    "Info",
    "Law",
    "MixoptError",
    "Objective",
    "Problem",
    "Run",
    "RunWriter",
    "Space",
    "Table",
    "make_design",
    "make_law",
    "propose",
    "read_csv",
    "read_runs",
]

if TYPE_CHECKING:
    from mixopt.baselines import Baseline
    from mixopt.designs import make_design
    from mixopt.errors import MixoptError
    from mixopt.exchange.tables import read_csv
    from mixopt.experiment import Experiment
    from mixopt.laws import make_law
    from mixopt.laws.base import Info, Law
    from mixopt.objective import Objective
    from mixopt.problem import Problem
    from mixopt.proposers import propose
    from mixopt.runs import Run, RunWriter, read_runs
    from mixopt.space import Constraint, Domain, Space
    from mixopt.table import Table


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mixopt' has no attribute {name!r}")
    return getattr(import_module(f"mixopt.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
