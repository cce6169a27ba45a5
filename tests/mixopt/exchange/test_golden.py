"""Golden files: the text of every format, letter by letter, as it was compared with its reader."""

from pathlib import Path

import pytest

from mixopt.exchange import FORMATS, make_format
from mixopt.exchange.base import Decision, Source, export

GOLDEN = Path(__file__).parent / "golden"

SOURCES = {
    "web:news": Source("/tok/web_text_document", "/tok/web_valid", 3e11, 5e8, 4.0),
    "code": Source("/tok/code_text_document", "/tok/code_valid", 5e10, 2e7, 4.0),
    "maths": Source("/tok/maths_text_document", "/tok/maths_valid", 1e8, 1e6, 4.0),
}
MIXTURE = {"web:news": 0.7, "code": 0.2999, "law": 0.0, "maths": 0.0001}
PICK = Decision("mean:proposal-1", ((1.0, MIXTURE),), 4e11, sources=SOURCES)
LATE = {"web:news": 0.5, "code": 0.25, "law": 0.0, "maths": 0.25}
TWO = Decision("mean:proposal-2", ((0.9, MIXTURE), (0.1, LATE)), 4e9, sources=SOURCES)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_mixture_is_written_as_ever(name: str) -> None:
    assert export(PICK, make_format(name)).text == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("csv", {}),
        ("json", {}),
        ("levanter", {"steps": 8192, "batch": 1024}),
        ("nanotron", {"steps": 10_000}),
    ],
)
def test_a_schedule_is_written_as_ever(name: str, settings: dict[str, int]) -> None:
    text = (GOLDEN / f"{name}.phases").read_text(encoding="utf-8")
    assert export(TWO, make_format(name, settings)).text == text


def test_the_page_about_export_has_every_format() -> None:
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert rows - {"--to"} == set(FORMATS)


def test_every_golden_file_is_compared() -> None:
    staged = {f"{name}.phases" for name in ("csv", "json", "levanter", "nanotron")}
    assert {path.name for path in GOLDEN.iterdir()} == {*FORMATS, *staged}
