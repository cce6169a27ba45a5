"""Benchmarks are scripts that import each other: they are loaded from their folder, by name."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
DOMAINS = ("arxiv", "github", "pile_cc", "wikipedia_en")
METRICS = ("arxiv", "pile_cc", "wikipedia_en")


@pytest.fixture(scope="session")
def benchmark() -> Iterator[Callable[[str], ModuleType]]:
    """Import a benchmark by its file's name, as `python benchmarks/NAME.py` finds it."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="session")
def small_regmix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of CSV files in RegMix's form: 48 training and 30 test runs, shares rounded."""
    folder, rng = tmp_path_factory.mktemp("regmix"), np.random.default_rng(0)
    for part, size, count in (("train", "1m", 48), ("test", "1m", 30), ("test", "60m", 30)):
        shares = rng.dirichlet(np.ones(len(DOMAINS)), count).round(3)
        worth = 0.3 + 2.0 * np.eye(len(DOMAINS))[[0, 2, 3]]
        losses = 2.0 + (0.1 + shares @ worth.T) ** -0.5 + 0.01 * rng.standard_normal((count, 3))
        columns = {"mixture": [f"train_the_pile_{name}" for name in DOMAINS]}
        columns["pile_loss"] = [f"metric/the_pile_{name}_val_loss" for name in METRICS]
        for kind, values in (("mixture", shares), ("pile_loss", losses)):
            frame = pd.DataFrame(values, columns=columns[kind], index=range(1, count + 1))
            frame.rename_axis("index").to_csv(folder / f"{part}_{kind}_{size}.csv")
    return folder
