"""The streams of a prepared corpus: what a run reads depends on its block and its draws alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.data import Data, MixtureStream, count_windows
from proxies.pools import simulated_pools
from proxies.prepare import PrepareSettings, Source, prepare

CONTEXT = 16
NAMES = ("web", "code:c", "law")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    """Three training domains and an unseen one, of numbered words: every window is different."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    sources = []
    for name, count in zip((*NAMES, "unseen"), (300, 200, 60, 60)):
        source = folder / name.replace(":", "_")
        source.mkdir()
        texts = [f"{name} {i}: {rng.bytes(45).hex()}\n" for i in range(count)]
        lines = [json.dumps({"text": text}) for text in texts]
        (source / "text.jsonl").write_text("\n".join(lines))
        sources.append(Source(name, source, train=name != "unseen"))
    settings = PrepareSettings(tokenizer="bytes", evaluation_bytes=4000)
    prepare(sources, folder / "data", settings=settings)
    return Data.open(folder / "data")


def stream(data: Data, seeds, pools=None, sequences=4, names=NAMES) -> MixtureStream:
    return MixtureStream(data, names, seeds, CONTEXT, sequences, pools or [None] * len(seeds))


def read(running: MixtureStream, weights, steps: int, p: int = 0) -> dict[int, list[bytes]]:
    """The windows of each column that proxy p reads, in order."""
    seen: dict[int, list[bytes]] = {}
    for _ in range(steps):
        tokens, domains = running.next(weights)
        for row, column in zip(tokens[p], domains[p]):
            seen.setdefault(int(column), []).append(row.tobytes())
    return seen


def test_batches_hold_the_text_of_their_domains(data):
    tokens, domains = stream(data, [0]).next(np.array([[0.5, 0.25, 0.25]]))
    assert tokens.shape == (1, 4, CONTEXT + 1)
    assert tokens.dtype == domains.dtype == np.int64
    for window, column in zip(tokens[0], domains[0]):
        source = np.asarray(data.train(NAMES[column]), dtype=np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(source, CONTEXT + 1)[::CONTEXT]
        assert (windows == window).all(axis=1).any()


@settings(max_examples=15, deadline=None)
@given(a=st.integers(0, 2**32), b=st.integers(0, 2**32), block=st.integers(0, 9))
def test_what_is_read_of_a_domain_does_not_depend_on_the_mixture(data, a, b, block):
    first, second = (np.random.default_rng(seed).dirichlet(np.ones(3), 1) for seed in (a, b))
    seen_a = read(stream(data, [block]), first, steps=20)
    seen_b = read(stream(data, [block]), second, steps=20)
    for column in seen_a.keys() & seen_b.keys():
        common = min(len(seen_a[column]), len(seen_b[column]))
        assert seen_a[column][:common] == seen_b[column][:common]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), blocks=st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_a_proxy_does_not_feel_its_neighbours(data, seed, blocks):
    weights = np.random.default_rng(seed).dirichlet(np.ones(3), 3)
    pools = [None, {"web": 600}, {"law": 300, "web": 2000}]
    together = stream(data, blocks, pools)
    alone = [stream(data, [block], [pool]) for block, pool in zip(blocks, pools)]
    for _ in range(12):
        tokens, domains = together.next(weights)
        for p, single in enumerate(alone):
            its_tokens, its_domains = single.next(weights[p : p + 1])
            assert (its_tokens[0] == tokens[p]).all()
            assert (its_domains[0] == domains[p]).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), stop=st.integers(0, 30))
def test_resume_is_exact(data, seed, stop):
    weights = np.random.default_rng(seed).dirichlet(np.ones(3), 2)
    running = stream(data, [1, 2], [None, {"web": 500}])
    for _ in range(stop):
        running.next(weights)
    resumed = stream(data, [1, 2], [None, {"web": 500}])
    for p in range(2):
        resumed.restore(p, json.loads(json.dumps(running.state(p))))
    for _ in range(5):
        for ours, theirs in zip(running.next(weights), resumed.next(weights)):
            assert (ours == theirs).all()
    assert (running.drawn == resumed.drawn).all()
    assert (running.epochs() == resumed.epochs()).all()


def test_an_epoch_reads_every_window_once_and_the_next_in_another_order(data):
    windows = count_windows(len(data.train("law")), CONTEXT)
    running = stream(data, [5], sequences=1, names=("law",))
    order = [running.next(np.ones((1, 1)))[0].tobytes() for _ in range(2 * windows)]
    assert len(set(order[:windows])) == windows
    assert set(order[windows:]) == set(order[:windows])
    assert order[windows:] != order[:windows]
    assert running.epochs()[0, 0] == pytest.approx(2, rel=0.01)
    assert running.drawn[0, 0] == 2 * windows


