"""Experiment: one study in one folder; the doors through which the stages read and write it.

space.toml proxy.toml      written by a person or `init`
data/                      prepared text
runs/*.jsonl               the one table
claims/ checkpoints/ curves/ evaluations/    of the training
law.json law.npz proposal.json confirmation.json    results
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixopt.config import ProxyFile, SpaceFile, read_proxy, read_space
from mixopt.errors import ConfigError, DataError, nearest
from mixopt.files import digest, read_json
from mixopt.laws import COMPARED
from mixopt.objective import Objective, objective_for
from mixopt.progress import Report, silent
from mixopt.runs import CONFIRM, IMPORT, Run, RunWriter, is_apart, read_runs
from mixopt.space import Space, space_from
from mixopt.table import FALLING, Table, direction, join

if TYPE_CHECKING:
    from mixopt.fidelity import Flops
    from mixopt.stages.compare import CompareReport
    from mixopt.stages.confirm import ConfirmPlan, ConfirmReport
    from mixopt.stages.fit import FitReport
    from mixopt.stages.propose import ProposalReport
    from mixopt.stages.sample import SamplePlan

Array = NDArray[np.float64]


class Experiment:
    """One study: a space, a proxy, the table of runs, and what was made of it.

    >>> from mixopt import Experiment
    >>> study = Experiment("study")           # nothing is read before it is needed
    >>> study.folder.name
    'study'
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @cached_property
    def space_file(self) -> SpaceFile:
        """`space.toml`, checked."""
        return read_space(self.folder / "space.toml")

    @cached_property
    def proxy_file(self) -> ProxyFile:
        """`proxy.toml`, checked."""
        return read_proxy(self.folder / "proxy.toml")

    @property
    def has_proxy(self) -> bool:
        """Whether there is a `proxy.toml`: without one, runs come from elsewhere."""
        return (self.folder / "proxy.toml").exists()

    @cached_property
    def directions(self) -> dict[str, str]:
        """Whether metrics rise or fall, where their kind does not tell.

        As `space.toml` says, and falling for tasks of `proxy.toml`, which are bits per byte.
        Raises ConfigError where both speak of a metric and disagree.
        """
        tasks = self.proxy_file.evaluation.tasks if self.has_proxy else {}
        for name in tasks:
            if self.space_file.metrics.get(f"task/{name}") == "up":
                raise ConfigError(
                    f"{self.folder / 'space.toml'}: [metrics] says that task/{name} rises, and "
                    "[evaluation.tasks] of proxy.toml measures it in bits per byte, which fall: "
                    "remove it from [metrics], or rename one of the two"
                )
        return {f"task/{name}": "down" for name in tasks} | dict(self.space_file.metrics)

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """What `prepare` wrote, None where the data is the user's own business."""
        path = self.folder / "data" / "manifest.json"
        if not path.exists():
            return None
        manifest = read_json(path)
        wanted = {name: domain.train for name, domain in self.space_file.domain.items()}
        held = {name: part["train"] for name, part in manifest["domains"].items()}
        if wanted != held:
            differ = sorted(name for name, _ in wanted.items() ^ held.items())
            raise DataError(
                f"{path} was prepared for other domains than {self.folder / 'space.toml'} names "
                f"({', '.join(dict.fromkeys(differ))}): run `mixopt prepare {self.folder}`"
            )
        return manifest

    @cached_property
    def space(self) -> Space:
        """Where mixtures may lie: `space.toml` with the manifest's token counts."""
        return space_from(self.space_file, self._counts())

    @property
    def data(self) -> str:
        """The hash of the prepared data, empty without any."""
        return "" if self.manifest is None else str(self.manifest["hash"])

    def runs(self) -> list[Run]:
        """All runs, merged by id."""
        return read_runs(self.folder / "runs")

    def append(self, runs: Sequence[Run]) -> None:
        """Add lines to the table."""
        with RunWriter(self.folder / "runs") as writer:
            writer.append(runs)

    def run(self, id_or_name: str) -> Run:
        """One run by its id or name. Raises DataError when there is none."""
        runs = self.runs()
        for run in runs:
            if id_or_name in (run.id, run.name):
                return run
        hint = nearest(id_or_name, [run.name for run in runs if run.name]) if runs else "none is"
        raise DataError(f"no run of {self.folder} is called {id_or_name!r}, {hint}")

    def record(self, id_or_name: str, metrics: Mapping[str, float]) -> Run:
        """Write the metrics of a run that was trained elsewhere."""
        run = self.run(id_or_name)
        if not metrics:
            raise DataError(f"run {run.name or run.id}: no metrics to record")
        for name in metrics:  # what is recorded stays: refuse what no law could read
            direction(name, self.directions)
            self._check_domain(name)
        done = replace(run, metrics=dict(metrics), error=None, attempt=run.attempt + 1)
        self.append([done])
        return done

    def table(self) -> Table:
        """The finished runs that a law may be fitted on."""
        runs = [run for run in self.runs() if not is_apart(run.origin)]
        return self._with_imported(join(runs, self.space, directions=self.directions), runs)

    def _with_imported(self, table: Table, runs: Sequence[Run]) -> Table:
        """Imported runs as runs of the study's own proxy, where nothing tells the two apart.

        Both were trained elsewhere; `proxy.toml` says what is planned, and an import at most its
        scale. Runs of another scale stay apart.
        """
        if self.manifest is not None or not self.has_proxy:
            return table
        own, by_id = self.proxy_file.identity(), {run.id: run for run in runs}
        known = [by_id[run_id] for run_id in table.ids]
        planned = next((i for i, run in enumerate(known) if dict(run.proxy) == own), None)
        if planned is None:
            return table
        cohort, scale = table.cohorts[planned], known[planned].scale
        cohorts = [
            cohort if _imported(run) and (None in (run.scale, scale) or run.scale == scale) else one
            for run, one in zip(known, table.cohorts)
        ]
        return replace(table, cohorts=tuple(cohorts))

    def confirming(self, metrics: Sequence[str]) -> Table | None:
        """Finished runs of `confirm` of known scale that measured all `metrics`; None without any.

        They were judged on test text; their metrics on validation text may teach a law over scale.
        """
        runs = [
            run
            for run in self.runs()
            if run.origin == CONFIRM and run.scale is not None and set(metrics) <= set(run.metrics)
        ]
        return join(runs, self.space, metrics, self.directions) if runs else None

    def objectives(self, table: Table) -> dict[str, Objective]:
        """The objectives of `space.toml` over the columns of a table."""
        return self.objectives_over(table.metrics, table.losses)

    def objectives_over(self, metrics: Sequence[str], losses: Array) -> dict[str, Objective]:
        """The objectives of `space.toml` over `metrics`, in units of `losses` (n, m)."""
        domains = tuple(self.space_file.domain)
        scale = np.nanstd(losses, axis=0)
        return {
            name: replace(objective_for(spec, name, metrics, domains), scale=scale)
            for name, spec in self.space_file.objective.items()
        }

    def user_baselines(self) -> dict[str, Array]:
        """The mixtures that `[baselines]` names, as rows, the user's own first."""
        found = {}
        for name, mixture in self.space_file.baselines.items():
            try:
                found[name] = self.space.row(mixture)
            except DataError as error:
                where = self.folder / "space.toml"
                raise ConfigError(f"{where}: [baselines.{name}]: {error}") from error
        return found

    def inputs(self) -> dict[str, str]:
        """The hash of everything that a result depends on beside the runs."""
        return {"space": digest(self.space_file.model_dump(mode="json")), "data": self.data}

    def sample(
        self,
        count: int,
        design: str = "spacefill",
        seed: int = 0,
        objective: str | None = None,
        flops: Flops | None = None,
        warm: tuple[str, ...] = (),
        branches: int = 1,
    ) -> SamplePlan:
        """Plan `count` runs: a swarm with anchors and baselines, or the next runs of a search."""
        from mixopt.stages.sample import SampleRequest, sample

        request = SampleRequest(count, design, seed, objective, flops, warm, branches)
        return sample(self, request)

    def sample_again(self, count: int, lr_scale: float) -> SamplePlan:
        """Plan the `count` leading mixtures at `lr_scale` times the learning rate, constant."""
        from mixopt.stages.robustness import plan_robustness

        return plan_robustness(self, count, lr_scale)

    def sample_controlled(self, controller: str, count: int) -> SamplePlan:
        """Plan `count` runs under a controller, its rivals, and replays of what is finished."""
        from mixopt.stages.controlled import plan_controlled

        return plan_controlled(self, controller, count)

    def compare(self, objective: str | None = None, against: str = "uniform") -> CompareReport:
        """Controlled runs, replays and baselines side by side, on paired seeds."""
        from mixopt.stages.compare import compare

        return compare(self, objective, against)

    def fit(
        self,
        law: str | None = None,
        seed: int = 0,
        compare: Sequence[str] = COMPARED,
        report: Report = silent,
    ) -> FitReport:
        """Choose from `compare` by cross-validation, or take `law`; write `law.json`."""
        from mixopt.stages.fit import fit

        return fit(self, law, compare, seed, report)

    def propose(
        self,
        count: int = 5,
        method: str = "exact",
        objective: str | None = None,
        seed: int = 0,
        report: Report = silent,
    ) -> ProposalReport:
        """Ranked mixtures for every objective, or one; write `proposal.json`."""
        from mixopt.stages.propose import Request, propose

        return propose(self, Request(count, method, objective, seed), report)

    def plan_confirm(self) -> ConfirmPlan:
        """Fix the arms one size up and plan their runs."""
        from mixopt.stages.confirm import plan_confirm

        return plan_confirm(self)

    def judge_confirm(self) -> ConfirmReport:
        """Compare the arms that were trained; write `confirmation.json`."""
        from mixopt.stages.confirm import judge_confirm

        return judge_confirm(self)

    def _check_domain(self, metric: str) -> None:
        """bpb, loss and ppl are of a domain of `space.toml`."""
        kind, _, domain = metric.partition("/")
        known = self.space_file.domain
        if kind.partition("@")[0] in FALLING and metric not in self.directions:
            if domain not in known:
                hint = nearest(domain, known)
                raise DataError(f"metric {metric!r} names no domain of this study, {hint}")

    def _counts(self) -> dict[str, float]:
        """Unique tokens of each domain's full pool by the manifest."""
        if self.manifest is None:
            return {}
        return {name: part["pool"]["tokens"] for name, part in self.manifest["domains"].items()}


def _imported(run: Run) -> bool:
    return run.origin.partition(":")[0] == IMPORT
