"""`mixopt propose`: ranked mixtures for every objective, the verdict before any number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, interval, progress, say, table

if TYPE_CHECKING:
    from mixopt.agreement import MemberOptimum
    from mixopt.proposers.rank import Ranked
    from mixopt.stages.propose import ObjectiveProposal


def propose(
    folder: str = FOLDER,
    number: int = typer.Option(5, "-k", min=1, help="mixtures to propose"),
    method: str = typer.Option("exact", help="how to look for them"),
    objective: str = typer.Option(None, help="one objective; default: all of space.toml"),
    require: str = typer.Option(None, help="exit with 1 unless the verdict is at least this"),
    seed: int = typer.Option(0, help="randomness of starts and draws"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Propose mixtures, rank them among the baselines, and say how sure that is."""
    from mixopt.experiment import Experiment

    exp = Experiment(folder)
    with progress(quiet) as listener:
        report = exp.propose(number, method, objective, seed, listener)
    if as_json:
        emit(report.to_json())
    else:
        for name, one in report.objectives.items():
            kind = exp.space_file.objective[name].kind
            _print(name, one, percent=kind != "absolute")
        planned = any(one.verify for one in report.objectives.values())
        say(f"wrote {folder}/proposal.json; next: {_next(exp.folder, planned)}", quiet)
    demand({name: one.verdict.kind for name, one in report.objectives.items()}, require)


def demand(kinds: dict[str, str], least: str | None) -> None:
    """Fail unless every verdict is at least as strong as the one required."""
    from mixopt.errors import MixoptError, nearest
    from mixopt.verdict import Kind

    if least is None:
        return
    order = get_args(Kind)  # the strongest first
    if least not in order:
        raise typer.BadParameter(f"no verdict is called {least!r}, {nearest(least, order)}")
    for name, kind in kinds.items():
        if order.index(kind) > order.index(least):
            raise MixoptError(f"{name}: the verdict is {kind!r}, {least!r} was required")


def _print(name: str, one: ObjectiveProposal, percent: bool) -> None:
    ranking = one.ranking
    print(f"\n{name}: {one.verdict.sentence()}")
    header = ["mixture", f"gain over {ranking.best_baseline} (90 %)", "P(best)", "runs near"]
    rows = [
        [_label(entry), _gain(entry, ranking.best_baseline, percent), _chance(entry), _near(entry)]
        for entry in ranking.entries
    ]
    table(f"ranked by the law for {name} (* moved into the limits)", header, rows)
    if not ranking.outranks_best_run:
        print("best_run, the best run seen, stands above proposals whose gain over it is unsure")
    for optimum in one.optima:
        gain = interval(optimum.gain, *_reach(optimum), percent)
        print(f"by {optimum.law} alone, its own optimum gains {gain} over {ranking.best_baseline}")
    if one.verify:
        print(f"planned to settle it, {len(one.verify)} runs: {', '.join(one.verify)}")
    pick = ranking.pick
    header = ["domain", *(entry.name for entry in ranking.entries), f"epochs, {pick.name}"]
    rows = [
        [
            domain,
            *(f"{100 * entry.shares[domain]:.1f}" for entry in ranking.entries),
            _epochs(pick, domain),
        ]
        for domain in pick.shares
    ]
    table("shares in %", header, rows)


def _next(folder: Path, planned: bool) -> str:
    """Picks that were planned come first; without a proxy there is nothing to confirm with."""
    if planned:
        return f"mixopt train-proxies {folder}, then fit and propose again"
    if (folder / "proxy.toml").exists():
        return f"mixopt confirm {folder}"
    return f"mixopt export {folder} --to json -o mixture.json"


def _reach(optimum: MemberOptimum) -> tuple[float, float]:
    """Ends of the 90 % interval of its gain."""
    return optimum.gain - 1.645 * optimum.sd, optimum.gain + 1.645 * optimum.sd


def _label(entry: Ranked) -> str:
    """Its names; a star says that the limits moved a baseline."""
    return " = ".join([entry.name, *entry.aliases]) + ("*" if entry.projected else "")


def _gain(entry: Ranked, baseline: str, percent: bool) -> str:
    gain = entry.gains.get(baseline)
    return "-" if gain is None else interval(gain.mean, gain.low, gain.high, percent)


def _chance(entry: Ranked) -> str:
    return f"{entry.best_probability:.2f}"


def _near(entry: Ranked) -> str:
    return str(entry.support)


def _epochs(entry: Ranked, domain: str) -> str:
    epochs = entry.epochs[domain]
    return "-" if epochs is None else f"{epochs:.2g}"
