"""The bootstrap over documents: paired over arms, exact where arms are alike, of the right size."""

from pathlib import Path

import numpy as np
import pytest

from mixopt.documents import Windows, resampled_bpb, resampled_values
from mixopt.errors import DataError
from mixopt.objective import Objective
from mixopt.runs import Run

NAMES = ("web", "code")
TEST = Objective("mean", "relative", ("bpb@test/web", "bpb@test/code"), np.array([0.5, 0.5]))


def _windows(documents: int = 40) -> Windows:
    rng = np.random.default_rng(0)
    domain = np.repeat([0, 1], 2 * documents)
    document = np.tile(np.repeat(np.arange(documents), 2), 2)
    return Windows(NAMES, rng.integers(300, 500, len(domain)), domain, document)


def _run(arm: int, seed: int) -> Run:
    metrics = {"bpb@test/web": 1.0}
    return Run(((1.0, {"web": 1.0 - arm / 10, "code": arm / 10}),), seed, metrics=metrics)


def _write(folder: Path, run: Run, windows: Windows, nats: np.ndarray) -> None:
    np.savez(
        folder / f"{run.id}.npz",
        nats=nats,
        bytes=windows.bytes,
        domain=windows.domain,
        document=windows.document,
        names=np.array(windows.names),
    )


@pytest.fixture
def cells(tmp_path: Path) -> list[list[Run | None]]:
    """Two arms, two seeds; the second arm needs 5 % more nats in every window."""
    windows = _windows()
    nats = windows.bytes * np.random.default_rng(1).uniform(0.6, 1.4, len(windows.bytes))
    runs: list[list[Run | None]] = [[_run(arm, seed) for seed in (1, 2)] for arm in (0, 1)]
    for arm, row in enumerate(runs):
        for run in row:
            assert run is not None
            _write(tmp_path, run, windows, nats * (1 + 0.05 * arm))
    return runs


def test_arms_see_the_same_documents(tmp_path: Path, cells: list[list[Run | None]]) -> None:
    values = resampled_values(
        TEST, np.ones(2), cells, tmp_path, np.random.default_rng(0), draws=200
    )
    assert values is not None
    assert values.shape == (200, 2, 2)
    np.testing.assert_allclose(values[:, 1] - values[:, 0], np.log(1.05), atol=1e-12)
    assert values[:, 0].std() > 0.005  # the text alone moves the level


def test_a_missing_run_leaves_its_cell_empty(tmp_path: Path, cells: list[list[Run | None]]) -> None:
    failed = Run(((1.0, {"code": 1.0}),), 9, error="out of memory")
    holes = [[cells[0][0], None], [failed, cells[1][1]]]
    values = resampled_values(TEST, np.ones(2), holes, tmp_path, np.random.default_rng(0), draws=5)
    assert values is not None
    assert np.isnan(values).tolist() == [[[False, True], [True, False]]] * 5


def test_what_windows_do_not_tell_has_no_interval(
    tmp_path: Path, cells: list[list[Run | None]]
) -> None:
    rng = np.random.default_rng(0)
    tasks = Objective("tasks", "relative", ("task/arc",), np.ones(1))
    assert resampled_values(tasks, np.ones(1), cells, tmp_path, rng) is None
    assert resampled_values(TEST, np.ones(2), cells, tmp_path / "none", rng) is None


def test_other_text_is_refused(tmp_path: Path, cells: list[list[Run | None]]) -> None:
    run = cells[1][1]
    assert run is not None
    shorter = _windows(documents=39)
    _write(tmp_path, run, shorter, shorter.bytes * 1.0)
    with pytest.raises(DataError, match="other text"):
        resampled_values(TEST, np.ones(2), cells, tmp_path, np.random.default_rng(0))
    (tmp_path / f"{run.id}.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(DataError, match="does not hold the windows"):
        resampled_values(TEST, np.ones(2), cells, tmp_path, np.random.default_rng(0))


def test_spread_is_that_of_a_ratio_of_sums_over_documents() -> None:
    windows = _windows(documents=100)
    rng = np.random.default_rng(2)
    per_document = rng.uniform(0.6, 1.4, 200)  # windows of one document are alike
    nats = (windows.bytes * per_document[windows.document + 100 * windows.domain])[None]
    drawn = resampled_bpb(windows, nats, 4000, rng)[:, 0]
    for domain in (0, 1):
        rate = per_document[100 * domain : 100 * domain + 100] / np.log(2)
        assert drawn[:, domain].std() == pytest.approx(rate.std() / 10, rel=0.1)
        assert drawn[:, domain].mean() == pytest.approx(rate.mean(), rel=0.02)
