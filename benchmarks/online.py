"""Controllers on real text: does a mixture that moves beat one that stays, and what does it cost?

    python benchmarks/online.py OUT CORPUS [CORPUS] [--preset pico] [--tokens 20000000] ...
    python benchmarks/online.py OUT CORPUS [CORPUS] --report

A CORPUS is a folder that `mixopt init --from` takes, as examples/corpus_debian.py writes it (`ten`
and `trouble`). In each, a pool of small runs is trained and `fit` and `propose` decide by it: the
offline optimum. Then every method trains under the same seeds (blocks): natural and uniform
shares, that optimum, the mean shares of DoReMi's second run (its static output), and every
controller; and again the methods that cost more than training does, with as many tokens less as
makes FLOPs equal to those of uniform - gradients, forks and reference runs included. All are judged
on test text. Killed and started again, it goes on; `--report` prints what is known as Markdown.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from cells import print_table
from end_to_end import Proxy, train
from numpy.typing import NDArray
from scipy import stats

from mixopt.baselines import baselines, named
from mixopt.confirm import Arm, Confirmation, judge
from mixopt.errors import PausedError
from mixopt.experiment import Experiment
from mixopt.files import read_json, write_json
from mixopt.online import CONTROLLERS
from mixopt.runs import CONFIRM, Run
from mixopt.stages.init import init_study
from mixopt.stages.sample import planned_run

Array = NDArray[np.float64]

POOL_SEEDS = (1, 2, 3, 4)
FIRST_SEED = 101
RIVALS = ("natural", "uniform")
OPTIMUM = "offline optimum"
DOREMI = "doremi, static"
STILL = ("static", "schedule", "uniform", "default")
"""Controllers that are rivals here, or other names of them."""
MARGIN, SHARE = 0.003, 0.25
"""A default is no worse than uniform by more than this in J, and closes this much of a gap."""
FREE = 1.01
"""Methods within this of uniform's FLOPs are not trained again."""


@dataclass(frozen=True, eq=False)
class Method:
    """One way to set the mixture: shares, or a controller, or what a controller's run came to."""

    label: str
    shares: Mapping[str, float] | None = None
    controller: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    replayed: bool = False

    @classmethod
    def parse(cls, text: str) -> "Method":
        """`aioli:refresh=50,learning=run`: a controller and what differs from its defaults.

        >>> Method.parse("aioli:refresh=50,learning=run").settings
        {'refresh': 50, 'learning': 'run'}
        """
        name, _, rest = text.partition(":")
        pairs = (item.split("=") for item in rest.split(",") if item)
        return cls(text, controller=name, settings={key: _value(value) for key, value in pairs})


@dataclass(frozen=True)
class Cells:
    """What was measured: test bpb of methods (A) in blocks (S), NaN where a run is not finished."""

    methods: tuple[Method, ...]
    domains: tuple[str, ...]
    losses: Array
    """(A, S, m)"""
    flops: Array
    """(A, S) with evidence and the runs that a method needs beforehand."""
    objective: Array
    """(A, S) J, relative to natural shares."""


def main() -> int:
    """Do what is not done yet, then print the tables."""
    options = _options()
    try:
        if not options.report:
            for corpus in options.corpora:
                work(corpus, options)
        report(options)
    except PausedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def work(corpus: Path, options: argparse.Namespace) -> None:
    """One corpus: the pool and its decision, methods at equal tokens, then at equal FLOPs."""
    study = prepared(corpus, options)
    optimum(study, options)
    methods, seeds, full = all_methods(study, options), _seeds(options), study.proxy_file.tokens
    finish(study, {method: full for method in methods}, seeds, options)
    finish(study, dearer(study, methods, seeds), seeds, options)


def prepared(corpus: Path, options: argparse.Namespace) -> Experiment:
    """The study of a corpus: files as asked for, text prepared."""
    folder = options.out / corpus.name
    if not (folder / "space.toml").exists():
        init_study(folder, corpus, options.target_tokens)
        (folder / "proxy.toml").write_text(_proxy_text(options))
    if not (folder / "data" / "manifest.json").exists():
        subprocess.run([sys.executable, "-m", "cli.main", "prepare", str(folder)], check=True)
    return Experiment(folder)


