"""Formats: the trainer will read what was decided, or the export refuses with the reason."""

import json
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError, DataError
from mixopt.exchange import FORMATS, make_format
from mixopt.exchange.base import Decision, Format, Reading, Source, Sources, export
from mixopt.exchange.json_format import Json
from mixopt.exchange.levanter import Levanter
from mixopt.registry import load

NAMES = sorted(FORMATS)
STAGED = {"json", "csv", "nanotron", "levanter"}
STEPS = {"nanotron": {"steps": 10_000}, "levanter": {"steps": 10_000, "batch": 1024}}
SAMPLED = [name for name in NAMES if "samples" in load(FORMATS, "format", name).__annotations__]
PHASED = Decision("two", ((0.9, {"web": 1.0, "code": 0.0}), (0.1, {"web": 0.5, "code": 0.5})))

names = st.lists(st.text("abc019_.:-", min_size=1, max_size=6), min_size=1, max_size=8, unique=True)
plain = names.map(lambda found: [f"{chr(97 + i)}{name}z" for i, name in enumerate(found)])
"""None the beginning of another, no level empty at an end."""


def source(number: int) -> Source:
    """A source of which everything is known, different for every number."""
    return Source(
        path=f"/tok/{number:03d}_text_document",
        validation=f"/tok/{number:03d}_valid",
        tokens=1e9 * (1 + number % 7),
        documents=1e6 * (1 + number % 5),
        max_epochs=4.0,
    )


def decided(shares: dict[str, float], target: float | None = 1e9) -> Decision:
    """A mixture of sources of which everything is known."""
    sources = {name: source(number) for number, name in enumerate(shares)}
    return Decision("drawn", ((1.0, shares),), target_tokens=target, sources=sources)


@st.composite
def decisions(draw: st.DrawFn, named: st.SearchStrategy[list[str]]) -> Decision:
    """Mixtures of multiples of 1e-4, zeros among them, with or without target tokens."""
    domains = draw(named)
    cuts = sorted(
        draw(st.lists(st.integers(0, 10_000), min_size=len(domains) - 1, max_size=len(domains) - 1))
    )
    counts = [b - a for a, b in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    shares = {name: count / 10_000 for name, count in zip(domains, counts, strict=True)}
    return decided(shares, draw(st.sampled_from([None, 1e9, 2.5e10])))


def told_apart(decision: Decision) -> bool:
    """Whether files can hold the names: no two alike, none the beginning of another."""
    labels = sorted(name.replace(":", "__") for name in decision.domains)
    return not any(b.startswith(a) for a, b in pairwise(labels))


@pytest.mark.parametrize("name", NAMES)
@given(decision=decisions(plain))
@settings(max_examples=30)
def test_every_format_says_what_was_decided(name: str, decision: Decision) -> None:
    if name == "olmix":
        assume(all(all(part.split(":")) for part in decision.domains))
    form = make_format(name)
    done = export(decision, form)
    ((_, shares),) = form.read(done.text, decision.used).schedule
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-9)
    allowed = {"levanter": 1 / 2048, "axolotl": 1e-5}.get(name, 1e-6)
    for domain, share in decision.schedule[0][1].items():
        assert shares.get(domain, 0.0) == pytest.approx(share, abs=allowed)
        assert (domain in shares) == (share > 0) or name in ("json", "csv")
    assert done.text == export(decision, make_format(name)).text


@pytest.mark.parametrize("name", NAMES)
@given(decision=decisions(names))
@settings(max_examples=20)
def test_awkward_names_are_written_or_refused_in_a_sentence(name: str, decision: Decision) -> None:
    refused = ""
    try:
        done = export(decision, make_format(name))
        assert {row.domain for row in done.rows} == set(decision.schedule[0][1])
    except DataError as error:
        refused = str(error)
    if refused:
        assert re.search("expected a name for each domain|rename|Olmix nests", refused)
        assert not told_apart(decision) or name == "olmix"


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_written_with_underscores(name: str) -> None:
    decision = decided({"web:news": 0.5, "web:forums": 0.25, "code": 0.25})
    bare = replace(
        decision,
        sources={key: replace(item, path=None) for key, item in decision.sources.items()},
    )
    text = export(bare, make_format(name)).text
    assert ("web__news" in text) != (name in ("json", "csv", "olmix"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 500])
