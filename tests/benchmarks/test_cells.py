"""Cells: measured once, kept through a failure, printed as Markdown."""

import doctest
import json

import pytest


@pytest.fixture
def cells(benchmark):
    return benchmark("cells")


def test_examples_hold(cells, benchmark):
    for module in (cells, benchmark("verdicts")):
        assert doctest.testmod(module).failed == 0
        assert doctest.testmod(module).attempted > 0


def test_only_what_is_missing_is_measured(cells, tmp_path):
    asked = []

    def measure(name):
        return lambda: asked.append(name) or len(asked)

    path = tmp_path / "out.json"
    first = cells.completed(path, {name: measure(name) for name in "ab"})
    second = cells.completed(path, {name: measure(name) for name in "cba"})
    assert asked == ["a", "b", "c"]
    assert first == {"a": 1, "b": 2}
    assert second == {"c": 3, "b": 2, "a": 1}


def test_cells_before_a_failure_are_kept(cells, tmp_path):
    path = tmp_path / "out.json"
    with pytest.raises(ZeroDivisionError):
        cells.completed(path, {"a": lambda: 1, "b": lambda: 1 // 0})
    assert json.loads(path.read_text()) == {"a": 1}


def test_cells_of_another_command_stay(cells, tmp_path):
    path = tmp_path / "out.json"
    cells.completed(path, {"a": lambda: 1})
    assert cells.completed(path, {"b": lambda: 2}) == {"b": 2}
    assert json.loads(path.read_text()) == {"a": 1, "b": 2}


def test_a_cell_that_is_no_number_is_refused(cells, tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        cells.completed(tmp_path / "out.json", {"a": lambda: float("nan")})


def test_what_is_no_number_becomes_none(cells):
    nested = {"a": [1.0, float("nan")], "b": {"c": float("inf")}, "d": "x"}
    assert cells.finite(nested) == {"a": [1.0, None], "b": {"c": None}, "d": "x"}


def test_tables_are_markdown(cells, capsys):
    cells.print_table(("law", "runs"), [("edl", "64")])
    assert capsys.readouterr().out == "| law | runs |\n| --- | --- |\n| edl | 64 |\n\n"
