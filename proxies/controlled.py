"""Controlled runs: the controller behind a planned run, its budget, and the path that it leaves.

Budgets, references and weights are in the proxies' tokens; what is written of the path is in the
target's, like every mixture of the table.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mixopt.errors import ConfigError, DataError
from mixopt.exchange.recount import recount_schedule
from mixopt.files import write_json

if TYPE_CHECKING:
    from mixopt.online.base import Controller
    from mixopt.online.budget import Budget
    from mixopt.online.trail import Trail
    from mixopt.runs import Run
    from mixopt.space import Constraint
    from proxies.study import Study


def controller_of(study: Study, run: Run) -> Controller:
    """The controller that the run's plan names, at its beginning."""
    from mixopt.online import make_controller

    name, settings = _named(run)
    return make_controller(name, {"budget": budget_of(study, run), **settings})


def budget_of(study: Study, run: Run) -> Budget:
    """What the run may draw of each domain: as often as the target may read it."""
    from mixopt.online.budget import Budget

    run_tokens = study.config(run.proxy).scale[2]
    limits = {name: study.limits[name] for name in study.names}
    prior = recount_schedule(((1.0, study.prior),), study.factors, _ones(study))[0][1]
    return Budget.of(
        study.names,
        prior=prior,
        tokens=_pools(study, run_tokens),
        run_tokens=run_tokens,
        max_epochs={name: item.max_epochs for name, item in limits.items()},
        lower={name: item.min or 0.0 for name, item in limits.items()},
        upper={name: item.max for name, item in limits.items()},
        constraints=_constraints(study),
    )


def reference_of(study: Study, run: Run) -> dict[str, float] | None:
    """Losses by domain of the finished run that the settings name; None where they name none."""
    if run.controller is None or not run.controller.get("reference"):
        return None
    wanted, runs = run.controller["reference"], study.runs()
    found = runs.get(wanted)
    if found is None or found.status != "finished":
        state = "not in the table" if found is None else found.status
        raise DataError(
            f"run {run.name or run.id}: its reference {wanted} is {state}: train it first"
        )
    losses = {name: found.metrics.get(f"loss/{name}") for name in study.names}
    missing = [name for name, loss in losses.items() if loss is None]
    if missing:
        raise DataError(
            f"run {run.name or run.id}: its reference {wanted} has no loss of "
            f"{', '.join(missing)}: name a run that was evaluated on every domain"
        )
    return {name: loss for name, loss in losses.items() if loss is not None}


def write_trail(study: Study, run: Run, trail: Trail) -> dict[str, float]:
    """Write the path beside the curve, as a log and as a schedule; returns the mean shares."""
    folder = study.folder / "curves"
    trail.write(folder / f"{run.id}.weights.jsonl")
    schedule = recount_schedule(tuple(trail.schedule()), _ones(study), study.factors)
    mean = recount_schedule(((1.0, trail.mean()),), _ones(study), study.factors)[0][1]
    phases = [{"fraction": part, "shares": dict(mixture)} for part, mixture in schedule]
    write_json(folder / f"{run.id}.schedule.json", {"run": run.id, "phases": phases})
    return {name: round(share, 9) for name, share in mean.items()}


def _named(run: Run) -> tuple[str, dict[str, Any]]:
    """The controller's name and its settings."""
    assert run.controller is not None
    settings = dict(run.controller)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"run {run.name or run.id} names no controller: plan it anew")
    return name, settings


def _pools(study: Study, run_tokens: float) -> dict[str, float] | None:
    """Tokens of each domain, scaled from the target to the run; None without a target."""
    target = study.target_tokens
    if target is None:
        return None
    own = {name: study.tokens[name] * study.factors[name] for name in study.names}
    ratio = sum(study.prior[name] * study.factors[name] for name in study.names)
    return {name: tokens * run_tokens / (target * ratio) for name, tokens in own.items()}


def _constraints(study: Study) -> list[Constraint]:
    """Groups and constraints of `space.toml`, between shares of the proxies' tokens.

    Of the target's tokens c x <= u; with x_j in proportion to x'_j / f_j that is
    sum (c_j - u) / f_j x'_j <= 0, and u is added to both sides, for the shares sum to one.
    """
    if study.space is None or not (study.space.groups or study.space.constraint):
        return []
    from mixopt.space import Constraint, space_from

    found = []
    for item in space_from(study.space, study.tokens).constraints:
        sides = {"maximum": item.maximum, "minimum": item.minimum}
        for side, bound in sides.items():
            if math.isfinite(bound):
                line = {
                    name: item.coefficients.get(name, 0.0) / factor + bound * (1.0 - 1.0 / factor)
                    for name, factor in ((one, study.factors[one]) for one in study.names)
                }
                found.append(Constraint(item.name, line, **{side: bound}))
    return found


def _ones(study: Study) -> dict[str, float]:
    return dict.fromkeys(study.factors, 1.0)