def test_one_domain_and_many(name: str, count: int) -> None:
    total = sum(i + 50 for i in range(count))
    shares = {f"d{i:03d}": (i + 50) / total for i in range(count)}
    decision = decided(shares, 1e10)
    done = export(decision, make_format(name))
    read = {row.domain: row.read for row in done.rows}
    assert sum(read.values()) == pytest.approx(1)
    assert read == pytest.approx(shares, abs=1 / 32768)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_is_held_or_refused_with_the_way_out(name: str) -> None:
    decision = replace(PHASED, sources={"web": source(0), "code": source(1)})
    form = make_format(name, STEPS.get(name))
    if name in STAGED:
        assert form.read(export(decision, form).text, decision.used).schedule == tuple(
            (pytest.approx(part), {k: v for k, v in mix.items() if v or name in ("json", "csv")})
            for part, mix in decision.schedule
        )
        return
    with pytest.raises(DataError, match=r"schedule of 2 phases.*--phase"):
        export(decision, form)
    done = export(decision.phase(2), form)
    assert {row.domain: row.read for row in done.rows} == pytest.approx({"web": 0.5, "code": 0.5})


@pytest.mark.parametrize("name", sorted(STEPS))
def test_phases_in_steps_need_the_steps(name: str) -> None:
    with pytest.raises(ConfigError, match="--steps"):
        export(PHASED, make_format(name))


def test_levanter_begins_phases_with_a_block() -> None:
    with pytest.raises(ConfigError, match="--batch"):
        export(PHASED, Levanter(steps=100))
    done = export(PHASED, Levanter(steps=1000, batch=96))  # blocks of 2048: every 64 steps
    assert done.fractions == (0.896, 0.104)
    assert done.error == pytest.approx(0.004)


@pytest.mark.parametrize("name", NAMES)
def test_epochs_are_those_of_the_whole_training(name: str) -> None:
    decision = decided({"a": 0.5, "b": 0.5, "c": 0.0}, 4e9)
    rows = {row.domain: row.epochs for row in export(decision, make_format(name)).rows}
    assert rows == {"a": pytest.approx(2.0), "b": pytest.approx(1.0), "c": 0.0}


@pytest.mark.parametrize("name", NAMES)
def test_epochs_that_nobody_knows_are_said_to_be_unknown(name: str) -> None:
    decision = decided({"a": 0.25, "b": 0.75}, None)
    done = export(decision, make_format(name))
    if name == "axolotl":  # the file decides how much is read: b whole, once
        assert [row.epochs for row in done.rows] == [pytest.approx(2 / 3), pytest.approx(1.0)]
        return
    assert {row.epochs for row in done.rows} == {None}
    assert any("epochs are unknown" in note for note in done.notes)


@pytest.mark.parametrize("name", SAMPLED)
def test_documents_are_drawn_by_their_lengths(name: str) -> None:
    long = Source("/a", tokens=1e9, documents=1e5)
    brief = Source("/b", tokens=1e9, documents=1e7)
    decision = Decision("p", ((1.0, {"a": 0.5, "b": 0.5}),), sources={"a": long, "b": brief})
    done = export(decision, make_format(name, {"samples": "documents"}))
    assert "0.99009901" in done.text
    assert any("a 1e+04, b 100" in note for note in done.notes)
    blind = replace(decision, sources={"a": long, "b": Source("/b", tokens=1e9)})
    with pytest.raises(DataError, match="how many 'b' has"):
        export(blind, make_format(name, {"samples": "documents"}))
    assert "0.5" in export(blind, make_format(name, {"samples": "sequences"})).text
    with pytest.raises(ConfigError, match="got 'words'"):
        export(decision, make_format(name, {"samples": "words"}))


