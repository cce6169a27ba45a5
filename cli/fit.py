"""`mixopt fit`: choose a law by cross-validation, fit it, and say what the table can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, progress, rounded, say, table
from mixopt.laws import COMPARED, DEFAULT, LAWS

if TYPE_CHECKING:
    from mixopt.rank_moves import RankMoves
    from mixopt.robustness import RateMoves
    from mixopt.stages.fit import FitReport


def fit(
    folder: str = FOLDER,
    law: str = typer.Option(None, help="fit this law; default: chosen by cross-validation"),
    compare: str = typer.Option(
        ",".join(COMPARED), help="laws to choose from, with commas between; 'all' for every law"
    ),
    seed: int = typer.Option(0, help="randomness of the folds"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Compare laws on held-out runs, fit the best, and write law.json."""
    from mixopt.experiment import Experiment

    names = sorted(LAWS) if compare == "all" else compare.split(",")
    with progress(quiet) as listener:
        report = Experiment(folder).fit(law, seed, names, listener)
    if as_json:
        emit(report.to_json())
        return
    for name, one in report.objectives.items():
        print(f"{name}: {one.verdict.sentence()}")
    _print_laws(report)
    _print_objectives(report)
    best = max(report.scores, key=lambda one: _mean([q.r2 for q in one.metrics]))
    if best.name != report.law and report.chosen and report.law == DEFAULT:
        say(f"{report.law} stays: {best.name} is not better beyond chance (corrected test)", quiet)
    for name, one in report.objectives.items():
        if one.moves.mixtures:
            print(f"{name} across scales: {_moves(one.moves)}")
        if one.rates.mixtures:
            print(f"{name} at {one.rates.lr_scale:g} of the learning rate: {_rates(one.rates)}")
    for note in report.notes:
        say(f"note: {note}", quiet)
    if report.left_out:
        say(f"{report.left_out} finished runs of other proxies or sizes were left out", quiet)
    say(f"wrote {folder}/law.json: {report.law}, fitted on {report.runs} runs", quiet)


def _print_laws(report: FitReport) -> None:
    rows = []
    for score in sorted(report.scores, key=lambda one: -_mean([q.r2 for q in one.metrics])):
        mark = " (chosen)" if score.name == report.law else ""
        ranks = [f"{quality.spearman:.2f}" for quality in score.objectives.values()]
        metrics = [quality.r2 for quality in score.metrics]
        rows.append([score.name + mark, f"{_mean(metrics):.2f}", *ranks, f"{score.seconds:.1f}"])
    header = ["law", "R2 of metrics", *(f"rank of {name}" for name in report.objectives), "CPU s"]
    table(f"laws on held-out runs ({report.runs} runs)", header, rows)


def _print_objectives(report: FitReport) -> None:
    rows = []
    for name, one in report.objectives.items():
        spread, noise = one.evidence.spread, one.evidence.noise
        if noise is None or one.noise_interval is None:
            known = ["unknown", "unknown", "unknown"]
        else:
            low, high = one.noise_interval
            known = [
                f"{rounded(noise, high - low)} ({rounded(low, high)} to {rounded(high, high)})",
                f"{spread / noise:.1f}" if noise > 0 else "-",
                "-" if one.ceiling is None else f"{one.ceiling:.2f}",
            ]
        rows.append([name, f"{spread:.2g}", *known, f"{one.quality.spearman:.2f}"])
    header = [
        "objective",
        "spread",
        "noise of a run (90 %)",
        "spread/noise",
        "rank ceiling",
        "rank",
    ]
    table("what mixtures do, against what seeds do", header, rows)


def _moves(moves: RankMoves) -> str:
    """Whether the order of mixtures moves, how much of it stays, and the likeliest changes."""
    words = {"yes": "the order moves", "no": "the order stays", "unknown": "not known"}
    text = f"{words[moves.answer]} ({moves.why}; {moves.mixtures} mixtures at two scales"
    if moves.tau is not None and moves.tau_interval is not None:
        low, high = moves.tau_interval
        text += f", Kendall's tau {moves.tau:.2f} ({low:.2f} to {high:.2f})"
    flips = [
        f"{one.better_large} over {one.better_small} {one.probability:.2f}" for one in moves.flips
    ]
    return text + (f"; likeliest changes: {', '.join(flips[:3])})" if flips else ")")


def _rates(rates: RateMoves) -> str:
    """How far the order of the leading mixtures agrees with the tuned one."""
    from mixopt.robustness import LEAST_MIXTURES

    if rates.tau is None or rates.mixtures < LEAST_MIXTURES:
        return f"{rates.mixtures} mixtures are too few to say whether the order stays"
    words = "the order moves" if rates.moves else "the order stays"
    between = ""
    if rates.tau_interval is not None:
        low, high = rates.tau_interval
        between = f" ({low:.2f} to {high:.2f})"
    return f"{words} ({rates.mixtures} mixtures, Kendall's tau {rates.tau:.2f}{between})"


def _mean(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
