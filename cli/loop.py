"""`mixopt loop`: sample, train and fit in rounds, verify the picks, propose and confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, interval, progress, rounded, say, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.experiment import Experiment
    from mixopt.proposers.rank import Ranked
    from mixopt.stages.loop import RoundSummary


def loop(
    folder: str = FOLDER,
    rounds: int = typer.Option(3, min=1, help="rounds of sample, train and fit"),
    number: int = typer.Option(..., "-n", min=1, help="design points of all rounds together"),
    design: str = typer.Option("auto", help="how to choose them"),
    objective: str = typer.Option("", help="what to improve; default: the first of space.toml"),
    warm: list[str] = typer.Option(
        [], help="folder of an earlier study to start from; repeat for more (auto, bo)"
    ),
    no_confirm: bool = typer.Option(False, "--no-confirm", help="end with the proposal"),
    seed: int = typer.Option(0, help="randomness of the designs, not of training"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Run a whole study; killed anywhere, the same command goes on where it stopped."""
    from mixopt.experiment import Experiment
    from mixopt.stages.loop import LoopSettings, conclude
    from mixopt.stages.loop import loop as run
    from proxies.cost import flops_model

    exp = Experiment(folder)
    settings = LoopSettings(rounds, number, design, seed, objective, tuple(warm))
    percent = not exp.space_file.objective or _percent(exp, objective)
    with progress(quiet) as listener:
        report = run(
            exp,
            settings,
            _trainer(exp, quiet),
            lambda one: None if as_json else _print(one, percent),
            flops_model(exp),
        )
        proposal = conclude(exp, seed, listener)
    if report.stopped is not None and not as_json:
        print(_stopped(report.stopped, percent))
    verdicts = {name: one.verdict for name, one in proposal.objectives.items()}
    if not no_confirm:
        verdicts = _confirmed(exp, quiet)
    if as_json:
        told = {name: verdict.to_json() for name, verdict in verdicts.items()}
        emit({**report.to_json(), "verdicts": told})
        return
    for name, one in proposal.objectives.items():
        table(f"{one.ranking.pick.name} of {name}, shares in %", *_shares(one.ranking.pick))
    for name, verdict in verdicts.items():
        print(f"{name}: {verdict.sentence()}")
    say(f"wrote {folder}/loop.json and {folder}/proposal.json", quiet)
    if not no_confirm:
        say(f"how each arm did: mixopt confirm {folder}; next: mixopt export {folder}", quiet)


def _trainer(exp: Experiment, quiet: bool) -> Callable[[], None] | None:
    """Trains what is planned; None without prepared data: then it is trained elsewhere."""
    if exp.manifest is None:
        return None

    def train() -> None:
        import proxies

        if all(run.status != "planned" for run in exp.runs()):
            return
        with progress(quiet) as listener:
            summary = proxies.train(
                exp.folder,
                progress=lambda now: listener("training", now.flops_done, now.flops_total),
            )
        if summary.failed:
            say(f"{summary.failed} runs failed: `mixopt status {exp.folder}` says why", quiet)

    return train


def _confirmed(exp: Experiment, quiet: bool) -> dict:
    """Plan, train and judge the confirmation; verdicts by objective."""
    import proxies
    from mixopt.errors import PausedError

    planned = exp.plan_confirm()
    left = sum(run.status == "planned" for run in planned.runs)
    if left and exp.manifest is None:
        raise PausedError(
            f"{left} runs of the confirmation are planned and have no result: train them "
            "elsewhere, `mixopt record` each, and run the same command again"
        )
    if exp.manifest is not None and any(run.status != "finished" for run in planned.runs):
        with progress(quiet) as listener:
            proxies.train(
                exp.folder,
                only=[run.id for run in planned.runs],
                progress=lambda now: listener("confirming", now.flops_done, now.flops_total),
            )
    return {name: one.verdict for name, one in exp.judge_confirm().objectives.items()}


def _stopped(summary: RoundSummary, percent: bool) -> str:
    """Why the rounds ended before they were all done."""
    scale, unit = (100.0, " %") if percent else (1.0, "")
    assert summary.detectable is not None
    return (
        f"no further round after step {summary.step + 1}: a perfect choice is expected to gain "
        f"{scale * summary.further:.2g}{unit} more, and less than "
        f"{scale * summary.detectable:.2g}{unit} cannot be seen"
    )


def _shares(pick: Ranked) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a mixture's table."""
    told = pick.told()
    return list(told.columns), told.astype(str).to_numpy().tolist()


def _percent(exp: Experiment, objective: str) -> bool:
    """Whether the objective is a log-ratio, shown in percent."""
    specs = exp.space_file.objective
    return specs[objective or next(iter(specs))].kind != "absolute"


def _print(one: RoundSummary, percent: bool) -> None:
    gain = interval(one.gain, one.low, one.high, percent)
    scale, unit = (100.0, " %") if percent else (1.0, "")
    width = scale * (one.high - one.low)
    best = "none" if one.best_gain != one.best_gain else rounded(scale * one.best_gain, width)
    best = best if best.startswith(("-", "none")) else f"+{best}"
    print(
        f"step {one.step + 1}, {one.design}: {one.planned} runs, {one.finished} finished; "
        f"predicted optimum {gain} over {one.rival}, best run measured {best}{unit} ({one.best})"
    )
    for note in one.notes:
        print(f"  {note}")