def test_axolotl_needs_tokens() -> None:
    with pytest.raises(DataError, match="how many tokens 'web'"):
        export(Decision("p", ((1.0, {"web": 1.0}),)), make_format("axolotl"))


def test_axolotl_lists_a_domain_as_often_as_it_is_read() -> None:
    sources = {"a": Source("/a", tokens=10, documents=4), "b": Source("/b", tokens=100)}
    decision = Decision("p", ((1.0, {"a": 0.24, "b": 0.76}),), 100.0, sources=sources)
    form = make_format("axolotl")
    assert form.write(decision).count("path: /a") == 3
    done = export(decision, form)  # .4 of 4 documents is one: 2.25 epochs
    assert [row.epochs for row in done.rows] == [pytest.approx(2.25), pytest.approx(0.76)]
    assert done.error > 1e-3


def test_olmo_core_may_repeat_as_often_as_space_toml_allows() -> None:
    sources = {
        "a": Source("/a", tokens=1e9, max_epochs=2.5),
        "b": Source("/b/*.npy", tokens=1e9),
        "c": Source("/c", tokens=1e12, max_epochs=0.5),
    }
    shares = {"a": 0.2, "b": 0.3, "c": 0.5}
    text = make_format("olmo_core").write(Decision("p", ((1.0, shares),), 1e10, sources=sources))
    limits = [line.split()[1] for line in text.splitlines() if "max_repetition" in line]
    assert limits == ["2.5", "3.0", "1.0"]
    assert "/b/*.npy\n" in text


def test_streams_repeat_where_tokens_are_known_and_share_elsewhere() -> None:
    decision = decided({"a": 0.5, "b": 0.5}, 4e9)
    assert "repeat: 2.0" in export(decision, make_format("streaming")).text
    unknown = replace(decision, target_tokens=None)
    assert "proportion: 0.5" in export(unknown, make_format("streaming")).text


def test_validation_paths_are_asked_for_where_the_reader_looks_them_up() -> None:
    decision = decided({"a": 0.5, "b": 0.5})
    blind = replace(decision, sources={"a": source(0), "b": Source("/b")})
    with pytest.raises(DataError, match=r"'b' has none.*validation"):
        export(blind, make_format("megatron_split"))
    done = export(blind, make_format("gpt_neox"))
    assert "valid-data-paths" not in done.text
    assert any("yours to add" in note for note in done.notes)


@pytest.mark.parametrize("name", ["megatron", "megatron_args", "nemo", "gpt_neox"])
def test_prefixes_have_no_ending_no_space_and_one_domain(name: str) -> None:
    shares = {"a": 0.5, "b": 0.5}
    good = {"a": Source("/tok/a.bin"), "b": Source("/tok/b.idx")}
    text = make_format(name).write(Decision("p", ((1.0, shares),), sources=good))
    assert ".bin" not in text
    assert ".idx" not in text
    spaced = {"a": Source("/my data/a"), "b": Source("/b")}
    with pytest.raises(DataError, match="white space"):
        make_format(name).write(Decision("p", ((1.0, shares),), sources=spaced))
    shared = {"a": Source("/tok/a"), "b": Source("/tok/a")}
    with pytest.raises(DataError, match="several"):
        make_format(name).write(Decision("p", ((1.0, shares),), sources=shared))


def test_a_tiny_share_keeps_its_digits() -> None:
    tiny = 1.23456e-5
    shares = {"a": 1 - tiny, "b": tiny}
    for name in set(NAMES) - {"levanter", "axolotl"}:
        done = export(decided(shares), make_format(name))
        assert done.rows[1].read == pytest.approx(tiny, rel=1e-4), name
    with pytest.raises(DataError, match="levanter would never draw 'b'"):
        export(decided(shares), make_format("levanter"))


def test_regmix_refuses_a_name_that_begins_another() -> None:
    with pytest.raises(DataError, match="'web' is the beginning of 'web2'"):
        export(decided({"web2": 0.5, "web": 0.5}), make_format("regmix"))