def optimum(study: Experiment, options: argparse.Namespace) -> dict[str, float]:
    """What `fit` and `propose` choose from the pool, decided once and written down."""
    path = study.folder / "decided.json"
    if not path.exists():
        pool = [run for run in study.sample(options.pool, "spacefill", 0).runs]
        train(study, pool, options.workers)
        study.fit()
        proposal = study.propose(1)
        name, one = next(iter(proposal.objectives.items()))
        decided = {
            "objective": name,
            "law": proposal.law,
            "verdict": one.verdict.sentence(),
            "shares": study.space.mapping(one.ranking.pick.row),
        }
        write_json(path, decided)
    return read_json(path)["shares"]


def all_methods(study: Experiment, options: argparse.Namespace) -> tuple[Method, ...]:
    """Rivals first."""
    known = baselines(study.space, {})
    rivals = [Method(name, study.space.mapping(named(known, name).row)) for name in RIVALS]
    rivals.append(Method(OPTIMUM, optimum(study, options)))
    doremi = next((one for one in options.controllers if one.controller == "doremi"), None)
    static = replace(doremi or Method.parse("doremi"), label=DOREMI, replayed=True)
    return (*rivals, static, *options.controllers)


def finish(
    study: Experiment,
    wanted: Mapping[Method, int],
    seeds: Sequence[int],
    options: argparse.Namespace,
) -> None:
    """Train every method with its tokens in every block, and first what it waits for."""
    tried: set[str] = set()
    while True:
        done = _finished(study)
        runs = [
            run
            for seed in seeds
            for method, tokens in wanted.items()
            for run in steps_of(study, method, seed, tokens, done)
        ]
        left = {run.id: run for run in runs if run.id not in done and run.id not in tried}
        if not left:
            return
        train(study, list(left.values()), options.workers)
        tried |= set(left)


def steps_of(
    study: Experiment, method: Method, seed: int, tokens: int, done: Mapping[str, Run]
) -> list[Run]:
    """The runs of a method in a block, in their order, as far as they can be planned by now.

    The last one is the method's own where all are there: `complete` says so.
    """
    if method.shares is not None:
        return [_planned(study, method.label, method.shares, seed, tokens)]
    natural = study.space.mapping(named(baselines(study.space, {}), "natural").row)
    runs, settings = [], dict(method.settings)
    if method.controller == "doremi":
        runs.append(_planned(study, "natural", natural, seed, tokens))
        if runs[-1].id not in done:
            return runs
        settings["reference"] = runs[-1].id
    runs.append(
        Run(
            schedule=None,
            controller={"name": method.controller, **settings},
            seed=seed,
            proxy={**study.proxy_file.identity(), "tokens": tokens},
            data=study.data,
            name=f"{method.controller}-{tokens}-s{seed}",
            origin=CONFIRM,
            seed_block=seed,
        )
    )
    moved = done.get(runs[-1].id)
    if method.replayed and moved is not None:
        shares = dict(moved.mixture or {})
        runs.append(_planned(study, method.label, shares, seed, tokens))
    return runs


def complete(method: Method, runs: Sequence[Run]) -> bool:
    """Whether the last run is the method's own."""
    needed = 1 + (method.controller == "doremi") + method.replayed
    return len(runs) == needed


def dearer(study: Experiment, methods: Sequence[Method], seeds: Sequence[int]) -> dict[Method, int]:
    """Methods that cost more than uniform, and the tokens at which they cost as much."""
    full = study.proxy_file.tokens
    cells = measured(study, {method: full for method in methods}, seeds)
    spent = _mean(cells.flops, 1) / _mean(cells.flops[RIVALS.index("uniform")], 0)
    costs = zip(methods, spent, strict=True)
    return {one: round(full / cost) for one, cost in costs if np.isfinite(cost) and cost > FREE}


def measured(study: Experiment, wanted: Mapping[Method, int], seeds: Sequence[int]) -> Cells:
    """What is finished of the methods at their tokens."""
    done, found = _finished(study), {}
    for a, (method, tokens) in enumerate(wanted.items()):
        for s, seed in enumerate(seeds):
            runs = steps_of(study, method, seed, tokens, done)
            if complete(method, runs) and all(run.id in done for run in runs):
                found[a, s] = [done[run.id] for run in runs]
    metrics = sorted(
        {name for runs in found.values() for name in runs[-1].metrics if "bpb@test/" in name}
    )
    losses = np.full((len(wanted), len(seeds), len(metrics)), np.nan)
    flops = np.full(losses.shape[:2], np.nan)
    for place, runs in found.items():
        losses[place] = [runs[-1].metrics[name] for name in metrics]
        flops[place] = sum(run.cost["flops"] for run in runs)
    domains = tuple(name.partition("/")[2] for name in metrics)
    objective = np.full(losses.shape[:2], np.nan)
    if metrics:
        plain = [f"bpb/{name}" for name in domains]
        goal = next(iter(study.objectives_over(plain, losses.reshape(-1, len(plain))).values()))
        objective = goal.value(losses, _mean(losses[RIVALS.index("natural")], 0))
    return Cells(tuple(wanted), domains, losses, flops, objective)


