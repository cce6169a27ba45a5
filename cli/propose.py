"""`mixopt propose`: ranked mixtures for every objective, the verdict before any number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer

from cli.screen import FOLDER, JSON, QUIET, emit, interval, progress, rounded, say, table

if TYPE_CHECKING:
    from mixopt.agreement import MemberOptimum
    from mixopt.experiment import Experiment
    from mixopt.pareto import ParetoSet
    from mixopt.proposers.rank import Ranked, Ranking
    from mixopt.stages.propose import ObjectiveProposal, ProposalReport
    from mixopt.stages.unranked import Named, UnrankedReport


def propose(
    folder: str = FOLDER,
    number: int = typer.Option(5, "-k", min=1, help="mixtures to propose"),
    method: str = typer.Option("exact", help="how to look for them"),
    objective: str = typer.Option(None, help="one objective; default: all of space.toml"),
    risk: float = typer.Option(0.0, min=0.0, help="sd of the gain to take off its mean (exact)"),
    pareto: bool = typer.Option(False, "--pareto", help="what the objectives cost each other"),
    outside: bool = typer.Option(False, "--outside", help="follow the law where no runs were"),
    experts: Path = typer.Option(None, help="CSV of log-likelihoods by domain (mixmin)"),
    phases: int = typer.Option(None, min=1, help="most phases of a schedule, 1: it stays still"),
    require: str = typer.Option(None, help="exit with 1 unless the verdict is at least this"),
    seed: int = typer.Option(0, help="randomness of starts and draws"),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Propose mixtures, rank them among the baselines, and say how sure that is."""
    from mixopt.experiment import Experiment
    from mixopt.stages.propose import Request
    from mixopt.stages.propose import propose as ranked
    from mixopt.stages.unranked import is_ranked, propose_unranked

    exp = Experiment(folder)
    request = Request(number, method, objective, seed, risk, outside, pareto, experts, phases)
    if not is_ranked(exp, request):
        unranked = propose_unranked(exp, request)
        emit(unranked.to_json()) if as_json else _print_unranked(unranked)
        demand(dict.fromkeys(unranked.objectives, unranked.verdict.kind), require)
        return
    with progress(quiet) as listener:
        report = ranked(exp, request, listener)
    if as_json:
        emit(report.to_json())
    else:
        kinds = {name: exp.space_file.objective[name].kind for name in report.objectives}
        percent = {name: kind != "absolute" for name, kind in kinds.items()}
        for name, one in report.objectives.items():
            _print(name, one, percent[name])
        if report.pareto is not None:
            _print_pareto(report, report.pareto, percent)
        say(f"wrote {folder}/proposal.json; next: {_next(exp, report)}", quiet)
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
        [_label(entry), _gain(ranking, entry, percent), _chance(entry), _near(entry)]
        for entry in ranking.distinct
        if entry.role != "tradeoff"
    ]
    behind = "" if ranking.outranks_best_run else ", behind the best run seen"
    table(f"ranked by the law for {name}{behind} (* moved into the limits)", header, rows)
    for remark in _remarks(one, percent):
        print(remark)
    _print_shares(one)


def _remarks(one: ObjectiveProposal, percent: bool) -> list[str]:
    """What a reader of the ranking should know."""
    ranking = one.ranking
    said = [] if percent else ["gains are in standard deviations of the metrics over the runs"]
    if ranking.optimism is None:
        said.append("gains are as the law says: nothing was taken off for having chosen by it")
    elif ranking.optimism > 0:
        lost = _amount(ranking.optimism, percent)
        said.append(f"{lost} was taken off the proposals' gains, for having been chosen by the law")
    if ranking.risk > 0:
        said.append(f"chosen by the mean of the gain less {ranking.risk:g} of its sd")
        if not ranking.headline.mean > 0:
            said.append("no gain is as sure as that: the careful choice is the baseline itself")
    if not ranking.outranks_best_run and "best_run" not in ranking.pick.aliases:
        said.append(
            "best_run, the best run seen, stands above proposals that do not surely beat it: "
            "it was measured, so that no law can be wrong about it, but the best of noisy runs "
            "was also lucky and would likely do worse again"
        )
    for domain, bound in (one.held or {}).items():
        said.append(_held(domain, bound))
    if one.gap is not None:
        gap = _amount(one.gap, percent)
        said.append(f"no mixture is predicted better than {ranking.pick.name} by more than {gap}")
    for optimum in one.optima:
        gain = interval(optimum.gain, *_reach(optimum), percent)
        said.append(
            f"by {optimum.law} alone, its own optimum gains {gain} over {ranking.best_baseline}"
        )
    if one.verify:
        runs = f"{len(one.verify)} runs: {', '.join(one.verify)}"
        said.append(f"planned, to see whether the laws' optima keep what they promise, {runs}")
    return said


def _held(domain: str, bound: float) -> str:
    if bound == 0:
        return f"{domain} was in no run and is left out: --outside lets the law use it"
    return (
        f"{domain} is held at {100 * bound:.1f} %, where fewer than 3 runs had as much: "
        "--outside lets the law go further"
    )


