"""controlled: plan runs under a controller, the baselines they must beat, and their replays.

All stand in the same seed blocks, so that they can be compared in pairs. A replay trains the mean
shares of a finished controlled run as a plain mixture: what it lacks is what moving brought. For
DoReMi it is the second half of its offline recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mixopt.baselines import baselines
from mixopt.errors import ConfigError, nearest
from mixopt.online import CONTROLLERS, make_controller
from mixopt.online.budget import Budget
from mixopt.runs import Run
from mixopt.stages.sample import SamplePlan, planned_run

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

CONTROLLED = "controller:"
"""Origins of controlled runs start so."""
REPLAY = "replay:"
"""Origins of static runs of their mean shares start so."""
RIVALS = ("natural", "uniform")
"""Baselines that are planned beside controlled runs, with those of the user."""


def plan_controlled(exp: Experiment, name: str, count: int) -> SamplePlan:
    """Plan `count` blocks of a controlled run and its rivals; of finished ones also a replay.

    Asked again, nothing is planned twice. Raises ConfigError for an unknown controller or setting,
    and for more runs than there are seeds.
    """
    settings = _settings(exp, name)
    seeds = exp.proxy_file.seeds
    if count > len(seeds):
        raise ConfigError(
            f"-n {count} controlled runs need as many seeds, proxy.toml has {len(seeds)}: "
            "add to seeds, or plan fewer"
        )
    known = {run.id: run for run in exp.runs()}
    runs: list[Run] = []
    notes: list[str] = []
    for block, seed in enumerate(seeds[:count]):
        rivals = rival_runs(exp, seed, block)
        runs += rivals.values()
        told = _with_reference(name, settings, rivals["natural"], known)
        if told is None:
            notes.append(
                f"{name} compares with a finished run of natural shares, that of seed {seed} is "
                "planned now: train it, then give this command again"
            )
            continue
        run = _controlled(exp, name, told, seed, block)
        runs.append(run)
        finished = known.get(run.id)
        if finished is not None and finished.status == "finished" and finished.mixture:
            runs.append(replay_run(exp, finished))
    planned = {run.id: run for run in runs}
    new = [run for run_id, run in planned.items() if run_id not in known]
    merged = planned | {run_id: run for run_id, run in known.items() if run_id in planned}
    if new:
        exp.append(new)
    return SamplePlan(tuple(merged.values()), len(new), name, tuple(notes))


def rival_runs(exp: Experiment, seed: int, block: int) -> dict[str, Run]:
    """The baselines of one block by name: natural, uniform, and the user's own."""
    user = exp.user_baselines()
    found = dict(_named(baselines(exp.space, user), (*user, *RIVALS)))
    return {
        name: planned_run(
            exp,
            row,
            seed=seed,
            proxy=exp.proxy_file.identity(),
            name=f"{name}-s{seed}",
            origin=f"baseline:{name}",
            seed_block=block,
            round_=0,
        )
        for name, row in found.items()
    }


def _named(rivals: Mapping[str, Any], wanted: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Baselines by the names that were asked for, whichever name they go by themselves."""
    for name in wanted:
        for own, item in rivals.items():
            if name == own or name in item.aliases:
                yield name, item.row


def _settings(exp: Experiment, name: str) -> dict[str, Any]:
    """The settings of proxy.toml, tried out."""
    written = exp.proxy_file.controller
    for other in written:
        if other not in CONTROLLERS and ":" not in other:
            hint = nearest(other, CONTROLLERS)
            raise ConfigError(
                f"{exp.folder / 'proxy.toml'}: [controller.{other}] is no controller, {hint}"
            )
    if name == "static":
        raise ConfigError("static runs are planned without --controller: use --design, or schedule")
    settings = dict(written.get(name, {}))
    try:
        make_controller(name, {"budget": Budget.of(exp.space.names), **settings})
    except ConfigError as error:
        if not settings:
            raise
        raise ConfigError(f"{exp.folder / 'proxy.toml'}: [controller.{name}]: {error}") from error
    return settings


def _with_reference(
    name: str, settings: Mapping[str, Any], natural: Run, known: Mapping[str, Run]
) -> dict[str, Any] | None:
    """The settings with a finished reference run, where the controller needs one; None: not yet."""
    if name != "doremi" or settings.get("reference"):
        return dict(settings)
    reference = known.get(natural.id)
    if reference is None or reference.status != "finished":
        return None
    return {**settings, "reference": natural.id}


def _controlled(
    exp: Experiment, name: str, settings: Mapping[str, Any], seed: int, block: int
) -> Run:
    return Run(
        schedule=None,
        controller={"name": name, **settings},
        seed=seed,
        proxy=exp.proxy_file.identity(),
        data=exp.data,
        name=f"{name}-s{seed}",
        origin=f"{CONTROLLED}{name}",
        seed_block=block,
    )


def replay_run(exp: Experiment, finished: Run) -> Run:
    """The static run of a finished controlled run's mean shares, in its block."""
    assert finished.mixture is not None
    name = finished.origin.removeprefix(CONTROLLED)
    total = sum(finished.mixture.values())
    shares = {key: share / total for key, share in finished.mixture.items()}
    return planned_run(
        exp,
        exp.space.row(shares),
        seed=finished.seed,
        proxy=exp.proxy_file.identity(),
        name=f"{name}-replay-s{finished.seed}",
        origin=f"{REPLAY}{name}",
        seed_block=finished.seed_block,
        round_=0,
    )