def report(options: argparse.Namespace) -> None:
    """Print every table, and write `result.json`."""
    told: dict[str, Any] = {}
    for corpus in options.corpora:
        folder = options.out / corpus.name
        if not (folder / "decided.json").exists():
            print(f"{corpus.name}: the pool is not decided on\n")
            continue
        study, seeds = Experiment(folder), _seeds(options)
        methods, full = all_methods(study, options), study.proxy_file.tokens
        at_tokens = measured(study, {method: full for method in methods}, seeds)
        decided = read_json(folder / "decided.json")
        print(f"## {corpus.name}\n\nOffline optimum ({decided['law']}): {decided['verdict']}\n")
        told[corpus.name] = {"tokens": _print(f"{full:,} tokens each", at_tokens)}
        _print_domains(at_tokens)
        again = dearer(study, methods, seeds)
        if again:
            wanted = {method: again.get(method, full) for method in methods}
            title = "equal FLOPs: evidence and earlier runs are paid for with tokens"
            told[corpus.name]["flops"] = _print(title, measured(study, wanted, seeds))
    _print_rule(told)
    write_json(options.out / "result.json", told)


def _print(title: str, cells: Cells) -> dict[str, Any]:
    """One comparison; what it says of each method, for machines."""
    kept = np.isfinite(cells.objective).sum(axis=1) >= 2
    if not kept[: len(RIVALS)].all() or kept.sum() < len(RIVALS) + 2:
        print(f"{title}: fewer than two blocks are finished\n")
        return {}
    methods = [method for method, known in zip(cells.methods, kept, strict=True) if known]
    judged = judge(cells.objective[kept], [_arm(method) for method in methods])
    lines = {
        method.label: _line(judged, i, cells.losses[kept], cells.flops[kept])
        for i, method in enumerate(methods)
    }
    rows = [[name, *_cells(line)] for name, line in _ranked(lines)]
    se = judged.noise * np.sqrt(2 / judged.blocks)
    print(f"{title}; {judged.blocks} paired seeds, standard error of a difference {se:.4f}\n")
    header = ["method", "J - uniform", "below, 95 %", "J - natural", "gap closed", "mean bpb"]
    print_table([*header, "worst domain / natural", "FLOPs / uniform"], rows)
    for method, known in zip(cells.methods, kept, strict=True):
        if not known:
            print(f"- {method.label}: fewer than two finished runs (diverged, failed, or to come)")
    return lines


def _line(judged: Confirmation, i: int, losses: Array, flops: Array) -> dict[str, Any]:
    """What is told of one method: differences of J are negative in its favour."""
    natural, uniform = (RIVALS.index(name) for name in RIVALS)
    means, name = judged.means, judged.arms[i].name
    gap = _gap(judged)
    upper = [
        one.upper for one in judged.comparisons if (one.proposal, one.rival) == (name, "uniform")
    ]
    mean = _mean(losses, 1)
    return {
        "minus_uniform": means[i] - means[uniform],
        "upper": upper[0] if upper else None,
        "minus_natural": means[i] - means[natural],
        "gap_closed": (means[uniform] - means[i]) / gap if gap else None,
        "bpb": float(mean[i].mean()),
        "worst": float((mean[i] / mean[natural]).max()),
        "flops": float(_mean(flops[i], 0) / _mean(flops[uniform], 0)),
    }


def _gap(judged: Confirmation) -> float | None:
    """J that the offline optimum gains over uniform, where that is more than noise (95 %)."""
    means = {arm.name: mean for arm, mean in zip(judged.arms, judged.means, strict=True)}
    if OPTIMUM not in means:
        return None
    gap = means["uniform"] - means[OPTIMUM]
    se = judged.noise * np.sqrt(2 / judged.blocks)
    return gap if gap > stats.t.ppf(0.95, judged.df) * se else None


