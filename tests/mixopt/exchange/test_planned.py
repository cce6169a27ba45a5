"""Planned runs as CSV or JSON lines: what another trainer needs and nothing that is done."""

import csv
import io
import json

import pytest

from mixopt.errors import ConfigError, DataError
from mixopt.exchange.planned import write_planned
from mixopt.runs import Run

PLANNED = [
    Run(((1.0, {"web": 0.7, "code": 0.3}),), seed=1, name="a"),
    Run(((1.0, {"code": 1.0}),), seed=2, name="b, with a comma"),
]
DONE = Run(((1.0, {"web": 1.0}),), seed=3, name="c", metrics={"bpb/web": 1.0})
FAILED = Run(((1.0, {"web": 1.0}),), seed=4, name="d", error="out of memory")


def test_csv_has_a_line_for_each_planned_run() -> None:
    text = write_planned([*PLANNED, DONE, FAILED], "csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["id"] for line in lines] == [run.id for run in PLANNED]
    assert [line["name"] for line in lines] == ["a", "b, with a comma"]
    assert [(float(line["web"]), float(line["code"])) for line in lines] == [(0.7, 0.3), (0, 1)]


def test_json_lines_carry_the_same() -> None:
    text = write_planned([*PLANNED, DONE], "json")
    documents = [json.loads(line) for line in text.splitlines()]
    assert [document["id"] for document in documents] == [run.id for run in PLANNED]
    assert documents[0]["phases"] == [{"fraction": 1.0, "shares": {"web": 0.7, "code": 0.3}}]
    assert [document["seed"] for document in documents] == [1, 2]


def test_a_schedule_has_a_line_a_phase() -> None:
    phased = Run(((0.9, {"web": 1.0}), (0.1, {"web": 0.5, "code": 0.5})), seed=1)
    lines = list(csv.DictReader(io.StringIO(write_planned([phased], "csv"))))
    assert [(line["phase"], line["fraction"]) for line in lines] == [("1", "0.9"), ("2", "0.1")]
    assert {line["id"] for line in lines} == {phased.id}


def test_runs_at_another_learning_rate_say_so() -> None:
    arm = Run(((1.0, {"web": 1.0}),), seed=1, proxy={"tokens": 10, "lr_scale": 0.1})
    lines = list(csv.DictReader(io.StringIO(write_planned([PLANNED[0], arm], "csv"))))
    assert [line["lr_scale"] for line in lines] == ["1.0", "0.1"]
    assert "lr_scale" not in write_planned(PLANNED, "csv")
    assert json.loads(write_planned([arm], "json"))["proxy"]["lr_scale"] == 0.1


def test_shares_are_written_with_all_their_digits() -> None:
    third = Run(((1.0, {"web": 1 / 3, "code": 2 / 3}),), seed=1)
    line = next(csv.DictReader(io.StringIO(write_planned([third], "csv"))))
    assert float(line["web"]) == 1 / 3


def test_nothing_planned_and_unknown_formats_are_errors() -> None:
    with pytest.raises(DataError, match="mixopt sample"):
        write_planned([DONE], "csv")
    with pytest.raises(ConfigError, match="csv"):
        write_planned(PLANNED, "cvs")
