"""The tables of benchmarks/search.py from its finished cells, as Markdown."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from cells import print_table
from search_methods import BUDGETS, ONE_LINE, SEARCHED

Cells = Mapping[str, Any]
FLOPS = 6.0 * 1e6 * 1e9
"""Of one run of RegMix's smallest size: 1M parameters, 1B tokens."""
AT = BUDGETS.index(32)
ONE_SHOT = ("regmix",)
RATIO = 0.5
"""Target: the median regret at 32 runs over that of RegMix, and over the best one-line rival's."""
WORSE = 1.2
"""Target: regret of `mfbo` over that of one size alone, where sizes disagree."""
SHOWN = ("pick", "best")
TITLES = {"pick": "what the method would hand over", "best": "its best run"}


def replay_tables(cells: Cells) -> None:
    """Regret by method and budget, then by groups of goals at 32 runs; then the targets."""
    found = replay_values(cells)
    methods = _ordered(found)
    if not methods:
        return
    flops = ", ".join(f"{budget * FLOPS:.1e}" for budget in BUDGETS)
    print(
        f"Replay: after {_list(BUDGETS)} runs of 1M parameters, {flops} FLOPs. Median (quartiles)"
    )
    print("of the regret in % of the table's range, over goals and seeds.\n")
    for shown, title in TITLES.items():
        rows = []
        for method in methods:
            values = np.array([one[shown] for *_, one in found[method]])
            rows.append((f"`{method}`", str(len(values)), *_quartiles(values)))
        print(f"All goals, {title}:\n")
        print_table(("method", "searches", *(f"{budget}" for budget in BUDGETS)), rows)
    rows = []
    for method in methods:
        by_group = [
            [one["pick"][AT] for goal, _, one in found[method] if chosen(goal)]
            for chosen in GROUPS.values()
        ]
        rows.append((f"`{method}`", *map(_cell, by_group)))
    print(f"After {BUDGETS[AT]} runs, {TITLES['pick']}, by kind of goal:\n")
    print_table(("method", *GROUPS), rows)
    replay_targets(found)


def replay_values(cells: Cells) -> dict[str, list[tuple[str, str, dict[str, list[float]]]]]:
    """(goal, seed, regrets) of each method."""
    found: dict[str, list[tuple[str, str, dict[str, list[float]]]]] = {}
    for name, value in cells.items():
        if name.startswith("replay/"):
            method, seed = name.split("/")[1], name.rsplit("/", 1)[1]
            found.setdefault(method, []).extend((goal, seed, one) for goal, one in value.items())
    return found


def replay_targets(found: Mapping[str, Sequence[tuple[str, str, dict[str, list[float]]]]]) -> None:
    """Regret at 32 runs of each search over the rivals', medians beside what is aimed at."""
    rows = []
    for shown in SHOWN:
        at = {
            name: np.array([one[shown][AT] for *_, one in values]) for name, values in found.items()
        }
        for method in SEARCHED:
            if method in at:
                told = [_over(at, method, ONE_SHOT, kind) for kind in (np.median, np.mean)]
                lines = [_over(at, method, ONE_LINE, kind) for kind in (np.median, np.mean)]
                mean = f"{at[method].mean():.2f}"
                rows.append(
                    (f"`{method}`, {shown}", _cell(at[method].tolist()), mean, *told, *lines)
                )
    if not rows:
        return
    print(f"Target: median regret at 32 runs, at most {RATIO} of each rival's.\n")
    rivals = [
        f"{kind} over {name}" for name in ("RegMix", "one line") for kind in ("median", "mean")
    ]
    print_table(("search", "regret % at 32", "mean", *rivals), rows)


def _over(
    at: Mapping[str, np.ndarray],
    method: str,
    rivals: Sequence[str],
    kind: Callable[[np.ndarray], np.floating],
) -> str:
    """A search's median or mean regret over the best rival's."""
    known = [float(kind(at[name])) for name in rivals if name in at]
    return _ratio(float(kind(at[method])), min(known, default=None))


def simplex_tables(cells: Cells) -> None:
    """Regret by domains, world and method at each budget."""
    found: dict[tuple[int, str], dict[str, list[list[float]]]] = {}
    for name, value in cells.items():
        if name.startswith("simplex/"):
            _, method, world, d, _ = name.split("/")
            found.setdefault((int(d), method), {}).setdefault(world, []).append(value["pick"])
    if not found:
        return
    worlds = list(dict.fromkeys(world for one in found.values() for world in one))
    for index, budget in enumerate(BUDGETS):
        print(f"Made-up worlds, noise of 2 %, {budget} runs: median (quartiles) regret of what the")
        print("method would hand over, in % from the best mixture to the mean of the space.\n")
        rows = []
        for (d, method), values in sorted(found.items(), key=lambda item: item[0][0]):
            told = [_cell([one[index] for one in values.get(world, [])]) for world in worlds]
            rows.append((str(d), f"`{method}`", *told))
        print_table(("domains", "method", *worlds), rows)


