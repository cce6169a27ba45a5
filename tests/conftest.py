"""How property tests run, and an experiment by its files.

Property tests have no time limit, and try the same examples where CI is set.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from mixopt.experiment import Experiment

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(scope="session")
def make_experiment():
    """`make_experiment(folder, domains, proxy)`: an experiment without data, tokens by domain."""

    def make(
        folder: Path,
        domains: Mapping[str, float],
        proxy: str,
        *,
        target: float | None = None,
        objectives: str = "",
    ) -> Experiment:
        folder.mkdir(parents=True, exist_ok=True)
        parts = [] if target is None else [f"[target]\ntokens = {target:.0f}\n"]
        parts += [f"[domain.{name}]\ntokens = {tokens:.0f}\n" for name, tokens in domains.items()]
        (folder / "space.toml").write_text("".join([*parts, objectives]))
        (folder / "proxy.toml").write_text(proxy)
        return Experiment(folder)

    return make
