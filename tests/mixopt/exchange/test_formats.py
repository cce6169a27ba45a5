"""Formats: what is written reads back as what was decided, or the export refuses."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError, DataError
from mixopt.exchange import FORMATS, make_format
from mixopt.exchange.base import Decision, Format, Schedule, export
from mixopt.exchange.json_format import Json
from mixopt.exchange.megatron import Megatron

PICK = Decision(
    "pick",
    ((1.0, {"web": 0.7, "code:python": 0.2999, "maths": 0.0001, "legal": 0.0}),),
    target_tokens=1e12,
    epochs={"web": 1.4},
    caps={"web": 1.0},
    provenance={"law": "0123456789abcdef"},
)
PHASED = Decision("two", ((0.9, {"web": 1.0}), (0.1, {"web": 0.5, "code": 0.5})))

names = st.lists(st.from_regex(r"[a-z0-9_.:-]+", fullmatch=True), min_size=1, unique=True)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """Mixtures of multiples of 1e-4, zeros among them."""
    domains = draw(names)
    cuts = sorted(
        draw(st.lists(st.integers(0, 10_000), min_size=len(domains) - 1, max_size=len(domains) - 1))
    )
    counts = [b - a for a, b in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    shares = {name: count / 10_000 for name, count in zip(domains, counts, strict=True)}
    return Decision("drawn", ((1.0, shares),))


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(decision=decisions())
def test_every_format_round_trips(name: str, decision: Decision) -> None:
    form = make_format(name)
    ((_, shares),) = form.read(export(decision, form))
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-9)
    for domain, share in decision.schedule[0][1].items():
        assert shares.get(domain, 0.0) == pytest.approx(share, abs=1e-6)


def test_megatron_leaves_zero_weights_out_and_names_prefixes() -> None:
    paths = {"web": "/tok/web_text_document", "code:python": "/tok/code_text_document"}
    text = export(PICK, Megatron(paths))
    lines = [line.split() for line in text.splitlines()]
    assert [prefix for _, prefix in lines] == [
        "/tok/web_text_document",
        "/tok/code_text_document",
        "maths",
    ]
    assert float(lines[2][0]) == pytest.approx(0.0001, rel=1e-6)


def test_megatron_keeps_six_digits_of_a_tiny_share() -> None:
    tiny = 1.23456e-5
    text = Megatron().write(Decision("tiny", ((1.0, {"a": 1 - tiny, "b": tiny}),)))
    assert float(text.split()[2]) == pytest.approx(tiny, rel=1e-6)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({"web": "/my data/web"}, "white space"),
        ({"web": "/tok/a", "maths": "/tok/a"}, "several"),
        ({"wbe": "/tok/web"}, "did you mean 'web'"),
    ],
)
def test_megatron_refuses_prefixes_that_mean_something_else(
    paths: dict[str, str], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        Megatron(paths).write(PICK)


@pytest.mark.parametrize("text", ["", "0.5 web 0.5", "web 0.5", "0 web"])
def test_megatron_refuses_to_read_what_is_no_blend(text: str) -> None:
    with pytest.raises(DataError):
        Megatron().read(text)


def test_a_schedule_goes_to_json_but_not_to_a_single_blend() -> None:
    assert Json().read(export(PHASED, Json())) == PHASED.schedule
    with pytest.raises(DataError, match="schedule of 2 phases"):
        export(PHASED, Megatron())


def test_json_states_its_unit_and_its_inputs() -> None:
    document = json.loads(export(PICK, Json()))
    assert document["unit"] == "tokens of the target's tokenizer"
    assert document["provenance"] == {"law": "0123456789abcdef"}
    assert document["epochs"] == {"web": 1.4}
    assert document["caps"] == {"web": 1.0}


@pytest.mark.parametrize("text", ["{", "[]", '{"unit": "documents", "phases": []}', "{}"])
def test_json_refuses_other_documents(text: str) -> None:
    with pytest.raises(DataError):
        Json().read(text)


@dataclass
class _Percent(Format):
    """A format that loses digits: whole per cents."""

    def write(self, decision: Decision) -> str:
        """Whole per cents."""
        return json.dumps({k: round(100 * v) for k, v in decision.mixture("percent").items()})

    def read(self, text: str) -> Schedule:
        """Per cents as shares."""
        return ((1.0, {name: share / 100 for name, share in json.loads(text).items()}),)


def test_an_export_that_says_something_else_is_refused() -> None:
    with pytest.raises(DataError, match=r"share of 0\.30.* for 'code:python', expected 0\.2999"):
        export(PICK, _Percent())


def test_unknown_formats_and_options_name_what_exists() -> None:
    with pytest.raises(ConfigError, match="megatron"):
        make_format("megatrom")
    with pytest.raises(ConfigError, match="paths"):
        make_format("megatron", {"path": {}})
