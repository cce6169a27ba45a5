"""Streams: the same sequences from any number of workers, exact restarts, sources that end."""

import json
from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from mixopt.errors import ConfigError, DataError
from mixopt.online import make_controller
from mixopt.online.budget import Budget
from mixopt.online.mixing import Mixing
from mixopt.online.torch_stream import MixtureStream

LENGTH, STEPS = 4, 12
SIZES = {"web": 50, "law": 9, "code": 20}


class Lines:
    """Sequences that can only be read one after the other: the domain, the place, nothing."""

    def __init__(self, column, size):
        self.column, self.size = column, size

    def __iter__(self):
        return ({"input_ids": torch.tensor([self.column, i, 0, 0])} for i in range(self.size))


def sources(**sizes):
    return {name: Lines(i, n) for i, (name, n) in enumerate({**SIZES, **sizes}.items())}


def stream(workers=0, per_batch=3, steps=STEPS, own=None, budget=None, every=2, **settings):
    budget = budget or Budget.of(list(SIZES))
    controller = make_controller("odm", {"budget": budget, "every": every})
    mixing = Mixing(controller, dict.fromkeys(SIZES), LENGTH, batch=6, steps=steps)
    told = {"max_epochs": {"law": 100.0}, **settings}
    return MixtureStream(mixing, own or sources(), per_batch=per_batch, workers=workers, **told)


def losses(batch, step):
    """(b, t) nats that depend on the domain and the step."""
    own = torch.tensor([1.0, 4.0, 2.0])[batch["domain"]]
    return (own / (1 + 0.1 * step))[:, None].repeat(1, LENGTH)


def train(mixture, steps):
    """The sequences of each step; two loader batches make one."""
    loader = DataLoader(mixture, mixture.per_batch, num_workers=mixture.workers)
    read, batches, mixing = [], iter(loader), mixture.mixing
    for step in range(mixing.step, mixing.step + steps):
        rows = []
        for _ in range(mixing.batch // mixture.ranks // mixture.per_batch):
            batch = next(batches)
            mixture.note(losses(batch, step), batch["domain"])
            rows += batch["input_ids"][:, :2].tolist()
        mixture.finish_step()
        read.append(rows)
    return read


def of_domains(read):
    return [[row[0] for row in rows] for rows in read]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stream_goes_on_exactly(workers):
    whole = stream(workers)
    expected = train(whole, STEPS)
    for stop in (3, 8):
        first = stream(workers)
        train(first, stop)
        state = json.loads(json.dumps(first.checkpoint()))
        first.close()
        second = stream(workers).resume(state)
        assert train(second, STEPS - stop) == expected[stop:]
        assert second.checkpoint() == whole.checkpoint()
    assert whole.epochs["law"] >= 2  # sources ended, and began again, on both sides of a stop


def test_domains_do_not_depend_on_workers():
    alone, many = stream(0), stream(2)
    assert of_domains(train(alone, STEPS)) == of_domains(train(many, STEPS))
    states = [one.mixing.controller.state() for one in (alone, many)]
    assert states[0] == states[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_sequence_is_read_once_in_each_epoch(workers):
    """Before a source ends for a reader, nothing comes twice."""
    big = sources(web=500, law=500, code=500)
    read = Counter(tuple(row) for rows in train(stream(workers, own=big), STEPS) for row in rows)
    assert set(read.values()) == {1}
    assert sum(read.values()) == 6 * STEPS


def test_ranks_read_different_parts_under_the_same_shares():
    big = sources(web=500, law=500, code=500)
    ranks = [stream(per_batch=3, own=big, rank=rank, ranks=2, every=100) for rank in (0, 1)]
    parts = [train(one, STEPS) for one in ranks]
    rows = [tuple(row) for part in parts for step in part for row in step]
    assert len(rows) == len(set(rows)) == 6 * STEPS
    assert ranks[0].checkpoint()["stream"] == ranks[1].checkpoint()["stream"]
    assert ranks[0].mixing.fingerprint() == ranks[1].mixing.fingerprint()


def test_a_function_opens_its_own_part():
    def opened(part, parts):
        return [torch.tensor([0, i, 0, 0]) for i in range(part, 500, parts)]

    own = {**sources(law=500, code=500), "web": opened}
    read = train(stream(2, own=own), STEPS)
    plain = train(stream(2, own=sources(web=500, law=500, code=500)), STEPS)
    assert read == plain


def test_a_loop_that_breaks_off_loses_nothing():
    mixture = stream(2)
    first = train(mixture, 3)
    assert first + train(mixture, STEPS - 3) == train(stream(2), STEPS)


def test_a_stream_ends_with_the_run():
    mixture = stream()
    train(mixture, STEPS)
    assert list(mixture) == []
    assert sum(mixture.mixing.consumed.values()) == STEPS * 6 * LENGTH
    with pytest.raises(DataError, match="all are done"):
        mixture.finish_step()


def test_epochs_are_capped():
    """The budget makes a scarce source last; without its tokens the source itself says no."""
    tokens = {"law": 9.0 * LENGTH}
    budget = Budget.of(list(SIZES), tokens=tokens, run_tokens=200 * 6 * LENGTH)
    own = sources(web=5000, code=5000)
    kept = stream(steps=200, own=own, budget=budget, max_epochs={"law": 4.0})
    train(kept, 200)
    assert 9 * 4 - 2 <= kept.mixing.consumed["law"] // LENGTH <= 9 * 4 + 2
    assert kept.epochs == {"web": 0, "law": 4, "code": 0} or kept.epochs["law"] == 3
    with pytest.raises(DataError, match="'law' was read more than 2 times, a part of it holds 9"):
        train(stream(steps=200, own=own, max_epochs={"law": 2.0}), 200)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"per_batch": 4}, "to divide the 6 sequences"),
        ({"ahead": 0}, "ahead of 1 or more"),
        ({"own": {"web": [1]}}, "the sources are"),
        ({"max_epochs": {"lww": 1.0}}, "lww"),
        ({"own": {**sources(), "web": iter([1])}}, "'web' can be read once"),
    ],
)
def test_what_does_not_fit_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        stream(**settings)


class Divided(IterableDataset):
    def __iter__(self):
        return iter([1])


def test_a_source_that_divides_itself_is_refused_beside_other_workers():
    with pytest.raises(ConfigError, match="divides itself"):
        stream(2, own={**sources(), "web": Divided()})
    stream(1, own={**sources(), "web": Divided()})


def test_a_loader_with_other_workers_is_refused():
    with pytest.raises(ConfigError, match="was told of 2"):
        next(iter(DataLoader(stream(2), 3)))


def test_a_source_without_text_is_said():
    with pytest.raises(DataError, match="'code' has nothing for reader 1 of 1"):
        train(stream(own=sources(code=0)), 2)


def test_other_workers_cannot_resume():
    state = stream(2).checkpoint()
    with pytest.raises(DataError, match="as many ranks and workers"):
        stream(0).resume(state)
    with pytest.raises(DataError, match="as many ranks and workers"):
        stream(0).resume({key: value for key, value in state.items() if key != "stream"})


def test_reading_ahead_of_the_loop_is_refused():
    """Without workers nobody else could finish a step meanwhile."""
    with pytest.raises(DataError, match="call finish_step after each"):
        list(stream())