def agreeing_table(cells: Cells) -> None:
    """The cost at which `mfbo` is as good as the zero-shot law with three runs at the top."""
    rivals = {name.rsplit("/", 1)[1]: cell for name, cell in cells.items() if _is(name, "zero")}
    if not rivals:
        return
    rows = []
    for index in range(len(next(iter(next(iter(rivals.values())).values())))):
        costs, cost, regret = [], 0.0, []
        for name, path in cells.items():
            match = re.fullmatch(r"agree/mfbo/(.+)/(\d+)", name)
            if match and match[1] in rivals.get(match[2], {}):
                cost, lost = rivals[match[2]][match[1]][index]
                regret.append(lost)
                costs.append(_reached(path, lost))
        if costs:
            no_more = np.mean(np.array(costs) <= cost)
            rows.append(
                (
                    f"{cost - 30:.0f} + 3 top",
                    f"{cost:.0f}",
                    _cell(regret),
                    _cell(costs),
                    f"{100 * no_more:.0f} %",
                )
            )
    print("Sizes that agree (1M for 60M, 256 mixtures), cost 1:10: median (quartiles). Target: the")
    print("median cost of `mfbo` is at most that of the zero-shot law.\n")
    header = ("zero-shot law", "its cost", "its regret %", "cost of `mfbo` for the same", "no more")
    print_table(header, rows)


def disagreeing_table(cells: Cells) -> None:
    """Regret of `mfbo` and of one size alone at the same cost: half of the budget, and all."""
    found: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    for name, path in cells.items():
        if name.startswith("sizes/"):
            _, method, kind, seed = name.split("/")
            found.setdefault(kind, {}).setdefault(method, {})[seed] = path
    rows = []
    for kind, methods in found.items():
        seeds = sorted(set(methods.get("mfbo", {})) & set(methods.get("bo", {})))
        if seeds:
            paths = [[methods[name][seed] for seed in seeds] for name in ("mfbo", "bo")]
            rows.append((kind, str(len(seeds)), *_both_sizes(*paths)))
    if rows:
        print(
            "Made-up sizes, cost 1:10, the same cost for both: median (quartiles) of the regret in"
        )
        print(
            f"%. Target: at most {WORSE} times where sizes disagree; over 80 % small runs and less"
        )
        print("cost where they differ by a constant.\n")
        header = ["small size", "seeds"]
        for when in ("half the cost", "all of it"):
            header += [f"`mfbo`, {when}", "`bo` at the top alone", "ratio"]
        print_table((*header, "small runs", "cost for the regret of `bo`"), rows)


def _both_sizes(
    ours: Sequence[Sequence[Sequence[float]]], theirs: Sequence[Sequence[Sequence[float]]]
) -> list[str]:
    """Cells of one kind from the paths [cost, regret, share of small runs] of both, by seed."""
    told = []
    for part in (0.5, 1.0):
        regrets = [[_at(path, part * path[-1][0]) for path in paths] for paths in (ours, theirs)]
        medians = [float(np.median(own)) for own in regrets]
        told += [*map(_cell, regrets), _ratio(*medians)]
    same = [_reached(path, other[-1][1]) for path, other in zip(ours, theirs)]
    small = 100 * np.median([path[-1][2] for path in ours])
    return [*told, f"{small:.0f} %", _cell(same)]


def _at(path: Sequence[Sequence[float]], cost: float) -> float:
    """The regret of the last recommendation that cost no more; of the first where none did."""
    known = [lost for paid, lost, _ in path if paid <= cost + 1e-9]
    return known[-1] if known else path[0][1]


def _is(name: str, start: str) -> bool:
    return name.startswith(f"agree/{start}")


def _reached(path: Sequence[Sequence[float]], regret: float) -> float:
    """The first cost with no more regret; infinite where there is none."""
    return next((cost for cost, lost, _ in path if lost <= regret + 1e-9), float("inf"))


def _ordered(found: Iterable[str]) -> list[str]:
    order = ("random", *ONE_LINE, "regmix", "law", "climb", *SEARCHED)
    return [name for name in order if name in set(found)]


def _quartiles(values: np.ndarray) -> list[str]:
    """Of values (searches, budgets)."""
    return [_cell(column.tolist()) for column in values.T]


def _cell(values: Sequence[float]) -> str:
    """Median (quartiles) of whole values, infinite ones among them."""
    if not values:
        return "-"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    return f"{_number(middle)} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "never"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float, rival: float | None) -> str:
    if rival is None:
        return "-"
    return f"{value / rival:.2f}" if rival > 0 else ("1" if value == rival else "rival is at 0")


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _single(goal: str) -> bool:
    return "/" in goal


def _mean(goal: str) -> bool:
    return goal == "mean"


def _weighting(goal: str) -> bool:
    return goal.startswith("weighting")


GROUPS = {
    "single metrics": _single,
    "their mean": _mean,
    "random weightings": _weighting,
}
