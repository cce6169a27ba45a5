"""`mixopt sample`: plan the runs of a swarm and say what they will cost."""

from __future__ import annotations

import typer

from cli.screen import FOLDER, JSON, QUIET, count, duration, emit, say, table


def sample(
    folder: str = FOLDER,
    number: int = typer.Option(..., "-n", min=1, help="design points to plan"),
    design: str = typer.Option("spacefill", help="how to choose them"),
    seed: int = typer.Option(0, help="randomness of the design, not of training"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Plan runs: design points in blocks, anchors that measure noise, and baselines."""
    from mixopt.experiment import Experiment
    from proxies.cost import planned_cost

    exp = Experiment(folder)
    plan = exp.sample(number, design, seed)
    cost = planned_cost(exp)
    if as_json:
        emit({**plan.to_json(), "cost": cost.to_json()})
        return
    roles = ", ".join(f"{value} {name}" for name, value in plan.roles().items())
    say(f"{len(plan.runs)} runs ({roles}), {plan.new} of them new", quiet)
    unknown = "unknown"
    table(
        "what is planned will cost",
        ["runs", "training tokens", "FLOPs", "time on this machine, measured speed"],
        [
            [
                str(cost.runs),
                count(cost.tokens),
                unknown if cost.flops is None else count(cost.flops),
                unknown if cost.seconds is None else duration(cost.seconds),
            ]
        ],
    )
