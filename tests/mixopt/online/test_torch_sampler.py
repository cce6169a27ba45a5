"""The torch sampler: workers that read ahead, ranks with different losses, exact restarts."""

import json

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing
from torch.utils.data import DataLoader

from mixopt.errors import ConfigError, DataError
from mixopt.online import make_controller
from mixopt.online.budget import Budget
from mixopt.online.mixing import Mixing
from mixopt.online.torch_sampler import Domains, MixtureSampler

LENGTH = 4
SIZES = {"web": 50, "law": 9, "code": 20}


def sources():
    """Sequences whose first token says the domain, the second the place."""
    return Domains(
        {
            name: [torch.tensor([column, place, 0, 0]) for place in range(size)]
            for column, (name, size) in enumerate(SIZES.items())
        }
    )


def sampler(batch=6, every=2, steps=12, rank=0, ranks=1, floor=0.1):
    budget = Budget.of(list(SIZES))
    controller = make_controller("odm", {"budget": budget, "every": every, "floor": floor})
    mixing = Mixing(controller, SIZES, LENGTH, batch=batch, steps=steps)
    return MixtureSampler(mixing, sources(), rank, ranks)


def losses(batch, step):
    """(b, t) nats that depend on the domain, the place and the step."""
    place = batch["input_ids"][:, 1]
    own = torch.tensor([1.0, 4.0, 2.0])[batch["domain"]]
    return ((own + 0.01 * place) / (1 + 0.1 * step))[:, None].repeat(1, LENGTH)


def train(mixture, steps, workers=0, per_batch=6):
    """The sequences of each step; one step may be several batches."""
    loader = DataLoader(sources(), batch_size=per_batch, sampler=mixture, num_workers=workers)
    read, batches = [], iter(loader)
    for step in range(mixture.mixing.step, mixture.mixing.step + steps):
        rows = []
        for _ in range(mixture.mixing.batch // mixture.ranks // per_batch):
            batch = next(batches)
            mixture.note(losses(batch, step), batch["domain"])
            rows += batch["input_ids"][:, :2].tolist()
        mixture.finish_step()
        read.append(rows)
    return read


@pytest.mark.parametrize(("workers", "stop"), [(0, 5), (2, 6), (2, 5)])
def test_a_resumed_loader_goes_on_exactly(workers, stop):
    whole = sampler()
    expected = train(whole, 12, workers)
    first = sampler()
    train(first, stop, workers)
    state = json.loads(json.dumps(first.checkpoint()))
    assert len(state["ahead"]) >= 2 * workers  # what workers had read ahead
    second = sampler().resume(state)
    assert train(second, 12 - stop, workers) == expected[stop:]
    assert second.checkpoint()["controller"] == whole.checkpoint()["controller"]


def test_gradients_may_be_accumulated():
    whole, parts = sampler(), sampler()
    assert train(whole, 8) == train(parts, 8, per_batch=2)
    assert whole.checkpoint() == parts.checkpoint()


def test_a_loop_that_breaks_off_loses_nothing():
    mixture = sampler()
    expected = train(sampler(), 8)
    assert train(mixture, 3) + train(mixture, 5) == expected  # two loaders, one run


def test_shares_move_towards_what_is_badly_predicted():
    mixture = sampler(steps=40)
    train(mixture, 40)
    shares = mixture.mixing.controller.weights()
    assert shares[1] == shares.max()
    assert mixture.mixing.epochs["law"] > 1


def test_ranks_divide_every_batch():
    whole = train(sampler(), 1)[0]
    ranks = []
    for rank in (0, 1):
        part = sampler(rank=rank, ranks=2)
        ranks.append(next(iter(DataLoader(sources(), batch_size=3, sampler=part)))["input_ids"])
    both = torch.stack(ranks, dim=1).flatten(0, 1)[:, :2]
    assert both.tolist() == whole
    with pytest.raises(ConfigError, match="4 ranks can share"):
        sampler(rank=0, ranks=4)


def test_a_loss_that_is_no_number_is_missing_in_its_own_domain_alone():
    def after(bad):
        mixture = sampler(every=1)
        batch = next(iter(DataLoader(sources(), batch_size=6, sampler=mixture)))
        nats = losses(batch, 0)
        nats[batch["domain"] == 1] = bad
        mixture.note(nats, batch["domain"])
        mixture.finish_step()
        (line,) = mixture.mixing.state_dict()["trail"]["lines"]
        return line["why"]["loss"]

    clean, spoiled = after(4.0), after(float("nan"))
    assert spoiled["law"] is None
    assert spoiled["web"] == clean["web"]


def test_tokens_that_do_not_count_are_left_out():
    mixture = sampler(every=1)
    batch = next(iter(DataLoader(sources(), batch_size=6, sampler=mixture)))
    nats = losses(batch, 0)
    nats[:, 0] = float("nan")
    counted = torch.tensor([False, True, True, True]).expand_as(nats)
    mixture.note(nats, batch["domain"], counted)
    mixture.finish_step()
    (line,) = mixture.mixing.state_dict()["trail"]["lines"]
    assert line["why"]["loss"]["law"] == pytest.approx(4.0, abs=0.1)


def test_other_sources_are_refused():
    with pytest.raises(ConfigError, match="the sources are"):
        MixtureSampler(sampler().mixing, Domains({"web": [1]}))


def _rank(rank: int, folder: str, told) -> None:
    """One of two ranks: it trains, resumes, and then meets one that disagrees."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    mixture = sampler(rank=None, ranks=None)
    read = train(mixture, 7, per_batch=3)
    state = mixture.checkpoint()
    resumed = sampler(rank=None, ranks=None).resume(state)
    read += train(resumed, 5, per_batch=3)
    found = [read, resumed.checkpoint()["controller"], ""]
    try:
        train(sampler(rank=None, ranks=None, floor=0.1 + 0.1 * rank), 2, per_batch=3)
    except DataError as error:
        found[2] = str(error)
    told[rank] = found
    distributed.destroy_process_group()


def test_two_ranks_are_one_run(tmp_path):
    with multiprocessing.Manager() as manager:
        told = manager.dict()
        multiprocessing.spawn(_rank, (str(tmp_path), told), nprocs=2)
        first, second = told[0], told[1]
    alone = sampler()
    whole = train(alone, 12)
    for step, rows in enumerate(whole):
        halves = np.stack([first[0][step], second[0][step]], axis=1).reshape(-1, 2)
        np.testing.assert_array_equal(halves, rows)
    np.testing.assert_allclose(
        first[1]["learned"]["_rewards"]["values"],
        alone.checkpoint()["controller"]["learned"]["_rewards"]["values"],
    )
    assert first[1] == second[1]
    assert "ranks do not agree on the mixture after step 2" in first[2]
    assert first[2] == second[2]
