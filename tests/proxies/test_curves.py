"""Learning curves: few points, of all steps, up to the first that is no number."""

import json

import numpy as np
import pytest

from proxies.curves import POINTS, write_curve


@pytest.mark.parametrize("steps", [1, 5, 48, 100, 782])
def test_points_average_all_steps(tmp_path, steps):
    losses = np.random.default_rng(steps).random(steps).astype(np.float32)
    write_curve(tmp_path / "curve", losses, step_tokens=64)
    points = [json.loads(line) for line in (tmp_path / "curve").read_text().splitlines()]
    assert len(points) == min(steps, POINTS)
    stops = np.array([point["step"] for point in points])
    widths = np.diff(stops, prepend=0)
    means = np.array([point["loss"] for point in points])
    assert stops[-1] == steps
    assert (means * widths).sum() / steps == pytest.approx(losses.mean(), rel=1e-5)
    assert [point["tokens"] for point in points] == (64 * stops).tolist()


@pytest.mark.parametrize("bad", [0, 3, 9])
def test_a_curve_ends_before_what_is_no_number(tmp_path, bad):
    losses = np.ones(10)
    losses[bad:] = np.nan
    write_curve(tmp_path / "curve", losses, step_tokens=1)
    lines = (tmp_path / "curve").read_text().splitlines()
    assert len(lines) == bad