def _print_shares(one: ObjectiveProposal) -> None:
    """The pick beside the mixtures that it must beat; then the other proposals."""
    pick = one.ranking.pick
    rivals = [entry for entry in one.ranking.distinct if entry.role in ("baseline", "best_run")]
    known = any(value is not None for value in pick.epochs.values())
    header = [
        "domain",
        pick.name,
        *["90 %"] * (one.weights is not None),
        *["epochs"] * known,
        *(entry.name for entry in rivals),
    ]
    rows = [
        [
            domain,
            f"{100 * share:.1f}",
            *([] if one.weights is None else [_ends(*one.weights[domain])]),
            *[_epochs(pick, domain)] * known,
            *(f"{100 * entry.shares[domain]:.1f}" for entry in rivals),
        ]
        for domain, share in pick.shares.items()
    ]
    table("shares in %", header, rows)
    if pick.schedule:
        _print_phases(pick)
    others = [entry for entry in one.ranking.proposals if entry.name != pick.name]
    if others:
        rows = [
            [domain, *(f"{100 * entry.shares[domain]:.1f}" for entry in others)]
            for domain in pick.shares
        ]
        table("the other proposals, in %", ["domain", *(entry.name for entry in others)], rows)


def _print_phases(pick: Ranked) -> None:
    """What the pick trains on, phase by phase."""
    header = ["domain", *(f"{100 * part:.3g} % of training" for part, _ in pick.schedule)]
    rows = [
        [domain, *(f"{100 * mixture[domain]:.1f}" for _, mixture in pick.schedule)]
        for domain in pick.shares
    ]
    table(f"{pick.name} by phase, shares in %", header, rows)


def _print_pareto(report: ProposalReport, front: ParetoSet, percent: dict[str, bool]) -> None:
    """The trade-off in numbers, then in words."""
    names = list(front.named())
    ranked = {
        name: {entry.name: entry for entry in one.ranking.entries}
        for name, one in report.objectives.items()
    }
    header = ["mixture"] + [
        f"{name}, gain over {one.ranking.best_baseline}" for name, one in report.objectives.items()
    ]
    rows = [
        [point]
        + [
            _gain(one.ranking, ranked[name][point], percent[name])
            for name, one in report.objectives.items()
        ]
        for point in names
    ]
    print()
    table("mixtures that no other beats on every objective", header, rows)
    for trade in front.trades():
        print(
            f"{names[trade.point]}: giving up {_amount(trade.cost, percent[trade.lost])} of "
            f"{trade.lost} buys {_amount(trade.gain, percent[trade.won])} of {trade.won}"
        )
    domains = next(iter(ranked.values()))[names[0]].shares
    first = next(iter(ranked.values()))
    shares = [
        [domain, *(f"{100 * first[name].shares[domain]:.1f}" for name in names)]
        for domain in domains
    ]
    table("shares in %", ["domain", *names], shares)


def _print_unranked(report: UnrankedReport) -> None:
    for name, entries in report.objectives.items():
        print(f"\n{name}: {report.verdict.sentence()}")
        pick, *rest = entries
        shown = [pick, *(entry for entry in rest if entry.name not in pick.aliases)]
        names = [" = ".join([entry.name, *entry.aliases]) for entry in shown]
        header = ["domain", *names, f"epochs, {pick.name}"]
        rows = [
            [
                domain,
                *(f"{100 * entry.shares[domain]:.1f}" for entry in shown),
                _epochs(pick, domain),
            ]
            for domain in pick.shares
        ]
        table(f"shares in %, by {report.method}", header, rows)


def _next(exp: Experiment, report: ProposalReport) -> str:
    """Picks that were planned come first; without a proxy there is nothing to confirm with."""
    from mixopt.stages.status import how_to_train

    if any(one.verify for one in report.objectives.values()):
        return f"{how_to_train(exp)}, then fit and propose again"
    folder = exp.folder
    silent = all(one.verdict.kind == "no_signal" for one in report.objectives.values())
    if (folder / "proxy.toml").exists() and not silent:
        return f"mixopt confirm {folder}"
    return f"mixopt export {folder} --to json -o mixture.json"


def _reach(optimum: MemberOptimum) -> tuple[float, float]:
    """Ends of the 90 % interval of its gain."""
    return optimum.gain - 1.645 * optimum.sd, optimum.gain + 1.645 * optimum.sd


def _amount(value: float, percent: bool) -> str:
    """A size in the objective's units."""
    scaled = 100 * value if percent else value
    return f"{rounded(scaled, scaled)}{' %' if percent else ''}"


def _label(entry: Ranked) -> str:
    """Its names; a star says that the limits moved a baseline."""
    return " = ".join([entry.name, *entry.aliases]) + ("*" if entry.projected else "")


def _gain(ranking: Ranking, entry: Ranked, percent: bool) -> str:
    gain = ranking.gain(entry)
    return "-" if gain is None else interval(gain.mean, gain.low, gain.high, percent)


def _chance(entry: Ranked) -> str:
    return f"{entry.best_probability:.2f}"


def _near(entry: Ranked) -> str:
    return str(entry.support)


def _ends(low: float, high: float) -> str:
    """The interval of a share, in percent.

    >>> _ends(0.11, 0.194), _ends(0.0, 0.0004)
    ('11 to 19', '0')
    """
    ends = f"{100 * low:.0f}", f"{100 * high:.0f}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _epochs(entry: Ranked | Named, domain: str) -> str:
    epochs = entry.epochs[domain]
    return "-" if epochs is None else f"{epochs:.2g}"
