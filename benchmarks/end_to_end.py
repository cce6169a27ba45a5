"""The whole loop on real text, one size up: mixopt against RegMix, Olmix, CLIMB and baselines.

    python benchmarks/end_to_end.py CORPUS OUT [--presets pico nano] [--pool 64] [--blocks 5] ...
    python benchmarks/end_to_end.py CORPUS OUT --report

CORPUS is a folder that `mixopt init --from` takes, as examples/corpus_debian.py writes it. One pool
of small runs is trained, in four blocks, each of which fills the space by itself. Every method
gets the same first quarter, half and whole of it, and decides by its own law and solver. The arms
are then written down, trained one size up on paired seeds, and judged on test text (Dunnett).
Killed and started again, it goes on; `--report` prints what is known as Markdown at any time.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from cells import print_table
from numpy.typing import NDArray
from rivals import METHODS

import proxies
from mixopt.baselines import baselines
from mixopt.confirm import Arm, Comparison, Confirmation, judge, plan_arms
from mixopt.designs import make_design
from mixopt.designs.blocks import plan_swarm
from mixopt.errors import MixoptError, PausedError
from mixopt.experiment import Experiment
from mixopt.files import read_json, write_json
from mixopt.noise import remove_block_effects
from mixopt.problem import Problem
from mixopt.proposers.base import distance
from mixopt.runs import CONFIRM, Run, RunWriter
from mixopt.stages.confirm import arm_run, measured
from mixopt.stages.init import init_study
from mixopt.stages.sample import CAP_WIDENING, planned_run
from proxies.plateau import plateau
from proxies.presets import Sizes
from proxies.study import Study

Array = NDArray[np.float64]

OURS = "mixopt"
STAGES = ("estimate", "pool", "decide", "arms")
SEEDS = (1, 2, 3, 4)
FIRST_ARM_SEED = 101
SAME_ARM = 0.02
OVERHEAD = 1.3
"""Evaluation, checkpoints and starts, beside training."""


@dataclass(frozen=True)
class Proxy:
    """A preset, and what differs from it."""

    preset: str
    sizes: dict[str, int]
    training: dict[str, float]

    @classmethod
    def parse(cls, text: str) -> "Proxy":
        """`tiny:width=96,learning_rate=0.005`: sizes and settings of training by their names.

        >>> Proxy.parse("tiny:width=96,learning_rate=0.005")
        Proxy(preset='tiny', sizes={'width': 96}, training={'learning_rate': 0.005})
        """
        preset, _, rest = text.partition(":")
        pairs = [item.split("=") for item in rest.split(",") if item]
        known = {field.name for field in fields(Sizes)}
        sizes = {key: int(value) for key, value in pairs if key in known}
        training = {key: float(value) for key, value in pairs if key not in known}
        return cls(preset, sizes, training)


def main() -> int:
    """Do what is not done yet, then print the tables."""
    options = _options()
    try:
        if not options.report:
            _work(options)
        report(options.out)
    except PausedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _work(options: argparse.Namespace) -> None:
    """The stages in their order, up to `--stop-after`."""
    study = prepared(options)
    wanted = STAGES[: STAGES.index(options.stop_after) + 1]
    estimate(study, options)
    if "pool" in wanted:
        train(study, plan_pool(study, options.pool), options.workers)
    if "decide" in wanted:
        decide(study, options)
    if "arms" in wanted:
        arms = fixed_arms(study, options)
        train(study, plan_arm_runs(study, arms), options.workers)


def prepared(options: argparse.Namespace) -> Experiment:
    """The study of the corpus: files as asked for, text prepared."""
    folder = options.out / "study"
    if not (folder / "space.toml").exists():
        init_study(folder, options.corpus, options.target_tokens)
        (folder / "proxy.toml").write_text(_proxy_text(options))
    if not (folder / "data" / "manifest.json").exists():
        subprocess.run([sys.executable, "-m", "cli.main", "prepare", str(folder)], check=True)
    return Experiment(folder)


def estimate(study: Experiment, options: argparse.Namespace) -> None:
    """Measure the speed of both sizes once, and say how long all of it would take."""
    path = options.out / "estimate.json"
    if path.exists():
        return
    proxy, arms = study.proxy_file, 7
    jobs = {
        "pool": (proxy.identity(), options.pool),
        "arms": (proxy.confirm_identity(), arms * options.blocks),
    }
    told = {}
    for name, (identity, runs) in jobs.items():
        speed = proxies.measure_speed(study.folder, identity, runs, workers=options.workers)
        minutes = OVERHEAD * runs * identity["tokens"] / speed / 60
        told[name] = {"tokens_per_second": round(speed), "runs": runs, "minutes": round(minutes)}
        print(
            f"{name}: {runs} runs, {speed:,.0f} tokens/s, about {minutes:.0f} minutes", flush=True
        )
    write_json(path, told)


def plan_pool(study: Experiment, size: int) -> list[Run]:
    """The pool in its order, block by block: design points, and two anchors in every block."""
    wide, planned = study.space.widened(CAP_WIDENING), []
    for count in range(size - 2 * len(SEEDS), size + 1):  # anchors may lie in a block already
        rng = np.random.default_rng(0)
        points = make_design("spacefill").plan(Problem(wide), count, rng)
        planned = plan_swarm(points, study.space.reference, SEEDS, rng)
        if len(planned) >= size:
            break
    ordered = sorted(planned, key=lambda item: (item.block, item.role != "anchor", item.index))
    return [
        planned_run(
            study,
            item.row,
            seed=item.seed,
            proxy=study.proxy_file.identity(),
            name=f"pool-{position:03d}",
            origin=item.role if item.role == "anchor" else "design:spacefill",
            seed_block=item.block,
            round_=0,
        )
        for position, item in enumerate(ordered[:size])
    ]


def train(study: Experiment, runs: Sequence[Run], workers: int) -> None:
    """Train the runs that are not finished, each once."""
    known = {run.id for run in study.runs()}
    new = [run for run in runs if run.id not in known]
    if new:
        study.append(new)
    summary = proxies.train(study, only=[run.id for run in runs], workers=workers)
    print(summary, flush=True)
    if summary.failed or summary.diverged:
        print("runs that failed or diverged are left out of what follows", file=sys.stderr)


def decide(study: Experiment, options: argparse.Namespace) -> None:
    """Every method's mixture from the first quarter, half and whole of the pool."""
    pool = plan_pool(study, options.pool)
    done = {run.id: run for run in study.runs()}
    for count in (options.pool // 4, options.pool // 2, options.pool):
        part = [done[run.id] for run in pool[:count] if done[run.id].status == "finished"]
        path = options.out / f"decided-{count:03d}.json"
        if not path.exists():
            folder = options.out / f"part-{count:03d}"
            write_json(path, {"asked": count, **decided(_part(study, folder, part))})


def decided(part: Experiment) -> dict[str, Any]:
    """What each method proposes from the runs of a study; ours by its own `fit` and `propose`."""
    part.fit()
    ours = part.propose(1)
    name, one = next(iter(ours.objectives.items()))
    pick = one.ranking.pick
    table = remove_block_effects(part.table().cohort())
    problem = Problem(part.space, table, None, part.objectives(table)[name])
    rows = {OURS: pick.row}
    for method, choose in METHODS.items():
        rows[method] = choose(problem, np.random.default_rng(0))
    return {
        "runs": len(table),
        "law": ours.law,
        "verdict": one.verdict.sentence(),
        "best_baseline": one.ranking.best_baseline,
        "promised": {gain.baseline: gain.mean for gain in pick.gains.values()},
        "rows": {method: row.tolist() for method, row in rows.items()},
    }


def fixed_arms(study: Experiment, options: argparse.Namespace) -> tuple[Arm, ...]:
    """The arms, written down before any of them is trained."""
    path = options.out / "arms.json"
    if not path.exists():
        known = baselines(study.space, {})
        rivals = {
            key: one for key, one in known.items() if set(options.baselines) & {key, *one.aliases}
        }
        rows = {name: _row(options.out, name) for name in options.arms or _usual(options.pool)}
        arms = _merged(study, plan_arms(study.space, rows, rivals))
        write_json(path, [arm.to_json() for arm in arms])
    return tuple(Arm.from_json(arm) for arm in read_json(path))


def plan_arm_runs(study: Experiment, arms: Sequence[Arm]) -> list[Run]:
    """Every arm under every seed, seed by seed: whole blocks are there first."""
    seeds = study.proxy_file.confirm.seeds
    return [arm_run(study, arm, seed) for seed in seeds for arm in arms]


def report(out: Path) -> None:
    """Print what is known as Markdown, and write it to `result.json`."""
    told: dict[str, Any] = {}
    if (out / "study" / "space.toml").exists():
        _print_about(Experiment(out / "study"))
    for path in sorted(out.glob("decided-*.json")):
        told[path.stem] = read_json(path)
    if told:
        _print_decisions(out, told)
    if not (out / "arms.json").exists():
        print("no arms yet: the pool is not decided on")
        return
    study = Experiment(out / "study")
    arms = tuple(Arm.from_json(arm) for arm in read_json(out / "arms.json"))
    done = {run.id: run for run in study.runs() if run.status == "finished"}
    cells = [
        [done.get(arm_run(study, arm, seed).id) for seed in study.proxy_file.confirm.seeds]
        for arm in arms
    ]
    finished = sum(run is not None for row in cells for run in row)
    print(f"{finished} of {len(arms) * len(cells[0])} runs of the arms are finished\n")
    if sum(all(row[i] is not None for row in cells) for i in range(len(cells[0]))) < 2:
        return
    found = measured(study, _objective(study), arms, cells)
    against = judge(found.values, arms, documents=found.documents)
    _print_against(against, found.text)
    pairs = [
        (ours, judge(found.values, _as_rivals(arms, ours), documents=found.documents))
        for ours in [arm.name for arm in arms if arm.name.startswith(OURS)]
    ]
    _print_pairs(pairs, against)
    goals = reached(against, dict(pairs))
    for goal, answer in goals.items():
        print(f"- {goal}: {'yes' if answer else 'no'}")
    told |= {
        "proxies": {
            "pool": study.proxy_file.identity(),
            "arms": study.proxy_file.confirm_identity(),
        },
        "goals": goals,
        "arms": [arm.to_json() for arm in arms],
        "text": found.text,
        "parameters": found.parameters,
        "values": found.values.tolist(),
        "against_baselines": against.to_json(),
        "against_rivals": {ours: result.to_json() for ours, result in pairs},
    }
    write_json(out / "result.json", told)


def reached(against: Confirmation, pairs: Mapping[str, Confirmation]) -> dict[str, bool]:
    """Whether ours beats every baseline, and is no worse than rivals given four times its runs."""
    ours = sorted(pairs, key=lambda name: int(name.partition("@")[2]))
    few, many = pairs[ours[0]], ours[-1]
    rivals = [
        item
        for item in few.against(ours[0])
        if "@" in item.rival and not item.rival.startswith(OURS)
    ]
    goals = {
        f"{many} is better than every baseline at 95 %": against.outcome(many) == "better",
        f"{ours[0]} is no worse than each rival given four times its runs": all(
            item.outcome in ("better", "same") for item in rivals
        ),
    }
    return goals if rivals else dict(list(goals.items())[:1])


def _print_about(study: Experiment) -> None:
    """What was trained."""
    pools = [run for run in study.runs() if run.name.startswith("pool-")]
    arms = [run for run in study.runs() if run.origin == CONFIRM]
    for name, runs in (("pool", pools), ("arms", arms)):
        done = [run for run in runs if run.status == "finished"]
        if not done or done[0].scale is None:
            continue
        parameters, active, tokens = done[0].scale
        device = done[0].cost.get("device", "unknown device")
        print(
            f"{name}: {len(done)} of {len(runs)} runs of {done[0].proxy['preset']}, "
            f"{parameters / 1e6:.2f}M parameters without embeddings, {active / 1e6:.2f}M active, "
            f"{tokens:,.0f} tokens a run, {device}"
        )
    found = None if study.manifest is None else plateau(Study.open(study.folder))
    print("" if found is None else f"{found.sentence()}\n")


def _print_decisions(out: Path, told: dict[str, Any]) -> None:
    names = list(Experiment(out / "study").space.names)
    rows = []
    for one in told.values():
        for method, row in one["rows"].items():
            shares = [f"{100 * share:.0f}" for share in row]
            rows.append([f"{method}@{int(one['asked'])}", *shares])
    print("Shares in %:\n")
    print_table(["arm", *names], rows)
    for one in told.values():
        print(f"- {OURS}@{one['asked']} ({one['law']}): {one['verdict']}")
    print()


def _print_against(result: Confirmation, text: str) -> None:
    """Every arm beside the baselines."""
    natural = _mean_of(result, "natural")
    rows = []
    for position in np.argsort(result.means, kind="stable"):
        arm, mean = result.arms[position], result.means[position]
        gain = 100 * (natural - mean)
        told = ["-", "-", "baseline"]
        if arm.role == "proposal":
            closest = result.against(arm.name)[0]
            told = [closest.rival, f"{closest.p:.3f}", result.outcome(arm.name)]
        rows.append([", ".join(arm.names), f"{gain:.2f}", *told])
    se = 100 * result.noise * np.sqrt(2 / result.blocks)
    print(
        f"Gain over natural in % (standard error of a difference {se:.2f}, {result.blocks} paired "
        f"seeds, {text} text); p that it is no better than its closest baseline (Dunnett):\n"
    )
    print_table(["arm", "gain over natural, %", "closest baseline", "p", "outcome"], rows)


def _print_pairs(pairs: Sequence[tuple[str, Confirmation]], against: Confirmation) -> None:
    """Ours beside each rival."""
    natural = _mean_of(against, "natural")
    rows = []
    for ours, result in pairs:
        for item in result.against(ours):
            if "@" not in item.rival:
                continue
            margin = min(0.003, 0.1 * (natural - _mean_of(against, item.rival)))
            rows.append([f"{ours} - {item.rival}", *_in_percent(item, margin), item.outcome])
    print(
        "Difference of J in %, negative is in our favour; the same: upper end below the margin:\n"
    )
    print_table(["pair", "difference", "upper end (95 %)", "margin", "outcome"], rows)


def _in_percent(item: Comparison, margin: float) -> list[str]:
    return [f"{100 * value:+.2f}" for value in (item.difference, item.upper, margin)]


def _mean_of(result: Confirmation, name: str) -> float:
    arms = zip(result.arms, result.means, strict=True)
    return next(mean for arm, mean in arms if name in arm.names)


def _as_rivals(arms: Sequence[Arm], ours: str) -> tuple[Arm, ...]:
    """The arms with one proposal, and every other one in the place of a baseline."""
    return tuple(arm if arm.name == ours else replace(arm, role="baseline") for arm in arms)


def _merged(study: Experiment, arms: Sequence[Arm]) -> tuple[Arm, ...]:
    """Proposals that nearly agree are trained once, under the first one's name."""
    kept: list[Arm] = []
    for arm in arms:
        row = study.space.schedule_row(arm.schedule)
        twins = [
            i
            for i, other in enumerate(kept)
            if arm.role == other.role == "proposal"
            and distance(study.space, study.space.schedule_row(other.schedule)[None], row)[0]
            < SAME_ARM
        ]
        if twins:
            twin = kept[twins[0]]
            kept[twins[0]] = replace(twin, stands_for=(*twin.stands_for, *arm.names))
        else:
            kept.append(arm)
    return tuple(kept)


def _part(study: Experiment, folder: Path, runs: Sequence[Run]) -> Experiment:
    """A study of its own of some runs of another: the same files, its data by a link."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("space.toml", "proxy.toml"):
        (folder / name).write_bytes((study.folder / name).read_bytes())
    if not (folder / "data").exists():
        (folder / "data").symlink_to((study.folder / "data").resolve())
    part = Experiment(folder)
    known = {run.id for run in part.runs()}
    with RunWriter(folder / "runs") as writer:
        writer.append([run for run in runs if run.id not in known])
    return part


def _row(out: Path, name: str) -> Array:
    """The row of an arm such as `regmix@64`."""
    method, _, count = name.partition("@")
    path = out / f"decided-{int(count):03d}.json"
    if not path.exists() or method not in read_json(path)["rows"]:
        raise MixoptError(f"nothing was decided that is called {name!r}")
    return np.array(read_json(path)["rows"][method])


def _usual(pool: int) -> list[str]:
    """Ours with a quarter of the pool and with all of it, and every rival with all of it."""
    return [f"{OURS}@{pool // 4}", *(f"{method}@{pool}" for method in (OURS, *METHODS))]


def _objective(study: Experiment) -> str:
    return next(iter(study.space_file.objective))


def _proxy_text(options: argparse.Namespace) -> str:
    """`proxy.toml` as the options ask for it."""
    small, large = options.presets

    def table(values: dict[str, Any]) -> str:
        return "{" + ", ".join(f"{key} = {value}" for key, value in values.items()) + "}"

    return f"""\
preset = "{small.preset}"
tokens = {options.pool_tokens}
seeds = {list(SEEDS)}
sizes = {table(small.sizes)}
training = {table(small.training)}

[data]
pool_tokens = {options.read_tokens}

[evaluation]
windows = {options.windows}

[confirm]
preset = "{large.preset}"
tokens = {options.arm_tokens}
sizes = {table(large.sizes)}
training = {table(large.training)}
seeds = {[FIRST_ARM_SEED + block for block in range(options.blocks)]}
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("corpus", type=Path)
    add("out", type=Path)
    add("--presets", nargs=2, type=Proxy.parse, metavar=("POOL", "ARMS"), help=Proxy.parse.__doc__)
    add("--pool", type=int, default=64, help="runs of the pool")
    add("--pool-tokens", type=int, default=20_000_000, help="tokens of one of them")
    add("--arm-tokens", type=int, default=60_000_000)
    add("--blocks", type=int, default=5, help="paired seeds of the arms")
    add("--arms", nargs="+", metavar="METHOD@RUNS", help="in place of the five usual ones")
    add("--baselines", nargs="+", default=["natural", "uniform", "unimax"])
    add("--target-tokens", type=float, default=1e9, help="pretended, for caps and epochs")
    add("--read-tokens", type=int, default=20_000_000, help="tokens to prepare of a domain")
    add("--windows", type=int, default=64, help="evaluation windows of a domain")
    add("--workers", type=int, help="processes; default: one a core or GPU")
    add("--stop-after", choices=STAGES, default=STAGES[-1])
    add("--report", action="store_true", help="only print what is known")
    options = parser.parse_args()
    options.presets = options.presets or [Proxy.parse("pico"), Proxy.parse("nano")]
    return options


if __name__ == "__main__":
    sys.exit(main())