def test_blocks_read_in_another_order(data):
    weights = np.full((2, 3), 1 / 3)
    tokens, _ = stream(data, [0, 1]).next(weights)
    assert (tokens[0] != tokens[1]).any()


def test_epochs_equal_the_target_s_at_every_scale(data):
    target, weights = 60_000, np.array([[0.2, 0.5, 0.3]])
    space_tokens = {name: len(data.train(name)) for name in NAMES}
    expected = weights[0] * target / np.array(list(space_tokens.values()))
    for run in (6_000, 15_000, 60_000):
        pools = [simulated_pools(space_tokens, run, target)]
        running = stream(data, [0], pools, sequences=5)
        for _ in range(round(run / (5 * CONTEXT))):
            running.next(weights)
        off_by_two = 2 * CONTEXT / np.array([pools[0][name] for name in NAMES])
        assert (np.abs(running.epochs()[0] - expected) <= 0.01 * expected + off_by_two).all()


def test_pools_are_nested_and_from_the_training_text(data):
    small = read(stream(data, [4], [{"web": 800}], names=("web",)), np.ones((1, 1)), steps=20)
    large = read(stream(data, [4], [{"web": 1600}], names=("web",)), np.ones((1, 1)), steps=40)
    assert len(set(small[0])) == count_windows(800, CONTEXT)
    assert set(small[0]) < set(large[0])
    other = read(stream(data, [5], [{"web": 800}], names=("web",)), np.ones((1, 1)), steps=20)
    assert set(other[0]) != set(small[0])


def test_small_and_short_pools_are_reported_and_not_enlarged(data):
    length = len(data.train("law"))
    pools = [{"web": 500, "law": 10}, None, {"law": length + 1}]
    running = stream(data, [0, 0, 0], pools)
    assert running.small_pools == (("web", "law"), (), ())
    assert running.short_pools == ((), (), ())
    for _ in range(3):
        running.next(np.full((3, 3), 1 / 3))
    assert running.epochs()[0, 2] == running.drawn[0, 2] * CONTEXT / 10
    while running.epochs()[2, 2] <= 1:
        assert running.short_pools == ((), (), ())
        running.next(np.eye(3)[[2, 2, 2]])
    assert running.short_pools == ((), (), ("law",))


def test_evaluation_windows_are_fixed_even_and_of_every_domain(data):
    first = data.evaluation("test", CONTEXT, windows=8)
    assert first.names == (*NAMES, "unseen")
    assert first.tokens.shape == (32, CONTEXT + 1)
    assert np.bincount(first.domain).tolist() == [8] * 4
    again = Data.open(data.folder).evaluation("test", CONTEXT, windows=8)
    assert (again.tokens == first.tokens).all()
    offsets, _ = data.documents("web", "test")
    documents = first.document[first.domain == 0]
    assert documents.max() < len(offsets) - 1
    assert (np.diff(documents) > 0).all()
    assert (data.evaluation("validation", CONTEXT, 8).tokens != first.tokens).any()


def test_all_windows_are_taken_where_there_are_not_more(data):
    everything = data.evaluation("validation", CONTEXT, windows=10**6)
    path = data.folder / "law" / "validation.bin"
    windows = count_windows(path.stat().st_size // 2, CONTEXT)
    assert (everything.domain == NAMES.index("law")).sum() == windows


def test_names_and_token_bytes(data):
    assert data.names == NAMES
    assert data.evaluation_names == (*NAMES, "unseen")
    assert data.vocabulary == 257
    assert data.token_bytes.tolist() == [1] * 256 + [0]
    assert data.token_bytes[data.eos] == 0


def test_a_domain_without_training_text_is_an_error(data):
    with pytest.raises(DataError, match="'unseen' has no training text"):
        stream(data, [0], names=("web", "unseen"))


def test_a_domain_smaller_than_a_window_is_an_error(data):
    with pytest.raises(DataError, match="less than one window of 100001"):
        MixtureStream(data, NAMES, [0], 100_000, 1, [None])
    with pytest.raises(DataError, match="the test text of 'web'"):
        data.evaluation("test", 100_000, 1)


def test_a_folder_without_a_manifest_is_an_error(tmp_path):
    with pytest.raises(DataError, match="run `mixopt prepare` first"):
        Data.open(tmp_path)


def test_a_cut_token_file_is_an_error(data, tmp_path):
    cut = tmp_path / "data"
    for file in data.folder.rglob("*"):
        if file.is_file():
            copy = cut / file.relative_to(data.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    file = cut / "law" / "train.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"law/train\.bin has \d+ bytes, expected \d+"):
        Data.open(cut)
