"""Lines: a cell is measured once, survives a kill, and says beforehand what the rest will take."""

import doctest
import json

import pytest


@pytest.fixture
def lines(benchmark):
    return benchmark("lines")


def test_examples_hold(lines):
    found = doctest.testmod(lines)
    assert found.attempted > 0
    assert found.failed == 0


def test_only_what_is_missing_is_measured_after_a_torn_line(lines, tmp_path):
    asked, path = [], tmp_path / "out.jsonl"

    def work(names):
        return {name: lambda name=name: asked.append(name) or len(asked) for name in names}

    assert lines.measured(path, work(["a/x/1", "a/x/2"]), {}) == {"a/x/1": 1, "a/x/2": 2}
    whole = path.read_text()
    path.write_text(whole[:-9])  # killed while the last line was written
    assert lines.measured(path, work(["a/x/1", "a/x/2", "b"]), {}) == {
        "a/x/1": 1,
        "a/x/2": 3,
        "b": 4,
    }
    assert asked == ["a/x/1", "a/x/2", "a/x/2", "b"]
    assert lines.cells(path) == {"a/x/1": 1, "a/x/2": 3, "b": 4}


def test_cells_before_a_failure_are_kept_and_the_estimate_comes_first(lines, tmp_path, capsys):
    path = tmp_path / "out.jsonl"
    with pytest.raises(ZeroDivisionError):
        lines.measured(path, {"a/x/1": lambda: 1, "a/x/2": lambda: 1 // 0}, {"a/x": 30.0})
    assert "about 60 s of CPU" in capsys.readouterr().out
    assert json.loads(path.read_text())["value"] == 1