@pytest.mark.parametrize("shares", [{"a": 0.5, "a:b": 0.5}, {"a:b": 0.5, "a": 0.5}])
def test_olmix_refuses_a_domain_that_is_a_level(shares: dict[str, float]) -> None:
    with pytest.raises(DataError, match="nests levels"):
        export(decided(shares), make_format("olmix"))


SPOILED = {
    "axolotl": "datasets:\n- {path: /a, weight: 1.5}\nnum_epochs: 1\n",
    "csv": "a,b\n1,2\n",
    "doremi": '{"train_domain_weights": {"a": 0}}',
    "gpt_neox": '{"train-data-paths": ["/a"], "train-data-weights": [1, 2]}',
    "huggingface": '{"datasets": ["/a"], "probabilities": [0.9]}',
    "json": '{"unit": "documents", "phases": []}',
    "levanter": "data: {mixture_block_size: 2048}\n",
    "litdata": '{"input_dirs": ["/a"], "weights": [1.0], "iterate_over_all": true}',
    "llama_factory": "{dataset: a, mix_strategy: concat, interleave_probs: '1.0'}\n",
    "megatron": "0.5 /a 0.5",
    "megatron_args": "--data-args 1 /a",
    "megatron_split": '{"train": ["1", "/a"]}',
    "nanotron": "data_stages: []\n",
    "nemo": '{"1": "/a"}',
    "olmix": "mix: {a: 1.0}\n",
    "olmo_core": "sources: [{source_name: a, target_ratio: 0.5, max_repetition_ratio: 1}]\n",
    "regmix": "train: {train_b: 1.0}\n",
    "streaming": "train_loader: {dataset: {streams: {a: {repeat: 1}, b: {proportion: 1}}}}\n",
    "torchtitan": "WEIGHTS = load()\n",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_trainer_would_refuse_is_not_read(name: str) -> None:
    sources = {"a": Source("/a", tokens=1.0)}
    for text in (SPOILED[name], "", "[", "{}"):
        with pytest.raises(DataError):
            make_format(name).read(text, sources)


def test_json_states_its_unit_and_its_inputs() -> None:
    pick = replace(decided({"web": 1.0}), provenance={"law": "0123"}, caps={"web": 1.0})
    document = json.loads(export(pick, Json()).text)
    assert document["unit"] == "tokens of the target's tokenizer"
    assert document["provenance"] == {"law": "0123"}
    assert document["caps"] == {"web": 1.0}


def test_a_phase_is_a_mixture_of_its_part_of_the_tokens() -> None:
    decision = replace(PHASED, target_tokens=1e10, sources={"web": source(0), "code": source(1)})
    last = decision.phase(2)
    assert last.target_tokens == pytest.approx(1e9)
    assert last.epochs == pytest.approx({"web": 0.5, "code": 0.25})
    with pytest.raises(DataError, match="2 phases, got phase 3"):
        decision.phase(3)


@dataclass
class _Percent(Format):
    """A format that loses digits: whole per cents."""

    unit: ClassVar[str] = "per cents"

    def write(self, decision: Decision) -> str:
        """Whole per cents."""
        return json.dumps({k: round(100 * v) for k, v in decision.mixture("percent").items()})

    def read(self, text: str, sources: Sources) -> Reading:
        """Per cents as shares."""
        return Reading(((1.0, {name: v / 100 for name, v in json.loads(text).items()}),))


def test_an_export_that_says_something_else_is_refused() -> None:
    pick = Decision("pick", ((1.0, {"web": 0.701, "code:python": 0.2949, "maths": 0.0041}),))
    with pytest.raises(DataError, match=r"share of 0\.29.* for 'code:python', expected 0\.2949"):
        export(pick, _Percent())


def test_unknown_formats_and_options_name_what_exists() -> None:
    with pytest.raises(ConfigError, match="megatron"):
        make_format("megatrom")
    with pytest.raises(ConfigError, match="steps"):
        make_format("nanotron", {"step": 1})