def _mean(values: Array, axis: int) -> Array:
    """The mean over what is known, NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _cells(line: Mapping[str, Any]) -> list[str]:
    gap, upper = line["gap_closed"], line["upper"]
    return [
        f"{line['minus_uniform']:+.4f}",
        "-" if upper is None else f"{upper:+.4f}",
        f"{line['minus_natural']:+.4f}",
        "-" if gap is None else f"{100 * gap:.0f} %",
        f"{line['bpb']:.4f}",
        f"{line['worst']:.3f}",
        f"{line['flops']:.2f}",
    ]


def _print_domains(cells: Cells) -> None:
    """Mean test bpb of each domain."""
    rows = [
        [method.label, *(f"{loss:.3f}" for loss in _mean(losses, 0))]
        for method, losses in zip(cells.methods, cells.losses, strict=True)
        if np.isfinite(losses).any()
    ]
    print("Test bpb:\n")
    print_table(["method", *cells.domains], rows)


def _print_rule(told: Mapping[str, Any]) -> None:
    """Which controllers would pass as the default, at equal FLOPs where those differ."""
    judged = [one.get("flops") or one["tokens"] for one in told.values()]
    judged = [one for one in judged if one]
    if not judged:
        return
    rows = []
    for name in (name for name, line in judged[0].items() if line["upper"] is not None):
        lines = [one[name] for one in judged if name in one]
        upper = max(line["upper"] for line in lines)
        gaps = [line["gap_closed"] for line in lines if line["gap_closed"] is not None]
        passes = len(lines) == len(told) and upper < MARGIN and max(gaps, default=0.0) >= SHARE
        share = f"{100 * max(gaps):.0f} %" if gaps else "-"
        rows.append([name, f"{upper:+.4f}", share, "yes" if passes else "no"])
    print(
        f"The default of controllers: on every corpus the upper 95 % bound of J - uniform under "
        f"{MARGIN}, and {100 * SHARE:.0f} % of the gap to the offline optimum closed on one, where "
        "that gap is more than noise; at equal FLOPs.\n"
    )
    print_table(["controller", "largest bound", "most of a gap closed", "passes"], rows)
    if not any(row[-1] == "yes" for row in rows):
        print("None passes: `default` is `uniform`.")


def _ranked(lines: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(lines.items(), key=lambda item: item[1]["minus_uniform"])


def _arm(method: Method) -> Arm:
    """The method for the judge: controllers are what is tried, all else they are held against."""
    tried = method.shares is None and not method.replayed
    return Arm(method.label, "proposal" if tried else "baseline", ())


def _planned(
    study: Experiment, label: str, shares: Mapping[str, float], seed: int, tokens: int
) -> Run:
    total = sum(shares.values())
    return planned_run(
        study,
        study.space.row({name: share / total for name, share in shares.items()}),
        seed=seed,
        proxy={**study.proxy_file.identity(), "tokens": tokens},
        name=f"{label.replace(', ', '-').replace(' ', '-')}-{tokens}-s{seed}",
        origin=CONFIRM,
        seed_block=seed,
        round_=0,
    )


def _finished(study: Experiment) -> dict[str, Run]:
    return {run.id: run for run in study.runs() if run.status == "finished"}


def _seeds(options: argparse.Namespace) -> list[int]:
    return [FIRST_SEED + block for block in range(options.blocks)]


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _proxy_text(options: argparse.Namespace) -> str:
    """`proxy.toml` as the options ask for it."""
    proxy = options.preset
    sizes = ", ".join(f"{key} = {value}" for key, value in proxy.sizes.items())
    training = ", ".join(f"{key} = {value}" for key, value in proxy.training.items())
    return f"""\
preset = "{proxy.preset}"
tokens = {options.tokens}
seeds = {list(POOL_SEEDS)}
sizes = {{{sizes}}}
training = {{{training}}}

[data]
pool_tokens = {options.read_tokens}

[evaluation]
windows = {options.windows}
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    usual = [Method.parse(name) for name in CONTROLLERS if name not in STILL]
    add("out", type=Path)
    add("corpora", type=Path, nargs="+", metavar="CORPUS")
    add(
        "--controllers", nargs="+", type=Method.parse, default=usual, metavar="NAME[:KEY=VALUE,...]"
    )
    add("--preset", type=Proxy.parse, default=Proxy.parse("pico"), help=Proxy.parse.__doc__)
    add("--tokens", type=int, default=20_000_000, help="tokens of a run")
    add("--pool", type=int, default=64, help="design points of the pool")
    add("--blocks", type=int, default=5, help="paired seeds of the methods")
    add("--target-tokens", type=float, default=1e9, help="pretended, for caps and epochs")
    add("--read-tokens", type=int, default=20_000_000, help="tokens to prepare of a domain")
    add("--windows", type=int, default=64, help="evaluation windows of a domain")
    add("--workers", type=int, help="processes; default: one a core or GPU")
    add("--report", action="store_true", help="only print what is known")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
