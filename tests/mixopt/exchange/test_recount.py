"""A decision in other tokens: the same text, as often, and the way back is exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.exchange import make_format
from mixopt.exchange.base import TARGET_TOKENS, TRAINER_TOKENS, Decision, Source, export
from mixopt.exchange.json_format import Json
from mixopt.exchange.recount import recount, recount_schedule

NAMES = ("web", "code", "law")
HELD = {"web": 4.2, "code": 3.1, "law": 4.9}
TOKENS = {"web": 3e9, "code": 2e9, "law": 1e8}
TWO = Decision(
    "two",
    ((0.75, {"web": 0.6, "code": 0.4}), (0.25, {"web": 0.5, "code": 0.4, "law": 0.1})),
    target_tokens=1e9,
    caps={"web": 1.0, "code": 1.0, "law": 0.4},
)
lengths = st.fixed_dictionaries({name: st.floats(0.5, 10.0) for name in NAMES})


def epochs(decision, bytes_per_token):
    """How often the trainer reads each domain, of which it has the same text."""
    read = {
        name: sum(part * mix.get(name, 0.0) for part, mix in decision.schedule) for name in NAMES
    }
    return {
        name: share * decision.target_tokens / (TOKENS[name] * HELD[name] / bytes_per_token[name])
        for name, share in read.items()
    }


@given(lengths)
def test_every_domain_is_read_as_often(wanted):
    told = recount(TWO, HELD, wanted)
    assert told.unit == TRAINER_TOKENS
    assert epochs(told, wanted) == pytest.approx(epochs(TWO, HELD))
    assert sum(part for part, _ in told.schedule) == pytest.approx(1.0)
    for _, mixture in told.schedule:
        assert sum(mixture.values()) == pytest.approx(1.0)


@given(lengths)
def test_the_way_back_is_exact(wanted):
    back = recount(recount(TWO, HELD, wanted), wanted, HELD)
    assert back.target_tokens == pytest.approx(TWO.target_tokens)
    for (part, mixture), (wanted_part, wanted_mixture) in zip(back.schedule, TWO.schedule):
        assert part == pytest.approx(wanted_part)
        assert mixture == pytest.approx(wanted_mixture)


def test_a_cap_stays_the_share_at_which_a_domain_is_read_as_often():
    wanted = {"web": 4.2, "code": 3.1, "law": 9.8}
    told = recount(TWO, HELD, wanted)
    law = sum(part * mix.get("law", 0.0) for part, mix in told.schedule)
    assert law / told.caps["law"] == pytest.approx(0.25 * 0.1 / TWO.caps["law"])


def test_equal_tokenizers_change_nothing_but_the_unit():
    told = recount(TWO, HELD, HELD)
    assert told.unit != TWO.unit == TARGET_TOKENS
    for (_, mixture), (_, wanted) in zip(told.schedule, TWO.schedule):
        assert mixture == pytest.approx(wanted)


def test_a_domain_that_nobody_measured_is_named():
    with pytest.raises(DataError, match="'law'"):
        recount_schedule(TWO.schedule, HELD, {"web": 4.0, "code": 3.0})


@pytest.mark.parametrize("name", ["json", "megatron"])
def test_a_recounted_decision_is_exported_as_it_is(name):
    pick = Decision("pick", ((1.0, {"web": 0.5, "code": 0.5, "law": 0.0}),))
    told = recount(pick, HELD, {"web": 2.1, "code": 3.1, "law": 4.0})
    rows = {row.domain: row.read for row in export(told, make_format(name)).rows}
    assert rows["web"] == pytest.approx(2 / 3, abs=1e-6)


def test_json_says_whose_tokens():
    assert TRAINER_TOKENS in export(recount(TWO, HELD, HELD), Json()).text
    assert TARGET_TOKENS in export(TWO, Json()).text


def test_the_tokens_of_sources_follow_and_epochs_stay():
    sources = {name: Source(tokens=1e9, documents=1e6) for name in HELD}
    pick = Decision("pick", ((1.0, {"web": 0.5, "code": 0.5}),), 4e9, sources=sources)
    told = recount(pick, HELD, {"web": 2.1, "code": 6.2, "law": 4.0})
    assert told.source_epochs() == pytest.approx(pick.source_epochs())
    assert told.sources["web"].documents == 1e6
