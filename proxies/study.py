"""Study: what training reads of an experiment's folder.

Neither torch nor the space's geometry: limits bind whoever plans runs, and loading either takes a
second of every process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mixopt.config import DomainSpec, SpaceFile, read_proxy, read_space
from mixopt.errors import DataError, nearest
from mixopt.exchange.recount import recount_ratio, recount_schedule
from mixopt.files import digest
from mixopt.online.base import Controller
from mixopt.online.static import Static
from mixopt.runs import Run, Schedule, read_runs
from mixopt.tokens import proxy_factors
from proxies.config import TrainConfig, resolve
from proxies.controlled import controller_of
from proxies.data import Data
from proxies.pools import simulated_pools
from proxies.tasks import Task, read_tasks


@dataclass(frozen=True)
class Study:
    """The domains, the corpus and the evaluation of one folder."""

    folder: Path
    tokens: Mapping[str, float]
    """Unique tokens (the target's) of each domain with training text, ordered as `space.toml`."""
    factors: Mapping[str, float]
    """Tokens of the proxies for one of the target's, by domain: 1 where they share a tokenizer."""
    target_tokens: float | None
    data: Data
    windows: int
    """Evaluation windows of each domain."""
    early: tuple[float, ...] = ()
    """Shares of a run at which it is scored as well."""
    tasks: tuple[Task, ...] = ()
    metrics: tuple[str, ...] = ()
    """Functions of the user's own, by name."""
    limits: Mapping[str, DomainSpec] = field(default_factory=dict)
    """What `space.toml` says of each domain: controllers keep to it."""
    told_prior: Mapping[str, float] | None = None
    """The prior of `space.toml`, if it names one."""
    space: SpaceFile | None = None
    """`space.toml`: its groups and constraints bind controllers too."""
    _configs: dict[str, TrainConfig] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the files of `folder`. Raises ConfigError, and DataError without a corpus."""
        spec, proxy = read_space(folder / "space.toml"), read_proxy(folder / "proxy.toml")
        data = Data.open(folder / "data")
        counts = {name: part["pool"]["tokens"] for name, part in data.manifest["domains"].items()}
        for name in spec.domain:
            if name not in counts:
                raise DataError(
                    f"{data.folder} holds no domain {name!r}, {nearest(name, counts)}: "
                    "run `mixopt prepare` again"
                )
        tokens = {
            name: float(item.tokens or counts[name])
            for name, item in spec.domain.items()
            if item.train
        }
        factors = proxy_factors(spec.domain, data.manifest)
        told = proxy.evaluation
        tasks, metrics = read_tasks(told.tasks, folder, data), tuple(told.metrics)
        return cls(
            folder,
            tokens,
            factors,
            spec.target.tokens,
            data,
            told.windows,
            tuple(told.early),
            tasks,
            metrics,
            spec.domain,
            spec.prior,
            spec,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The domains to train on, in the order of a controller's shares."""
        return tuple(self.tokens)

    def runs(self) -> dict[str, Run]:
        """All runs of the table by id, in the order of their planning."""
        return {run.id: run for run in read_runs(self.folder / "runs")}

    def config(self, proxy: Mapping[str, object]) -> TrainConfig:
        """The settings behind a training identity, resolved once."""
        name = digest(dict(proxy))
        if name not in self._configs:
            self._configs[name] = resolve(proxy, self.data.vocabulary)
        return self._configs[name]

    def check(self, run: Run) -> None:
        """DataError for a run that was not planned for this trainer and this corpus."""
        what = f"run {run.name or run.id}"
        if (run.schedule is None and run.controller is None) or not run.proxy:
            raise DataError(
                f"{what} has no mixture or no proxy to train here: record its metrics instead"
            )
        if run.data != self.data.hash:
            raise DataError(
                f"{what} was planned for the corpus {run.data or '(none)'}, {self.data.folder} "
                f"holds {self.data.hash}: prepare that corpus again, or plan new runs"
            )

    @property
    def prior(self) -> dict[str, float]:
        """Natural shares in the target's tokens, or those of `space.toml`."""
        told = self.told_prior
        shares = {name: (told or self.tokens).get(name, 0.0) for name in self.names}
        return {name: share / sum(shares.values()) for name, share in shares.items()}

    def controller(self, run: Run) -> Controller:
        """What sets the run's mixture: its schedule, or what its plan names.

        Raises DataError for a domain that is not here, ConfigError for settings that do not fit.
        """
        if run.controller is not None:
            return controller_of(self, run)
        return Static(tuple((part, self._row(mix)) for part, mix in self.schedule(run)))

    def schedule(self, run: Run) -> Schedule:
        """The run's schedule in the proxies' tokens. DataError for a domain that is not here."""
        assert run.schedule is not None
        for name in (name for _, mixture in run.schedule for name in mixture):
            if name not in self.tokens:
                raise DataError(
                    f"run {run.name or run.id} mixes in {name!r}, which has no training text here, "
                    f"{nearest(name, self.names)}"
                )
        if self._same_tokens:
            return run.schedule
        return recount_schedule(run.schedule, self.factors, dict.fromkeys(self.factors, 1.0))

    def pools(self, run: Run) -> dict[str, int] | None:
        """Unique tokens (the proxies') of each domain that the run may read; None for all."""
        if self.target_tokens is None or not run.proxy.get("simulated_epochs", False):
            return None
        tokens, target = self.tokens, self.target_tokens
        if not self._same_tokens:
            schedule = run.schedule or ((1.0, self.prior),)
            tokens = {name: count * self.factors[name] for name, count in tokens.items()}
            target *= recount_ratio(schedule, self.factors, dict.fromkeys(self.factors, 1.0))
        return simulated_pools(tokens, float(run.proxy["tokens"]), target)

    @property
    def _same_tokens(self) -> bool:
        return all(self.factors[name] == 1.0 for name in self.names)

    def _row(self, mixture: Mapping[str, float]) -> NDArray[np.float64]:
        shares = np.array([mixture.get(name, 0.0) for name in self.names], dtype=np.float64)
        return shares / shares.sum()

    def evaluation_flops(self, config: TrainConfig) -> float:
        """FLOPs of scoring one split, about: a forward pass over every window, and every task."""
        context = config.sizes.context
        tokens = len(self.data.evaluation_names) * self.windows * context
        for task in self.tasks:
            rows = zip(task.prompts, task.completions)
            tokens += sum(min(len(prompt) + len(rest), context) for prompt, rest in rows)
        return tokens * config.sizes.flops_per_token(config.vocabulary) / 3.0
