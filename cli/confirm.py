"""`mixopt confirm`: train the proposals and every baseline one size up, and compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli.propose import demand
from cli.screen import FOLDER, JSON, QUIET, emit, progress, rounded, say, table

if TYPE_CHECKING:
    from mixopt.confirm import Comparison
    from mixopt.stages.confirm import ConfirmPlan, ObjectiveConfirmation


def confirm(
    folder: str = FOLDER,
    plan: bool = typer.Option(False, "--plan", help="fix the arms and plan their runs, no more"),
    require: str = typer.Option(None, help="exit with 1 unless the verdict is at least this"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Compare proposals and baselines one size up, on paired seeds, judged on test text."""
    from mixopt.experiment import Experiment

    exp = Experiment(folder)
    planned = exp.plan_confirm()
    if plan:
        _show_plan(planned, as_json, quiet)
        return
    if exp.manifest is not None:  # else they are trained elsewhere, and recorded
        _train(folder, planned, quiet)
    report = exp.judge_confirm()
    if as_json:
        emit(report.to_json())
    else:
        for name, one in report.objectives.items():
            kind = exp.space_file.objective[name].kind
            _print(name, one, percent=kind != "absolute")
        say(f"wrote {folder}/confirmation.json", quiet)
    demand({name: one.verdict.kind for name, one in report.objectives.items()}, require)


def _train(folder: str, planned: ConfirmPlan, quiet: bool) -> None:
    """Train the runs that are not finished."""
    if all(run.status == "finished" for run in planned.runs):
        return
    import proxies

    with progress(quiet) as report:
        proxies.train(
            folder,
            only=[run.id for run in planned.runs],
            progress=lambda now: report("confirming", now.flops_done, now.flops_total),
        )


def _show_plan(planned: ConfirmPlan, as_json: bool, quiet: bool) -> None:
    if as_json:
        emit(planned.to_json())
        return
    rows = [
        [
            name,
            str(len(arms)),
            str(len(planned.seeds)),
            str(planned.blocks[name].count),
            _power(planned.blocks[name].power),
        ]
        for name, arms in planned.arms.items()
    ]
    header = ["objective", "arms", "seeds planned", "seeds needed", "power at half the gain"]
    table("planned one size up", header, rows)
    say(f"{len(planned.runs)} runs, {planned.new} of them new", quiet)
    say("seeds are a list in proxy.toml, [confirm] seeds", quiet)


def _power(power: float | None) -> str:
    return "noise unknown" if power is None else f"{power:.2f}"


def _print(name: str, one: ObjectiveConfirmation, percent: bool) -> None:
    """The verdict, then each proposal against its rivals, the closest first."""
    result = one.result
    unit, scale = (" %", 100.0) if percent else ("", 1.0)
    print(f"\n{name}: {one.verdict.sentence()}")
    rows = []
    for proposal in result.proposals:
        for item in result.against(proposal):
            se = scale * item.se
            rows.append(
                [
                    f"{proposal} - {item.rival}",
                    f"{rounded(-scale * item.difference, se)} ± {rounded(se, se)}{unit}",
                    _told(item.predicted, scale, se, unit),
                    _told(item.shrunk, scale, se, unit),
                    _over_documents(item, scale, unit),
                    f"{item.p:.3f}" if item.p >= 0.001 else "< 0.001",
                    item.outcome,
                ]
            )
    header = ["proposal - rival", "gain ± se", "promised", "shrunk", "documents, 90 %"]
    header += ["p", "outcome"]
    title = f"{name}, one size up: {result.blocks} paired seeds, {one.text} text"
    table(title, header, rows)
    if result.looks > 1:
        say(f"judged for the {result.looks}. time: the error rate is divided by {result.looks}")
    if result.incomplete:
        say(f"{result.incomplete} seeds were left out, because a run of theirs failed")


def _told(difference: float | None, scale: float, se: float, unit: str) -> str:
    """A difference as a gain, to the digits that the standard error deserves."""
    return "-" if difference is None else rounded(-scale * difference, se) + unit


def _over_documents(item: Comparison, scale: float, unit: str) -> str:
    """The gain's interval over evaluation documents drawn anew."""
    if item.documents is None:
        return "-"
    low, high = (-scale * end for end in reversed(item.documents))
    digits = (high - low) / 4
    return f"{rounded(low, digits)} to {rounded(high, digits)}{unit}"
