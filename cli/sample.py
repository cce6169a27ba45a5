"""`mixopt sample`: plan the runs of a swarm and say what they will cost."""

from __future__ import annotations

import typer

from cli.screen import FOLDER, JSON, QUIET, count, duration, emit, say, table


def sample(
    folder: str = FOLDER,
    number: int = typer.Option(..., "-n", min=1, help="design points to plan"),
    design: str = typer.Option("spacefill", help="how to choose them"),
    objective: str = typer.Option(None, help="what a search improves; default: the first"),
    lr_scale: float = typer.Option(
        None, help="instead, the -n leading mixtures again at so many times the learning rate"
    ),
    controller: str = typer.Option(
        None, help="instead, -n runs whose mixture it moves, their rivals, and then their replays"
    ),
    warm: list[str] = typer.Option(
        [], help="folder of an earlier study to start from; repeat for more (auto, bo)"
    ),
    branches: int = typer.Option(
        1, min=1, help="schedules that share all phases but the last, which are trained once"
    ),
    seed: int = typer.Option(0, help="randomness of the design, not of training"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Plan runs: a swarm with anchors and baselines, or what a search wants to know next."""
    from mixopt.experiment import Experiment
    from mixopt.stages.status import how_to_train
    from proxies.cost import flops_model, planned_cost

    exp = Experiment(folder)
    if controller is not None and lr_scale is not None:
        raise typer.BadParameter("choose one of --controller and --lr-scale")
    if controller is not None:
        plan = exp.sample_controlled(controller, number)
    elif lr_scale is None:
        flops, earlier = flops_model(exp), tuple(warm)
        plan = exp.sample(number, design, seed, objective, flops, earlier, branches)
    else:
        plan = exp.sample_again(number, lr_scale)
    cost = planned_cost(exp)
    if as_json:
        emit({**plan.to_json(), "cost": cost.to_json()})
        return
    roles = ", ".join(f"{value} {name}" for name, value in plan.roles().items())
    say(f"{len(plan.runs)} runs ({roles}), {plan.new} of them new", quiet)
    for note in plan.notes:
        say(f"note: {note}", quiet)
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
    if cost.evidence_flops:
        more = "" if not cost.flops else f", {cost.evidence_flops / cost.flops:.1%} more"
        say(f"evidence for the controllers: {count(cost.evidence_flops)} FLOPs{more}", quiet)
    if cost.runs:
        say(f"next: {how_to_train(exp)}", quiet)
